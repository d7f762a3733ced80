//! The gate in one process with its callers and its upstream, on the kernel's ports.

mod drain;
mod forward;
mod harness;
mod http2;
mod limits;
mod pools;
mod raw;
mod reload;
mod stalled;
mod tls;

//! Decisions: Cedar policies, their schema and tests, and the `Permit` without which nothing is forwarded.
//!
//! Stands between identification and forwarding on a request's way. The core is pure; only loading reads files. The only
//! crate that names cedar-policy.

mod config;

pub use config::Config;

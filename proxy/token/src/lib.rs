//! Tokens: JWS and JWK, verified to `Claims`; key sets and their refresh; what the engine must answer about keys and
//! revocations.
//!
//! Stands between routing and the decision on a request's way. Verification is pure; only key refresh does I/O.

mod config;

pub use config::{Config, Kind, TokenUse};

//! The engine: the rules of user pools, one slice a noun, with its SQL beside it. Implements the gate's `Keys` and
//! `Revocations`.

mod config;

pub use config::{Config, DeclaredClient, DeclaredPool, IssuerForm, Operator};

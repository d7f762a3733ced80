//! Decisions: Cedar policies, their schema and tests, and the [`Permit`] without which nothing is forwarded.
//!
//! Stands between identification and forwarding on a request's way. The core is pure; only loading reads files. The only
//! crate that names cedar-policy.
//!
//! [`Policies::load`] reads a directory into an immutable snapshot. [`Policies::guard`] prepares it for one route and
//! method. [`Guard::decide`] then turns a canonical request and its verified caller into a [`Permit`] or a [`Denied`].

mod certificate;
mod check;
mod config;
mod effect;
mod guard;
mod identity;
mod inputs;
mod load;
mod mention;
mod outcome;
mod permit;
mod policies;
mod problem;
mod project;
mod request;
mod resource;
mod said;
mod schema;
mod testing;

pub use certificate::{Certificate, CertificateField};
pub use check::{Checked, check};
pub use config::Config;
pub use effect::{Callers, Never, Unmet};
pub use guard::{Ask, Guard, default_action};
pub use outcome::{Code, Decided, Memory, Outcome, PolicyError};
pub use permit::{Basis, Denied, Permit};
pub use policies::Policies;
pub use problem::{Problem, Problems};
pub use request::{Caller, Claims, Request, Single, query_parameter};
pub use testing::{Test, Tested, test};

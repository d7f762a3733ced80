//! AWS's wire formats, as data and as one decoder and encoder per protocol.
//!
//! In the way of a call this is the first and the last step: bytes → [`Request`] (checked against the service's model, with
//! AWS's own messages), and response or error → bytes. The shapes under [`idp`], [`identity`], [`sync`], [`sts`] and
//! [`permissions`] are generated; `cargo xtask codegen` makes them.

mod check;
mod generated;
pub mod json;
mod operation;
pub mod operator;
pub mod query;
pub mod rest;
mod shape;
mod value;

pub use check::{Rejected, check, typed};
pub use generated::{identity, idp, permissions, sts, sync};
pub use operation::{ErrorShape, Protocol, Request, Service, Spec, Visitor};
pub use shape::{Kind, Location, Member, Pattern, Shape};
pub use value::{Blob, DateTime, Document, EpochSeconds};

#[cfg(test)]
mod tests;

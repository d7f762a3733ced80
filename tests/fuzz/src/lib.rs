//! Fuzz targets: each a function over bytes that fails by panicking, with an oracle of its own for what must hold.
//!
//! `make test` runs them over their corpora and some thousand mutations that follow from a seed; `make soak` links them with
//! libFuzzer, which looks for inputs that reach new code, and gives each a million cases.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target fails by panicking"
)]

mod corpus;
mod http1;
mod json;
mod mutate;
mod naive;
mod targets;

pub use corpus::{Seed, corpus, dictionary};
pub use mutate::Mutator;
pub use targets::{TARGETS, Target, target};

#[cfg(test)]
mod tests;

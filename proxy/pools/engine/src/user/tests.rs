//! Users as callers see them: each answer, each refusal, each limit.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod admin;
mod aliases;
pub(crate) mod fixture;
mod lists;
mod passwords;
mod sign_up;
mod update;
mod verify;

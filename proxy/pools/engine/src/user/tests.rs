//! Users as callers see them: each answer, each refusal, each limit.

mod admin;
mod aliases;
mod confirm;
pub(crate) mod fixture;
mod lists;
mod passwords;
mod sign_up;
mod update;
mod verify;

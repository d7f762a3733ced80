//! Tests of the one way of a call. The service of a test stands in [`api`], for operations' tests too.

mod api;
mod auth;
mod ledger;
mod pools;
mod protocol;
mod signature;
mod users;

pub(crate) use api::{CLIENT, POOL, Reply, TestApi};
pub(crate) use users::signed_in;

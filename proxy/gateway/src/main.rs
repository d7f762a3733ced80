//! x
#![allow(dead_code, unused_imports, clippy::allow_attributes)]
mod gateway;
mod listen;
mod logs;
mod metrics;
mod mount;
mod upstream;
fn main() {}

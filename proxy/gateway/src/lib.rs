//! `portcullis`: the gate, its command line and its wiring. The only crate that names Pingora.
//!
//! [`serve`] puts a process together; [`gateway`] is the way of a request, phase by phase. The binary is [`run`] with an
//! allocator; what else is public is for tests that stand outside.

mod admin;
mod cli;
mod dev;
mod gateway;
mod listen;
mod logs;
mod metrics;
mod mount;
pub mod probe;
mod rate;
mod reload;
mod serve;
mod snapshot;
mod status;
mod traces;
mod upstream;

use std::process::ExitCode;

use clap::Parser as _;

/// Does what the command line says, and gives what the process exits with.
pub fn run() -> ExitCode {
    // The allocator asks for huge pages, which take 20 MB before anything is done; without them it works as well.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // One TLS stack in the process; it must stand before anything makes a client or a listener.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("portcullis: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portcullis: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! The workspace's own tools: `cargo xtask codegen` turns AWS's service models into checked-in Rust, `cargo xtask ledger`
//! prints what of them is built.

mod codegen;
mod ledger;

use clap::{Parser, Subcommand};

/// The workspace's own tools.
#[derive(Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate `proxy/pools/wire/src/generated` from botocore's service models.
    Codegen {
        /// Change nothing; fail if what is checked in differs.
        #[arg(long)]
        check: bool,
    },
    /// Print each operation's state, or rewrite the ledger files from the operation tables.
    Ledger {
        /// Rewrite `tests/ledger/*.txt`.
        #[arg(long)]
        write: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Codegen { check } => codegen::run(check),
        Command::Ledger { write } => ledger::run(write),
    }
}

//! The command line.

mod backup;
mod check;
mod operator;
mod policy;
mod pool;
mod reload;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{dev, serve};

/// A gate with its own identity engine.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything with no configuration: a gate, a user pool and a small pet store
    Dev(Dev),
    /// Run the gate
    Serve(Serve),
    /// Read everything the settings name, report every problem at once, and list the routes
    Check(Config),
    /// Check and test policies
    #[command(subcommand)]
    Policy(Policy),
    /// Change pools, as signed calls to a running engine
    #[command(subcommand)]
    Pool(Pool),
    /// Have a running gate read its settings again, as a signed call
    Reload(Reload),
    /// Make an online copy of the SQLite store
    Backup(Backup),
}

/// Settings of `portcullis dev`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Dev {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Where the gate listens, port 0 lets the kernel choose [default: as the settings say, at first 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where metrics, health and views are [default: as the settings say, at first 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,
    /// What stands in `iss` of tokens [default: as the settings say, at first `public_url`]
    #[arg(long, value_enum)]
    pub(crate) issuer: Option<IssuerForm>,
}

/// What stands in `iss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IssuerForm {
    /// `{public_url}/{poolId}`
    #[value(name = "public_url")]
    PublicUrl,
    /// `https://cognito-idp.{region}.amazonaws.com/{poolId}`
    Aws,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    settings: Config,
    /// Take the place of the process that starts this one
    #[arg(long, hide = true)]
    upgrade: bool,
}

#[derive(Debug, Args)]
struct Config {
    /// The settings, YAML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Policy {
    /// Validate a policy directory strictly
    Check(Directory),
    /// Run the tests beside the policies
    Test(Directory),
}

#[derive(Debug, Args)]
struct Directory {
    /// A directory of `.cedar` files with one `.cedarschema`
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Pool {
    /// Make new signing keys; old tokens stay good until they expire
    RotateKeys(RotateKeys),
}

/// Where the engine runs; credentials come from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
#[derive(Debug, Args)]
struct RotateKeys {
    /// The pool's id
    pool: String,
    /// The engine's URL; `AWS_ENDPOINT_URL` when absent
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region signed for; `AWS_REGION`, else the pool id's own, when absent
    #[arg(long)]
    region: Option<String>,
}

/// Where the gate runs; credentials come from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, those
/// of an operator of all pools.
#[derive(Debug, Args)]
struct Reload {
    /// The URL of its pools; `AWS_ENDPOINT_URL` when absent
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region signed for; `AWS_REGION` when absent
    #[arg(long)]
    region: Option<String>,
}

#[derive(Debug, Args)]
struct Backup {
    #[command(flatten)]
    settings: Config,
    /// The copy, which must not exist yet
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Dev(dev) => dev::run(&dev).map(|()| ExitCode::SUCCESS),
            Command::Serve(ask) => {
                let inherited = ask.upgrade.then(serve::Inherited::receive).transpose()?;
                serve::run(&ask.settings.config, inherited).map(|()| ExitCode::SUCCESS)
            }
            Command::Check(config) => check::run(&config.config),
            Command::Policy(Policy::Check(directory)) => Ok(policy::check(&directory.path)),
            Command::Policy(Policy::Test(directory)) => Ok(policy::test(&directory.path)),
            Command::Reload(ask) => reload::run(&ask).map(|()| ExitCode::SUCCESS),
            Command::Pool(Pool::RotateKeys(ask)) => {
                pool::rotate_keys(&ask).map(|()| ExitCode::SUCCESS)
            }
            Command::Backup(ask) => {
                backup::run(&ask.settings.config, &ask.out).map(|()| ExitCode::SUCCESS)
            }
        }
    }
}

/// An address to listen on; what is none is told the form it should have.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address with a port, as `127.0.0.1:8080` or `[::1]:8080`")
}

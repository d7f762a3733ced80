//! `cargo xtask codegen`: botocore's service models → `proxy/pools/wire/src/generated`.
//!
//! Names, types, constraints, declared errors and "is it signed" are taken; AWS's prose is not.

mod emit;
mod fetch;
mod model;
mod names;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use model::Model;

/// One service of botocore and the module it becomes.
struct Source {
    /// Folder under `botocore/data`.
    folder: &'static str,
    /// Module under `wire::generated`.
    module: &'static str,
}

/// Generates every service; with `check`, compares instead of writing.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = root()?;
    let models = fetch::models(
        &root.join("target/botocore"),
        &SOURCES.map(|source| source.folder),
    )?;
    let generated = root.join("proxy/pools/wire/src/generated");
    let mut drifted = Vec::new();
    let mut operations = 0;
    for source in &SOURCES {
        let path = models.join(format!("{}.json", source.folder));
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let model: Model = serde_json::from_str(&text)
            .with_context(|| format!("{} is no model", path.display()))?;
        operations += model.operations.len();
        let code = format_code(&emit::service(&model, source.folder)?)?;
        let target = generated.join(format!("{}.rs", source.module));
        if fs::read_to_string(&target).ok().as_deref() == Some(code.as_str()) {
            continue;
        }
        if check {
            drifted.push(target.display().to_string());
        } else {
            fs::create_dir_all(&generated)?;
            fs::write(&target, code)?;
        }
    }
    ensure!(
        operations == OPERATIONS,
        "the models have {operations} operations, not {OPERATIONS}"
    );
    if !drifted.is_empty() {
        bail!(
            "differs from botocore {}: {}; run `cargo xtask codegen`",
            fetch::BOTOCORE,
            drifted.join(", ")
        );
    }
    Ok(())
}

/// The workspace's root, found from this package's own place.
fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here
        .parent()
        .context("xtask has no parent folder")?
        .to_owned())
}

/// What rustfmt makes of `code`, so that `cargo fmt` finds nothing to change in it.
fn format_code(code: &str) -> anyhow::Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        // For standard input, rustfmt reads the settings of the current folder.
        .current_dir(root()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt does not start")?;
    let mut input = rustfmt
        .stdin
        .take()
        .context("rustfmt has no standard input")?;
    let text = code.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = rustfmt.wait_with_output()?;
    writer
        .join()
        .map_err(|_| anyhow::anyhow!("writing to rustfmt failed"))??;
    ensure!(
        output.status.success(),
        "rustfmt refuses the generated code"
    );
    Ok(String::from_utf8(output.stdout)?)
}

const SOURCES: [Source; 5] = [
    Source {
        folder: "cognito-idp",
        module: "idp",
    },
    Source {
        folder: "cognito-identity",
        module: "identity",
    },
    Source {
        folder: "cognito-sync",
        module: "sync",
    },
    Source {
        folder: "sts",
        module: "sts",
    },
    Source {
        folder: "verifiedpermissions",
        module: "permissions",
    },
];

/// Operations of the five services at the pinned version; a change of the pin states its new number here.
const OPERATIONS: usize = 226;

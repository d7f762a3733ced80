//! Gets the service models: botocore's wheel through pip, and the five models out of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The version whose models are generated. The only place that names it.
pub(crate) const BOTOCORE: &str = "1.44.5";

/// The folder that holds `<service>.json` for each of `services`, fetched once per version.
pub(crate) fn models(cache: &Path, services: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = cache.join(BOTOCORE);
    if services
        .iter()
        .all(|service| folder.join(format!("{service}.json")).is_file())
    {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    let destination = folder.display().to_string();
    let requirement = format!("botocore=={BOTOCORE}");
    python(&[
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        &destination,
        &requirement,
    ])?;
    let wheel = folder
        .join(format!("botocore-{BOTOCORE}-py3-none-any.whl"))
        .display()
        .to_string();
    let mut arguments = vec!["-c", EXTRACT, wheel.as_str(), destination.as_str()];
    arguments.extend(services);
    python(&arguments)?;
    fs::remove_file(&wheel).context("the wheel cannot be removed")?;
    Ok(folder)
}

fn python(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("python3")
        .args(arguments)
        .status()
        .context("python3 does not start")?;
    ensure!(
        status.success(),
        "python3 failed while fetching botocore {BOTOCORE}"
    );
    Ok(())
}

/// Takes the newest model of each service out of the wheel; an incomplete file never gets its final name.
const EXTRACT: &str = r#"
import gzip, os, sys, zipfile
wheel, folder, *services = sys.argv[1:]
archive = zipfile.ZipFile(wheel)
for service in services:
    prefix = f"botocore/data/{service}/"
    names = [n for n in archive.namelist() if n.startswith(prefix) and n.endswith("/service-2.json.gz")]
    path = os.path.join(folder, service + ".json")
    with open(path + ".part", "wb") as out:
        out.write(gzip.decompress(archive.read(max(names))))
    os.rename(path + ".part", path)
"#;

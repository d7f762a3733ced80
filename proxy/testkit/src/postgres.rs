//! A real PostgreSQL of the test run's own, in a temporary folder.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// A running server without durability, reached through a socket in its folder.
///
/// It ends when its standard input does: dropped, or when the test process ends in whichever way.
#[derive(Debug)]
pub struct PostgresCluster {
    binaries: PathBuf,
    folder: PathBuf,
    databases: AtomicU32,
    script: Child,
    // Held open while the server is to run.
    stdin: Option<ChildStdin>,
}

impl PostgresCluster {
    /// The server that all tests of this process share.
    ///
    /// Fails where PostgreSQL is not installed: a suite that skips itself would pass without having run.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<PostgresCluster, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|text| anyhow!(text.clone()))
    }

    /// Starts a server for the caller alone.
    pub fn start() -> Result<Self> {
        let binaries = binaries()?;
        let mut script = script(&binaries)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start a shell for PostgreSQL")?;
        let stdin = script.stdin.take();
        let folder = folder(script.stdout.take(), script.stderr.take())?;
        Ok(Self {
            binaries,
            folder,
            databases: AtomicU32::new(0),
            script,
            stdin,
        })
    }

    /// Makes an empty database and returns its URL.
    pub fn database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(self.binaries.join("createdb"))
            .args(["--username=postgres", "--host"])
            .arg(&self.folder)
            .arg(&name)
            .output()
            .context("cannot run createdb")?;
        ensure!(
            made.status.success(),
            "createdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(format!(
            "postgres://postgres@localhost/{name}?host={}",
            self.folder.display()
        ))
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // The script ends once the server is down and its folder gone; there is nobody to tell if it could not.
        drop(self.script.wait());
    }
}

/// The newest of Debian's PostgreSQL servers.
fn binaries() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let binaries = entry.path().join("bin");
            binaries
                .join("initdb")
                .exists()
                .then_some((version, binaries))
        })
        .collect();
    found.sort();
    let newest = found.pop().context(
        "PostgreSQL is not installed: `apt-get install postgresql`, or run `make test`, which does",
    )?;
    Ok(newest.1)
}

/// The shell that runs the server, as `postgres` where we are root: initdb refuses root.
fn script(binaries: &Path) -> Result<Command> {
    let root = fs::metadata("/proc/self")
        .context("cannot tell who runs the tests")?
        .uid()
        == 0;
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "sh",
        ]);
        command
    } else {
        Command::new("sh")
    };
    // In `/`: the user `postgres` may not be let into the folder of the tests.
    command
        .args(["-c", SCRIPT, "sh"])
        .arg(binaries)
        .current_dir("/");
    Ok(command)
}

/// The server's folder, which the script names once the server answers.
fn folder(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Result<PathBuf> {
    let mut line = String::new();
    BufReader::new(stdout.context("no output")?).read_line(&mut line)?;
    if line.trim().is_empty() {
        let mut problem = String::new();
        stderr
            .context("no error output")?
            .read_to_string(&mut problem)?;
        bail!("PostgreSQL did not start: {problem}");
    }
    Ok(PathBuf::from(line.trim()))
}

const DEBIAN: &str = "/usr/lib/postgresql";

/// Collates as en-US by default, so that the store suite shows that the store does not rely on the default.
const SCRIPT: &str = r#"
set -eu
trap '' INT
dir=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-postgres.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --locale-provider=icu --icu-locale=en-US --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$1/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=200 -c fsync=off \
    -c full_page_writes=off -c shared_buffers=32MB >"$dir/log" 2>&1 &
server=$!
until "$1/pg_isready" --quiet --host="$dir"; do
    kill -0 $server 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.05
done
echo "$dir"
cat >/dev/null
kill -INT $server
wait $server || true
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_makes_databases_and_leaves_nothing() -> Result<()> {
        let cluster = PostgresCluster::start()?;
        let folder = cluster.folder.clone();
        assert_ne!(cluster.database()?, cluster.database()?);
        assert!(folder.join("data").exists());
        drop(cluster);
        assert!(!folder.exists(), "the folder stayed");
        Ok(())
    }
}

//! The process's own log: structured, to standard error or a file that can be opened anew after it was moved away.

mod json;

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use json::Json;

/// Starts logging; messages of `tracing` and of crates that use `log` go the same way.
///
/// Text on a terminal, one JSON object a line elsewhere.
pub(crate) fn start(level: Option<&str>, file: Option<PathBuf>) -> anyhow::Result<Sink> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", level.unwrap_or("info")))?;
    let json = file.is_some() || !io::stderr().is_terminal();
    let sink = Sink::open(file)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(sink.clone());
    let started = if json {
        builder.event_format(Json).try_init()
    } else {
        builder.try_init()
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    Ok(sink)
}

/// Where log lines go; cloning shares the file.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    path: Option<Arc<PathBuf>>,
    file: Option<Arc<Mutex<File>>>,
}

impl Sink {
    /// Standard error.
    #[cfg(test)]
    pub(crate) fn stderr() -> Self {
        Self {
            path: None,
            file: None,
        }
    }

    fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let file = path.as_deref().map(append).transpose()?;
        Ok(Self {
            path: path.map(Arc::new),
            file: file.map(|file| Arc::new(Mutex::new(file))),
        })
    }

    /// Opens the file anew; where that fails, lines go on into the old one.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        if let (Some(path), Some(file)) = (&self.path, &self.file) {
            let fresh = append(path)?;
            *file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Sink {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line(self.file.clone())
    }
}

/// Writes one line.
#[derive(Debug)]
pub(crate) struct Line(Option<Arc<Mutex<File>>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(file) => file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(bytes),
            None => io::stderr().lock().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.0 {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).flush(),
            None => io::stderr().lock().flush(),
        }
    }
}

/// Opens a file to add to it; a new one is for its owner and group only, since logs name callers.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
}

/// Pingora logs what callers do wrong, and its own retries, as errors; what matters of that is in the decision records.
/// A level that names these crates outdoes this.
const QUIET: &str = "pingora_core=off,pingora_proxy=off";

/// What a test logs.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_file_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sink = Sink::open(Some(path.clone())).unwrap();
        sink.make_writer().write_all(b"one\n").unwrap();
        let moved = dir.path().join("moved");
        std::fs::rename(&path, &moved).unwrap();
        sink.reopen().unwrap();
        sink.make_writer().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read(moved).unwrap(), b"one\n");
        assert_eq!(std::fs::read(path).unwrap(), b"two\n");
    }

    #[test]
    fn strangers_do_not_read_logs() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = append(&dir.path().join("log")).unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    }
}

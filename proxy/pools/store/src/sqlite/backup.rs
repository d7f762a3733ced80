//! An online copy of the store's file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::connection::{self, Options};
use crate::args;
use crate::error::{Error, Result};

/// Writes a copy as of now; it has its name only once it is whole and on disk.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let at = |source| Error::File {
        path: to.to_owned(),
        source,
    };
    // SQLite takes a relative name that begins with `file:` for a URI.
    let to = &std::path::absolute(to).map_err(at)?;
    if fs::exists(to).map_err(at)? {
        return Err(at(io::ErrorKind::AlreadyExists.into()));
    }
    let partial = partial(to);
    let end = match claim(&partial) {
        Ok(()) => vacuum(from, &partial).and_then(|()| settle(&partial, to).map_err(at)),
        Err(source) => {
            return Err(Error::File {
                path: partial,
                source,
            });
        }
    };
    if end.is_err() {
        // What failed is what the caller hears of; a left-over is refused by name at the next try.
        drop(fs::remove_file(&partial));
    }
    end
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Makes the empty file that VACUUM INTO fills, so that it is the owner's alone from the start.
fn claim(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// A reader of its own: `query_only` would refuse, and the writer goes on meanwhile.
fn vacuum(from: &Path, to: &Path) -> Result<()> {
    let connection = Options::new(from).open()?;
    let to = to.to_str().ok_or_else(|| Error::File {
        path: to.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidFilename, "the name is not UTF-8"),
    })?;
    connection::execute(&connection, &"VACUUM INTO $1".into(), &args![to])?;
    connection.close().map_err(|(_, error)| error.into())
}

fn settle(partial: &Path, to: &Path) -> io::Result<()> {
    let copy = File::open(partial)?;
    if copy.metadata()?.len() == 0 {
        return Err(io::Error::other("the copy is empty"));
    }
    copy.sync_all()?;
    fs::rename(partial, to)?;
    File::open(to.parent().unwrap_or(to))?.sync_all()
}

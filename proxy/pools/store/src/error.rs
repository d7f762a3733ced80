//! What can go wrong in the store, told without values of rows, arguments or URLs.

use std::borrow::Cow;
use std::path::PathBuf;

mod postgres;
mod sqlite;
mod violation;

pub use violation::Violation;

/// The store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store could not do it.
///
/// The driver's own errors are not kept as sources: PostgreSQL's hold row values in their detail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A unique index or primary key has the value already.
    #[error("a row with the same {0} exists")]
    Unique(Violation),
    /// A foreign key points to nothing, or something still points here.
    #[error("a foreign key does not hold: {0}")]
    ForeignKey(Violation),
    /// A NOT NULL or CHECK constraint does not hold.
    #[error("a constraint does not hold: {0}")]
    Constraint(Violation),
    /// Other transactions were in the way each time it was tried.
    #[error("gave up after other transactions were in the way {attempts} times")]
    Conflict {
        /// How often it was tried.
        attempts: u32,
    },
    /// The database did not do it in time.
    #[error("the store did not answer within {seconds} s")]
    TimedOut {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The database cannot be reached, or the connection broke; a write may or may not have been made.
    #[error("the store cannot be reached")]
    Connection {
        /// What the network said, where it said something.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The server cannot be used from the start.
    #[error("the database at {place} cannot be reached")]
    Unreachable {
        /// Its host and port.
        place: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The database's files are damaged, full or not a database.
    #[error("the store's files cannot be used: {what}")]
    Corrupt {
        /// The database's text, which names no values.
        what: Cow<'static, str>,
    },
    /// The database refused a statement.
    #[error("the store refused a statement: {message} (code {code})")]
    Statement {
        /// SQLSTATE, or SQLite's extended result code.
        code: String,
        /// The database's text where it cannot hold values.
        message: String,
    },
    /// An earlier statement of this transaction failed, so it cannot go on.
    #[error("an earlier statement of this transaction failed")]
    Aborted,
    /// The transaction's own code panicked.
    #[error("the work of a transaction panicked")]
    Panicked,
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
    /// A row is not as the code expects it.
    #[error("column `{column}`: {problem}")]
    Column {
        /// Its name in the result.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The place of the store is not written as it should be.
    #[error("`store`: {0}")]
    Target(Cow<'static, str>),
    /// The store was made or changed by a newer binary.
    #[error(
        "the store is at version {store}, this binary knows versions up to {binary}: run the newer binary, or restore a backup made before it ran"
    )]
    Newer {
        /// The newest migration that the store has.
        store: i64,
        /// The newest migration that this binary has.
        binary: i64,
    },
    /// A migration that the store has is not the one that this binary has under that version.
    #[error("migration {version} (`{name}`) in the store is not the one of this binary")]
    Changed {
        /// The migration's version.
        version: i64,
        /// Its name in this binary, or in the store where the binary has none.
        name: String,
    },
    /// A migration did not run; the store is as before it.
    #[error("migration {version} (`{name}`) failed")]
    Migration {
        /// The migration's version.
        version: i64,
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The list of migrations in the binary is not in order.
    #[error("migration {version} does not come after the one before it")]
    Order {
        /// The migration out of order.
        version: i64,
    },
    /// The file of a SQLite store is not where it was opened.
    #[error(
        "the store's file `{path}` was moved, deleted or replaced: put it back, or restart to use what is there"
    )]
    Moved {
        /// Where it was opened.
        path: PathBuf,
    },
    /// A file of a backup or of the store itself cannot be written.
    #[error("cannot write `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Only a SQLite store is a file to copy.
    #[error("the store is PostgreSQL: back it up with its own tools, such as `pg_dump`")]
    NotAFile,
}

impl Error {
    /// Whether a unique index or primary key was in the way; see [`Error::unique`] for which.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Unique(_))
    }

    /// The unique index or primary key that was in the way.
    pub fn unique(&self) -> Option<&Violation> {
        if let Self::Unique(violation) = self {
            Some(violation)
        } else {
            None
        }
    }

    pub(crate) fn column(column: &str, problem: &'static str) -> Self {
        Self::Column {
            column: column.to_owned(),
            problem,
        }
    }

    pub(crate) fn conflict() -> Self {
        Self::Conflict { attempts: 1 }
    }
}

//! One connection to the file. Its calls block, so they belong on the writer's thread or on one that may wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};

use crate::error::{Error, Result};
use crate::row::Row;
use crate::value::{Sql, Value};

/// The clock of the machine, which all processes that share the file share.
pub(crate) const NOW_MS: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms";

/// Which file, and how long others may be in the way.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) path: PathBuf,
    /// How long a statement waits for another process that writes the file.
    pub(super) busy: Duration,
    /// For how long another process may hold the lock, as a copying tool does, before writes are refused.
    pub(super) locked: Duration,
}

impl Options {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            busy: BUSY,
            locked: LOCKED,
        }
    }

    /// A connection that may write.
    pub(super) fn writer(&self) -> Result<Connection> {
        let connection = self.open()?;
        // FULL syncs the log at each commit: an answered write survives power loss, not only kill -9.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
        )?;
        Ok(connection)
    }

    /// A connection that refuses to write.
    pub(super) fn reader(&self) -> Result<Connection> {
        let connection = self.open()?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        Ok(connection)
    }

    /// A connection with SQLite's own defaults.
    pub(super) fn open(&self) -> Result<Connection> {
        // SQLite takes a relative name that begins with `file:` for a URI.
        let path = std::path::absolute(&self.path).map_err(|source| Error::File {
            path: self.path.clone(),
            source,
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(self.busy)?;
        connection.set_prepared_statement_cache_capacity(crate::STATEMENTS);
        // Without it a plan depends on the first arguments, and others make SQLite prepare the statement again each time.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    }
}

/// Tries again while another process is in the way, until it has been for `locked`.
pub(super) fn patiently<T>(locked: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let give_up = Instant::now() + locked;
    let mut attempts = 1;
    loop {
        match attempt() {
            Err(Error::Conflict { .. }) if Instant::now() < give_up => thread::sleep(PAUSE),
            Err(Error::Conflict { .. }) => return Err(Error::Conflict { attempts }),
            end => return end,
        }
        attempts += 1;
    }
}

/// Runs a statement without arguments: transactions and savepoints.
pub(super) fn control(connection: &Connection, sql: &'static str) -> Result<()> {
    execute(connection, &sql.into(), &[]).map(drop)
}

/// Runs a statement and counts the rows it changed.
pub(crate) fn execute(connection: &Connection, sql: &Sql, args: &[Value]) -> Result<u64> {
    let mut statement = bound(connection, sql, args)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(connection.changes())
}

/// Runs a statement and reads its rows.
pub(crate) fn rows(connection: &Connection, sql: &Sql, args: &[Value]) -> Result<Vec<Row>> {
    let mut statement = bound(connection, sql, args)?;
    let names: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let values = (0..names.len()).map(|at| value(row.get_ref(at)?, at));
        rows.push(Row::new(names.clone(), values.collect::<Result<_>>()?));
    }
    Ok(rows)
}

/// The statement with its arguments. To SQLite `$2` is a name, whose index is its place among the names of the text.
fn bound<'c>(connection: &'c Connection, sql: &Sql, args: &[Value]) -> Result<CachedStatement<'c>> {
    let mut statement = connection.prepare_cached(sql.as_str())?;
    for index in 1..=statement.parameter_count() {
        let number = statement
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let arg = number.and_then(|number| args.get(number.checked_sub(1)?));
        let arg = arg.ok_or_else(|| Error::Statement {
            code: "driver".to_owned(),
            message: format!("parameter {index} has no argument"),
        })?;
        statement.raw_bind_parameter(index, arg)?;
    }
    Ok(statement)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Int(Some(int)) => ValueRef::Integer(*int),
            Self::Text(None) | Self::Int(None) => ValueRef::Null,
        }))
    }
}

fn value(raw: ValueRef<'_>, at: usize) -> Result<Value> {
    let problem = match raw {
        ValueRef::Null => return Ok(Value::Text(None)),
        ValueRef::Integer(int) => return Ok(Value::Int(Some(int))),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => return Ok(Value::Text(Some(text.to_owned()))),
            Err(_) => "it is not UTF-8",
        },
        ValueRef::Real(_) | ValueRef::Blob(_) => "it is neither text nor an integer",
    };
    Err(Error::column(&at.to_string(), problem))
}

/// Between two attempts, where the database did not wait by itself.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
const BUSY: Duration = Duration::from_secs(5);
const LOCKED: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use testkit::SqliteFile;

    use super::*;
    use crate::args;

    fn connection(file: &SqliteFile, name: &str) -> Result<Connection> {
        let path = file.folder().join(name);
        super::super::make_private(&path)?;
        Options::new(&path).writer()
    }

    #[test]
    fn arguments_go_by_their_number() {
        let file = SqliteFile::new().unwrap();
        let connection = connection(&file, "store.db").unwrap();
        let row = |sql: &'static str| {
            rows(&connection, &sql.into(), &args!["a", "b"]).map(|mut rows| rows.remove(0))
        };
        let found = row("SELECT $2 AS second, $1 AS first, $2 AS again").unwrap();
        let text = |column| found.text(column).unwrap();
        assert_eq!(
            [text("first"), text("second"), text("again")],
            ["a", "b", "b"]
        );
        for sql in ["SELECT $3", "SELECT $0", "SELECT ?", "SELECT :name"] {
            let error = row(sql).unwrap_err().to_string();
            assert!(error.contains("parameter 1 has no argument"), "{error}");
        }
    }

    #[test]
    fn other_arguments_do_not_prepare_a_statement_again() {
        let file = SqliteFile::new().unwrap();
        let connection = connection(&file, "store.db").unwrap();
        let table = "CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b))";
        connection.execute_batch(table).unwrap();
        let sql = "SELECT MAX(b) FROM t WHERE (a = 'x' AND b = $1) OR (a = $2 AND b = '')";
        for arg in ["a", "b", "c", "x"] {
            rows(&connection, &sql.into(), &args![arg, arg]).unwrap();
        }
        let statement = connection.prepare_cached(sql).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 4);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn values_of_other_types_are_refused() {
        let file = SqliteFile::new().unwrap();
        let connection = connection(&file, "store.db").unwrap();
        for (sql, problem) in [
            ("SELECT 0.5", "neither text nor an integer"),
            ("SELECT x'00'", "neither text nor an integer"),
            ("SELECT CAST(x'ff' AS TEXT)", "not UTF-8"),
        ] {
            let error = rows(&connection, &sql.into(), &[]).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}

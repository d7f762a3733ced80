//! What PostgreSQL and its driver say went wrong.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;

use super::{Error, Violation};

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => database(error.as_ref()),
            sqlx::Error::Io(source) => Self::Connection {
                source: Some(source),
            },
            sqlx::Error::Tls(source) => Self::Connection {
                source: Some(std::io::Error::other(source.to_string())),
            },
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            | sqlx::Error::Protocol(_) => Self::Connection { source: None },
            sqlx::Error::Configuration(_) => Self::Target("the URL is not valid".into()),
            other => Self::Statement {
                code: "driver".to_owned(),
                message: shape(&other),
            },
        }
    }
}

/// The text of a driver's error that speaks of columns and types, and never of what is in them.
fn shape(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. } => error.to_string(),
        _ => "a value could not be read or written".to_owned(),
    }
}

fn database(error: &dyn DatabaseError) -> Error {
    let code = error.code().unwrap_or_default().into_owned();
    match error.kind() {
        ErrorKind::UniqueViolation => return Error::Unique(violation(error)),
        ErrorKind::ForeignKeyViolation => return Error::ForeignKey(violation(error)),
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
            return Error::Constraint(violation(error));
        }
        _ => {}
    }
    by_class(code, error.message())
}

/// SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>: the class is the first two characters.
fn by_class(code: String, message: &str) -> Error {
    match code.get(..2).unwrap_or_default() {
        // serialization_failure, deadlock_detected
        "40" => Error::conflict(),
        // connection, operator intervention (the server stops), wrong password or no such database
        "08" | "57" => Error::Connection {
            source: Some(std::io::Error::other(message.to_owned())),
        },
        "28" | "3D" => Error::Connection {
            source: Some(std::io::Error::other(format!(
                "the database refused to log in ({code})"
            ))),
        },
        // Data exceptions show the value that did not fit.
        "22" => Error::Statement {
            code,
            message: "a value does not fit".to_owned(),
        },
        "XX" => Error::Corrupt {
            what: message.to_owned().into(),
        },
        _ => Error::Statement {
            code,
            message: message.to_owned(),
        },
    }
}

fn violation(error: &dyn DatabaseError) -> Violation {
    let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else {
        return Violation::default();
    };
    let columns = match error.column() {
        Some(column) => vec![column.to_owned()],
        None => error.detail().map(key_columns).unwrap_or_default(),
    };
    Violation {
        table: error.table().map(str::to_owned),
        columns,
        constraint: error.constraint().map(str::to_owned),
    }
}

/// The columns in `Key (pool_id, name)=(…) already exists.`, whose values are left behind.
fn key_columns(detail: &str) -> Vec<String> {
    let Some((columns, _)) = detail
        .strip_prefix("Key (")
        .and_then(|rest| rest.split_once(")=("))
    else {
        return Vec::new();
    };
    columns
        .split(", ")
        .map(|column| column.trim_matches('"').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_give_columns_and_no_values() {
        assert_eq!(
            key_columns("Key (a, b)=(x)=(y, z) already exists."),
            ["a", "b"]
        );
        assert_eq!(
            key_columns("Key (lower(a))=(x) already exists."),
            ["lower(a)"]
        );
        assert!(key_columns("Failing row contains (1, secret).").is_empty());
    }
}

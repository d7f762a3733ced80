//! What SQLite says went wrong: <https://www.sqlite.org/rescode.html>.

use rusqlite::ffi::{
    SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_NOTNULL,
    SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE,
};

use super::{Error, Violation};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(code, message) => {
                by_code(code.extended_code, message.unwrap_or_default())
            }
            // It holds the statement as well, which is not to be shown.
            rusqlite::Error::SqlInputError { error, msg, .. } => by_code(error.extended_code, msg),
            _ => Self::Statement {
                code: "driver".to_owned(),
                message: "a value could not be read or written".to_owned(),
            },
        }
    }
}

fn by_code(code: i32, message: String) -> Error {
    match code {
        SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID => {
            Error::Unique(violation(&message))
        }
        SQLITE_CONSTRAINT_FOREIGNKEY => Error::ForeignKey(violation(&message)),
        SQLITE_CONSTRAINT_NOTNULL | SQLITE_CONSTRAINT_CHECK => {
            Error::Constraint(violation(&message))
        }
        // The low byte of an extended code is the primary one.
        code => match code & 0xff {
            5 | 6 => Error::conflict(), // BUSY, LOCKED
            10 | 11 | 13 | 14 | 26 => Error::Corrupt {
                what: message.into(),
            }, // IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
            _ => Error::Statement {
                code: code.to_string(),
                message,
            },
        },
    }
}

/// `UNIQUE constraint failed: users.pool_id, users.name`, or `…: index 'name'`, or `CHECK …: name`.
fn violation(message: &str) -> Violation {
    let mut violation = Violation::default();
    let Some((_, places)) = message.split_once("constraint failed: ") else {
        return violation;
    };
    if let Some(index) = places.strip_prefix("index '") {
        violation.constraint = Some(index.trim_end_matches('\'').to_owned());
        return violation;
    }
    for place in places.split(", ") {
        match place.split_once('.') {
            Some((table, column)) => {
                violation.table = Some(table.to_owned());
                violation.columns.push(column.to_owned());
            }
            None => violation.constraint = Some(place.to_owned()),
        }
    }
    violation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_read_from_texts() {
        let unique = violation("UNIQUE constraint failed: users.pool_id, users.name");
        assert_eq!(unique.table.as_deref(), Some("users"));
        assert!(unique.is_over(&["name", "pool_id"]));
        assert!(!unique.is_over(&["name"]));
        let index = violation("UNIQUE constraint failed: index 'by_lower'");
        assert_eq!(index.constraint.as_deref(), Some("by_lower"));
        assert_eq!(
            violation("FOREIGN KEY constraint failed"),
            Violation::default()
        );
        let check = violation("CHECK constraint failed: positive");
        assert_eq!(check.constraint.as_deref(), Some("positive"));
    }
}

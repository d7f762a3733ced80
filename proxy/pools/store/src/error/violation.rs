//! Which constraint a statement ran into, read from what each database tells of it.

use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

/// The constraint in the way, as far as the database names it; never the values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violation {
    /// The table, where known.
    pub table: Option<String>,
    /// The columns, where known.
    pub columns: Vec<String>,
    /// The constraint's or index's name, where known (SQLite names it only for indexes on expressions).
    pub constraint: Option<String>,
}

impl Violation {
    pub(super) fn of(error: &dyn DatabaseError) -> Self {
        match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => Self::postgres(error),
            None => Self::sqlite(error.message()),
        }
    }

    /// Whether the constraint is over exactly these columns, in any order.
    pub fn is_over(&self, columns: &[&str]) -> bool {
        self.columns.len() == columns.len() && columns.iter().all(|column| self.has(column))
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
    }

    fn postgres(error: &PgDatabaseError) -> Self {
        let columns = match error.column() {
            Some(column) => vec![column.to_owned()],
            None => error.detail().map(key_columns).unwrap_or_default(),
        };
        Self {
            table: error.table().map(str::to_owned),
            columns,
            constraint: error.constraint().map(str::to_owned),
        }
    }

    /// `UNIQUE constraint failed: users.pool_id, users.name`, or `…: index 'name'`, or `CHECK …: name`.
    fn sqlite(message: &str) -> Self {
        let mut violation = Self::default();
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
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.columns.is_empty() {
            return f.write_str(self.constraint.as_deref().unwrap_or("key"));
        }
        f.write_str(&self.columns.join(", "))
    }
}

/// The columns in PostgreSQL's `Key (pool_id, name)=(…) already exists.`, whose values are left behind.
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
    fn sqlite_texts() {
        let unique = Violation::sqlite("UNIQUE constraint failed: users.pool_id, users.name");
        assert_eq!(unique.table.as_deref(), Some("users"));
        assert!(unique.is_over(&["name", "pool_id"]));
        assert!(!unique.is_over(&["name"]));
        let index = Violation::sqlite("UNIQUE constraint failed: index 'by_lower'");
        assert_eq!(index.constraint.as_deref(), Some("by_lower"));
        assert_eq!(
            Violation::sqlite("FOREIGN KEY constraint failed"),
            Violation::default()
        );
        let check = Violation::sqlite("CHECK constraint failed: positive");
        assert_eq!(check.constraint.as_deref(), Some("positive"));
    }

    #[test]
    fn postgres_details_give_columns_and_no_values() {
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

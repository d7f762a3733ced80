//! Which constraint a statement ran into.

use std::fmt;

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
    /// Whether the constraint is over exactly these columns, in any order.
    pub fn is_over(&self, columns: &[&str]) -> bool {
        self.columns.len() == columns.len() && columns.iter().all(|column| self.has(column))
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
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

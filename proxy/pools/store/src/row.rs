//! What comes out of a statement: rows of text and integers, by column name.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::value::Value;

/// One row of a result.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The text of a column that is never NULL.
    pub fn text(&self, column: &str) -> Result<String> {
        self.opt_text(column)?
            .ok_or_else(|| Error::column(column, "it is null"))
    }

    /// The text of a column, or `None` for NULL.
    pub fn opt_text(&self, column: &str) -> Result<Option<String>> {
        match self.value(column)? {
            Value::Text(text) => Ok(text.clone()),
            Value::Int(None) => Ok(None),
            Value::Int(Some(_)) => Err(Error::column(column, "it is an integer, not text")),
        }
    }

    /// The integer of a column that is never NULL.
    pub fn int(&self, column: &str) -> Result<i64> {
        self.opt_int(column)?
            .ok_or_else(|| Error::column(column, "it is null"))
    }

    /// The integer of a column, or `None` for NULL.
    pub fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        match self.value(column)? {
            Value::Int(int) => Ok(*int),
            Value::Text(None) => Ok(None),
            Value::Text(Some(_)) => Err(Error::column(column, "it is text, not an integer")),
        }
    }

    /// A column that holds 0 for false and 1 for true.
    pub fn flag(&self, column: &str) -> Result<bool> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::column(column, "it is neither 0 nor 1")),
        }
    }

    fn value(&self, column: &str) -> Result<&Value> {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| self.values.get(at))
            .ok_or_else(|| Error::column(column, "the statement does not return it"))
    }
}

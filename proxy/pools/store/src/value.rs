//! What goes into a statement: its text and its arguments.

use std::borrow::Cow;

/// The text of one statement, without values: they are arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql(Cow<'static, str>);

impl Sql {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_inner(self) -> Cow<'static, str> {
        self.0
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

/// One value of a statement's arguments or of a row: nothing else is stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// TEXT, or a NULL typed as such.
    Text(Option<String>),
    /// BIGINT, or a NULL typed as such.
    Int(Option<i64>),
}

/// Shows the shape alone: rows hold user attributes.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(Some(_)) => "text",
            Self::Int(Some(_)) => "int",
            Self::Text(None) | Self::Int(None) => "null",
        })
    }
}

/// Values by reference that can be arguments: `args!` takes a reference, so nothing is moved out of the caller.
pub trait Argument {
    /// The value to bind.
    fn value(&self) -> Value;
}

/// The arguments of a statement in their order: `args![name, 7_i64, true, None::<String>]`.
///
/// Takes text, `i64` (and what fits into it), `bool` as 0 or 1, and `Option` of those.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        ::std::vec![$($crate::Argument::value(&$value)),*]
    };
}

impl Argument for Value {
    fn value(&self) -> Value {
        self.clone()
    }
}

impl Argument for str {
    fn value(&self) -> Value {
        Value::Text(Some(self.to_owned()))
    }
}

impl Argument for String {
    fn value(&self) -> Value {
        self.as_str().value()
    }
}

impl Argument for Cow<'_, str> {
    fn value(&self) -> Value {
        self.as_ref().value()
    }
}

impl<T: Argument + ?Sized> Argument for &T {
    fn value(&self) -> Value {
        (**self).value()
    }
}

impl Argument for bool {
    fn value(&self) -> Value {
        Value::Int(Some(i64::from(*self)))
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Argument for $int {
            fn value(&self) -> Value {
                Value::Int(Some(i64::from(*self)))
            }
        }
        impl Argument for Option<$int> {
            fn value(&self) -> Value {
                Value::Int(self.map(i64::from))
            }
        }
    )*};
}
integers!(i64, i32, u32, u16, u8);

macro_rules! optional_text {
    ($($text:ty),*) => {$(
        impl Argument for Option<$text> {
            fn value(&self) -> Value {
                Value::Text(self.as_ref().map(|text| AsRef::<str>::as_ref(text).to_owned()))
            }
        }
    )*};
}
optional_text!(String, &str, &String, Cow<'_, str>);

impl Argument for Option<bool> {
    fn value(&self) -> Value {
        Value::Int(self.map(i64::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_take_references_and_options() {
        let name = String::from("a");
        let none: Option<&str> = None;
        let by_reference = &Some(3_i64);
        let args = args![
            name,
            &name,
            "b",
            7_i64,
            true,
            none,
            by_reference,
            Some(name.clone())
        ];
        let text = |s: &str| Value::Text(Some(s.into()));
        let int = |i| Value::Int(Some(i));
        let expected = [
            text("a"),
            text("a"),
            text("b"),
            int(7),
            int(1),
            Value::Text(None),
            int(3),
            text("a"),
        ];
        assert_eq!(args, expected);
    }

    #[test]
    fn values_do_not_reach_debug() {
        let shown = format!("{:?}", args!["secret", 41_i64, None::<i64>]);
        assert_eq!(shown, "[text, int, null]");
    }
}

//! Addresses and times, as Cedar takes them.
//!
//! Cedar reads the name of an extension type anew whenever it is asked for one of its values, which takes ten times as long
//! as a decision. So the last ones are remembered: callers come again, and others come within the same millisecond.

use std::sync::LazyLock;

use cedar_policy::RestrictedExpression;
use quick_cache::sync::Cache;

use crate::{project::extension, schema::Extension};

/// The value `ip("…")`.
pub(super) fn address(text: &str) -> RestrictedExpression {
    static LAST: Last = LazyLock::new(|| Cache::new(4096));
    of(&LAST, text, Extension::Ip)
}

/// The value `datetime("…")`.
pub(super) fn time(text: &str) -> RestrictedExpression {
    // A time that is over does not come again.
    static LAST: Last = LazyLock::new(|| Cache::new(16));
    of(&LAST, text, Extension::Datetime)
}

type Last = LazyLock<Cache<Box<str>, RestrictedExpression>>;

fn of(
    last: &Cache<Box<str>, RestrictedExpression>,
    text: &str,
    kind: Extension,
) -> RestrictedExpression {
    if let Some(value) = last.get(text) {
        return value;
    }
    let value = extension(text, kind);
    last.insert(text.into(), value.clone());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_kept() {
        let last = Cache::new(16);
        for _ in 0..2 {
            of(&last, "10.0.0.1", Extension::Ip);
            assert_eq!(last.len(), 1);
        }
    }

    #[test]
    fn values_are_of_their_texts_again_and_again() {
        let written = |value: RestrictedExpression| format!("{value:?}");
        for _ in 0..2 {
            for number in 0..40 {
                let (ip, at) = (
                    format!("10.0.0.{number}"),
                    format!("2026-01-01T00:00:{number:02}.000Z"),
                );
                let expected = written(RestrictedExpression::new_ip(&ip));
                assert_eq!(written(address(&ip)), expected);
                let expected = written(RestrictedExpression::new_datetime(&at));
                assert_eq!(written(time(&at)), expected);
            }
        }
    }
}

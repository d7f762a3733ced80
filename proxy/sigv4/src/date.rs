//! The two dates of a signature: `20150830T123600Z` and its day.

use std::time::SystemTime;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// `20150830T123600Z`.
pub(crate) fn stamp(time: OffsetDateTime) -> Option<String> {
    time.format(STAMP).ok()
}

/// The time of a stamp; only exactly that form is one.
pub(crate) fn parse(text: &str) -> Option<OffsetDateTime> {
    PrimitiveDateTime::parse(text, STAMP)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

/// The day of a stamp.
pub(crate) fn day(stamp: &str) -> &str {
    stamp.get(..8).unwrap_or_default()
}

/// The clock's time, in whole seconds.
pub(crate) fn utc(now: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(now)
        .replace_nanosecond(0)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_basic_form_is_a_stamp() {
        let time = parse("20150830T123600Z").unwrap();
        assert_eq!(stamp(time).as_deref(), Some("20150830T123600Z"));
        assert_eq!(day("20150830T123600Z"), "20150830");
        for text in [
            "",
            "2015-08-30T12:36:00Z",
            "20150830T123600",
            "20150830T123600+0000",
            "20151330T123600Z",
            " 20150830T123600Z",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}

//! Times: epoch milliseconds inside, and the two forms AWS writes.

use std::time::{Duration, SystemTime};

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time written as fractional seconds since the epoch; holds milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochSeconds(pub i64);

/// A time written as ISO 8601 text in UTC; holds milliseconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub i64);

impl From<SystemTime> for EpochSeconds {
    fn from(time: SystemTime) -> Self {
        Self(millis(time))
    }
}

impl From<SystemTime> for DateTime {
    fn from(time: SystemTime) -> Self {
        Self(millis(time))
    }
}

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since the epoch stay under 2^53 for 285,000 years"
        )]
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for EpochSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(&Value::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| invalid::<D>())
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
        serializer.serialize_str(
            &text.ok_or_else(|| serde::ser::Error::custom("a time beyond the calendar"))?,
        )
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(&Value::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| invalid::<D>())
    }
}

/// Either form, as AWS's own decoders take both.
pub(crate) fn parse(value: &Value) -> Option<i64> {
    if let Some(text) = value.as_str() {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        return i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok();
    }
    let seconds = value
        .as_f64()
        .filter(|seconds| seconds.abs() < LATEST_SECONDS)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    Some((seconds * 1000.0).round() as i64)
}

fn invalid<'de, D: Deserializer<'de>>() -> D::Error {
    D::Error::invalid_value(Unexpected::Other("no time"), &"a time")
}

fn millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The end of the year 9999, the last that ISO 8601 text can hold.
const LATEST_SECONDS: f64 = 253_402_300_800.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_milliseconds_as_a_fraction() {
        assert_eq!(
            serde_json::to_string(&EpochSeconds(1_524_694_800_123)).unwrap(),
            "1524694800.123"
        );
        assert_eq!(
            serde_json::from_str::<EpochSeconds>("1.524694800123E9").unwrap(),
            EpochSeconds(1_524_694_800_123)
        );
        assert_eq!(
            serde_json::from_str::<EpochSeconds>("7").unwrap(),
            EpochSeconds(7000)
        );
        assert!(serde_json::from_str::<EpochSeconds>("1e300").is_err());
        assert!(serde_json::from_str::<EpochSeconds>("true").is_err());
    }

    #[test]
    fn date_times_are_iso_8601() {
        assert_eq!(
            serde_json::to_string(&DateTime(1_714_566_896_789)).unwrap(),
            "\"2024-05-01T12:34:56.789Z\""
        );
        assert_eq!(
            serde_json::from_str::<DateTime>("\"2024-05-01T14:34:56+02:00\"").unwrap(),
            DateTime(1_714_566_896_000)
        );
        assert!(serde_json::from_str::<DateTime>("\"yesterday\"").is_err());
    }
}

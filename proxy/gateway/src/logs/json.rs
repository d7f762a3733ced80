//! A log line as one JSON object.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

/// Time, level, message, facts and target, without spans.
///
/// Messages of crates that use `log` come with the place in their source as fields; it names folders of the machine that
/// built them, and is left out.
#[derive(Debug)]
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let meta = event.metadata();
        let mut line = Line {
            target: meta.target().to_owned(),
            facts: vec![
                ("timestamp", time.into()),
                ("level", meta.level().as_str().into()),
            ],
        };
        event.record(&mut line);
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

struct Line {
    target: String,
    facts: Vec<(&'static str, Value)>,
}

impl Line {
    fn fact(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        if !name.starts_with("log.") {
            self.facts.push((name, value.into()));
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let facts = self.facts.iter().map(|(name, value)| (*name, value));
        let target = Value::from(&*self.target);
        serializer.collect_map(facts.chain([("target", &target)]))
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fact(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fact(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fact(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fact(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // The target of a message of `log` is `log`; its own comes as a field.
        if field.name() == "log.target" {
            value.clone_into(&mut self.target);
        }
        self.fact(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fact(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    use super::*;
    use crate::logs::Captured;

    #[test]
    fn lines_say_what_happened_and_not_where_in_the_source() {
        let log = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(log.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::warn!(what = %"pools", count = 3, well = false, why = "a\nb", "Something");
            tracing::info!(
                log.target = "pingora",
                log.file = "/build/a.rs",
                log.line = 7,
                log.module_path = "m",
                "Theirs"
            );
        });
        let lines: Vec<Value> = log
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let time = lines[0]["timestamp"].as_str().unwrap();
        assert!(OffsetDateTime::parse(time, &Rfc3339).is_ok(), "{time}");
        let expected = serde_json::json!({
            "timestamp": time, "level": "WARN", "message": "Something", "target": "portcullis::logs::json::tests",
            "what": "pools", "count": 3, "well": false, "why": "a\nb",
        });
        assert_eq!(lines[0], expected);
        let time = &lines[1]["timestamp"];
        let expected = serde_json::json!({"timestamp": time, "level": "INFO", "message": "Theirs", "target": "pingora"});
        assert_eq!(lines[1], expected);
    }
}

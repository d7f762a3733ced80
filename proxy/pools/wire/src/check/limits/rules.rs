//! What single rules say, and how AWS shows values.

use serde_json::Value;

use crate::shape::{Kind, Shape};

/// Whether a value of the shape holds no others.
pub(super) fn scalar(shape: &Shape) -> bool {
    !matches!(
        shape.kind,
        Kind::Structure { .. } | Kind::List { .. } | Kind::Map { .. }
    )
}

/// The rules of `shape` itself that `value` breaks.
pub(super) fn broken(shape: &Shape, value: &Value) -> Vec<String> {
    match (&shape.kind, value) {
        (Kind::Text { min, max, .. }, Value::String(text)) => {
            let mut rules = sizes(text.chars().count(), *min, *max);
            rules.extend(forms(shape, text));
            rules
        }
        (Kind::Blob { min, max }, Value::String(text)) => sizes(decoded_length(text), *min, *max),
        (Kind::List { min, max, .. }, Value::Array(items)) => sizes(items.len(), *min, *max),
        (Kind::Map { min, max, .. }, Value::Object(object)) => sizes(object.len(), *min, *max),
        (Kind::Integer { min, max }, Value::Number(number)) => {
            range(number.as_i64().unwrap_or_default(), *min, *max)
        }
        _ => Vec::new(),
    }
}

fn sizes(size: usize, min: Option<i64>, max: Option<i64>) -> Vec<String> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let above = most(max.filter(|max| size > *max));
    let below = least(min.filter(|min| size < *min));
    above.into_iter().chain(below).collect()
}

fn range(number: i64, min: Option<i64>, max: Option<i64>) -> Vec<String> {
    let above = max.filter(|max| number > *max);
    let below = min.filter(|min| number < *min);
    let above = above.map(|max| format!("Member must have value less than or equal to {max}"));
    let below = below.map(|min| format!("Member must have value greater than or equal to {min}"));
    above.into_iter().chain(below).collect()
}

/// Pattern and set of values.
fn forms(shape: &Shape, text: &str) -> Vec<String> {
    let Kind::Text {
        pattern, values, ..
    } = &shape.kind
    else {
        return Vec::new();
    };
    let pattern = pattern.filter(|pattern| !pattern.matches(text));
    let outside = !values.is_empty() && !values.contains(&text);
    let pattern = pattern.map(|pattern| matching(pattern.source()));
    pattern
        .into_iter()
        .chain(outside.then(|| one_of(values)))
        .collect()
}

/// Every rule of `shape`, as AWS lists them for the items of a list.
pub(super) fn all(shape: &Shape, null: bool) -> String {
    let mut rules = Vec::new();
    if let Kind::Text {
        min,
        max,
        pattern,
        values,
    } = &shape.kind
    {
        rules.extend(most(*max));
        rules.extend(least(*min));
        rules.extend(pattern.map(|pattern| matching(pattern.source())));
        rules.extend((!values.is_empty()).then(|| one_of(values)));
    }
    rules.extend(null.then(|| NOT_NULL.to_owned()));
    rules.join(", ")
}

fn most(max: Option<i64>) -> Option<String> {
    max.map(|max| format!("Member must have length less than or equal to {max}"))
}

fn least(min: Option<i64>) -> Option<String> {
    min.map(|min| format!("Member must have length greater than or equal to {min}"))
}

fn matching(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn one_of(values: &[&str]) -> String {
    format!(
        "Member must satisfy enum value set: [{}]",
        values.join(", ")
    )
}

/// Bytes that a base64 text stands for.
fn decoded_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// A value as Java writes it; `None` for what holds structures, whose parts may be sensitive.
pub(super) fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => "null".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!(
            "[{}]",
            items
                .iter()
                .map(leaf)
                .collect::<Option<Vec<_>>>()?
                .join(", ")
        ),
        Value::Object(object) => {
            let entry = |(name, value): (&String, &Value)| Some(format!("{name}={}", leaf(value)?));
            format!(
                "{{{}}}",
                object
                    .iter()
                    .map(entry)
                    .collect::<Option<Vec<_>>>()?
                    .join(", ")
            )
        }
        scalar => scalar.to_string(),
    };
    Some(match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    })
}

fn leaf(value: &Value) -> Option<String> {
    match value {
        Value::Array(_) | Value::Object(_) => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The rule of a member that must be there.
pub(super) const NOT_NULL: &str = "Member must not be null";

/// Characters of a value that are shown.
const LONGEST: usize = 1024;

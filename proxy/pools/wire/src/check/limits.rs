//! Limits: every one that is broken is reported, in the model's order, with AWS's text.

mod rules;

use serde_json::{Map, Value};

use crate::shape::{Kind, Member, Shape};
use rules::{NOT_NULL, all, broken, scalar, shown};

/// One broken limit: its text, with the value and the path in it.
pub(super) fn violations(shape: &Shape, value: &Value) -> Vec<String> {
    let mut walk = Walk {
        path: String::new(),
        found: Vec::new(),
    };
    walk.value(shape, value);
    walk.found
}

/// AWS's sentence over all violations.
pub(super) fn message(found: &[String]) -> String {
    let plural = if found.len() == 1 { "error" } else { "errors" };
    format!(
        "{} validation {plural} detected: {}",
        found.len(),
        found.join("; ")
    )
}

struct Walk {
    /// The members down to here, as `userAttributes.1.member`.
    path: String,
    found: Vec<String>,
}

impl Walk {
    fn value(&mut self, shape: &Shape, value: &Value) {
        if self.found.len() >= MOST {
            return;
        }
        match (&shape.kind, value) {
            (Kind::Structure { members, .. }, Value::Object(object)) => {
                self.members(members, object);
            }
            (Kind::List { item, .. }, Value::Array(items)) => {
                self.own(shape, value);
                self.items(shape, item, items);
            }
            (
                Kind::Map {
                    key, value: inner, ..
                },
                Value::Object(object),
            ) => {
                self.own(shape, value);
                self.entries(shape, key, inner, object);
            }
            _ => self.own(shape, value),
        }
    }

    fn members(&mut self, members: &[Member], object: &Map<String, Value>) {
        for member in members {
            let value = object.get(member.name).unwrap_or(&Value::Null);
            let length = self.enter(&lower_first(member.name));
            if !value.is_null() {
                self.value(member.shape, value);
            } else if member.required {
                self.report(member.shape, value, NOT_NULL);
            }
            self.path.truncate(length);
        }
    }

    /// Items that are structures have paths of their own; others are reported as one, at the list.
    fn items(&mut self, list: &Shape, item: &Shape, items: &[Value]) {
        if scalar(item) {
            if items
                .iter()
                .any(|value| value.is_null() || !broken(item, value).is_empty())
            {
                let rules = all(item, items.iter().any(Value::is_null));
                let shown = Value::Array(items.to_vec());
                self.report_as(
                    list.sensitive || item.sensitive,
                    &shown,
                    &format!("Member must satisfy constraint: [{rules}]"),
                );
            }
            return;
        }
        for (index, value) in items.iter().enumerate() {
            let length = self.enter(&format!("{}.member", index + 1));
            if value.is_null() {
                self.report(item, value, NOT_NULL);
            } else {
                self.value(item, value);
            }
            self.path.truncate(length);
        }
    }

    fn entries(&mut self, map: &Shape, key: &Shape, inner: &Shape, object: &Map<String, Value>) {
        let hidden = map.sensitive || key.sensitive || inner.sensitive;
        if object
            .keys()
            .any(|name| !broken(key, &Value::String(name.clone())).is_empty())
        {
            self.report_as(
                hidden,
                &Value::Object(object.clone()),
                &format!("Map keys must satisfy constraint: [{}]", all(key, false)),
            );
        }
        let null = object.values().any(Value::is_null);
        if null
            || (scalar(inner)
                && object
                    .values()
                    .any(|value| !broken(inner, value).is_empty()))
        {
            let rules = all(inner, null);
            self.report_as(
                hidden,
                &Value::Object(object.clone()),
                &format!("Map value must satisfy constraint: [{rules}]"),
            );
        }
        if !scalar(inner) {
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                let length = self.enter(&format!("{name}.member"));
                self.value(inner, value);
                self.path.truncate(length);
            }
        }
    }

    fn own(&mut self, shape: &Shape, value: &Value) {
        for rule in broken(shape, value) {
            self.report(shape, value, &rule);
        }
    }

    fn report(&mut self, shape: &Shape, value: &Value, rule: &str) {
        self.report_as(shape.sensitive, value, rule);
    }

    fn report_as(&mut self, hidden: bool, value: &Value, rule: &str) {
        if self.found.len() >= MOST {
            return;
        }
        let shown = match (hidden, shown(value)) {
            (false, Some(_)) if value.is_null() => " null".into(),
            (false, Some(text)) => format!(" '{text}'"),
            _ => String::new(),
        };
        self.found.push(format!(
            "Value{shown} at '{}' failed to satisfy constraint: {rule}",
            self.path
        ));
    }

    /// Goes down one step; the length to come back to.
    fn enter(&mut self, step: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        length
    }
}

/// `UserPoolId` → `userPoolId`, as Java's bean properties are called.
fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

/// Violations reported; a request may hold thousands of bad items.
const MOST: usize = 50;

//! Calls of AWS's services: `SERVICE.OPERATION` on the first line, then what the protocol sends; REST has path and query first.
//!
//! What the tables accept the types accept; what the types say is accepted again, is nothing new, and stays as it is.

use http::{HeaderMap, Method};
use serde::Serialize;
use serde_json::Value;
use wire::{
    Rejected, Request, Spec, Visitor, check, identity, idp, json, operator, permissions, query,
    rest, sts, sync,
};

pub(super) fn run(data: &[u8]) {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (name, body) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(name) = str::from_utf8(name) else {
        return;
    };
    let (service, operation) = name.split_once('.').unwrap_or_default();
    macro_rules! of {
        ($module:ident) => {
            if let Some(operation) = $module::Operation::from_name(operation) {
                let spec = operation.spec();
                if let Some(value) = decoded(spec, service, body) {
                    operation.visit(Typed { spec, value });
                }
            }
        };
    }
    match service {
        "idp" => of!(idp),
        "identity" => of!(identity),
        "sync" => of!(sync),
        "sts" => of!(sts),
        "permissions" => of!(permissions),
        "operator" => of!(operator),
        _ => everywhere(data),
    }
}

/// A request's value, if it is one of this operation.
fn decoded(spec: &Spec, service: &str, body: &[u8]) -> Option<Value> {
    let found = match service {
        "sync" => return by_path(spec, body),
        "sts" => query::parameters(body).and_then(|form| query::decode(spec.input, &form)),
        _ => json::decode(spec.input, body),
    };
    match found {
        Ok(value) => Some(value),
        Err(Rejected::Invalid(message)) => {
            assert!(!message.is_empty(), "{}: refused for nothing", spec.name);
            None
        }
        Err(Rejected::Malformed(_)) => None,
    }
}

fn by_path(spec: &Spec, data: &[u8]) -> Option<Value> {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let body = data.get(end + 1..).unwrap_or_default();
    let target = str::from_utf8(&data[..end]).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method: Method = spec.method.parse().unwrap();
    let found = rest::matches(spec, &method, path)?;
    let value = rest::decode(spec.input, &found, query, &HeaderMap::new(), body).ok()?;
    for (name, given) in &found {
        assert!(holds_text(&value, given), "{name} of the path is lost");
    }
    Some(value)
}

fn holds_text(value: &Value, text: &str) -> bool {
    let mut members = value.as_object().expect("a request is an object").values();
    members.any(|member| member == text)
}

/// Bytes that name no operation, as the body of each.
fn everywhere(body: &[u8]) {
    macro_rules! each {
        ($($module:ident),*) => {
            $(for operation in $module::Operation::ALL {
                let spec = operation.spec();
                if let Ok(value) = json::decode(spec.input, body) {
                    operation.visit(Typed { spec, value });
                }
            })*
        };
    }
    each!(idp, identity, sync, sts, permissions, operator);
}

/// A checked value, for the type of its operation.
struct Typed {
    spec: &'static Spec,
    value: Value,
}

impl Visitor for Typed {
    type Output = ();

    fn visit<R: Request + Serialize>(self) {
        let name = self.spec.name;
        // Only what the tables cannot say is left, such as a union's member beside a null one.
        let Ok(request) = wire::typed::<R>(self.value.clone()) else {
            return;
        };
        let once = serde_json::to_value(&request).unwrap();
        assert!(
            within(&once, &self.value),
            "{name}: {once} is not in {}",
            self.value
        );
        if let Err(rejected) = check(self.spec.input, &once) {
            panic!("{name}: what was accepted is not any more: {rejected}");
        }
        let again: R = wire::typed(once.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), once, "{name}");
    }
}

/// Whether one value has nothing that the other one has not; times may be written otherwise.
fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, value)| whole.get(name).is_some_and(|other| within(value, other))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(a, b)| within(a, b))
        }
        (Value::Number(_), Value::Number(_) | Value::String(_)) => true,
        _ => part == whole,
    }
}

//! restJson: members stand in path, query, headers and body.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::check::{Rejected, check};
use crate::operation::Spec;
use crate::query::{Parameters, parameters};
use crate::shape::{Kind, Location, Member, Shape};

/// The placeholders of `spec`'s path, if method and path are its own.
pub fn matches(spec: &Spec, method: &http::Method, path: &str) -> Option<Parameters> {
    if spec.method != method.as_str() {
        return None;
    }
    let template = spec.uri.split('?').next().unwrap_or_default();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut found = Parameters::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(wanted), Some(given)) => match wanted
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
            {
                Some(name) if !given.is_empty() => {
                    found.insert(
                        name.to_owned(),
                        percent_decode_str(given).decode_utf8().ok()?.into_owned(),
                    );
                }
                None if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The value of a checked request.
pub fn decode(
    shape: &Shape,
    path: &Parameters,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Rejected> {
    let Kind::Structure { members, .. } = &shape.kind else {
        return Err(Rejected::Malformed(String::new()));
    };
    let query = parameters(query.as_bytes())?;
    let mut object = body_object(body)?;
    for member in *members {
        let text = match member.location {
            Location::Body => continue,
            Location::Uri(name) => path.get(name).cloned(),
            Location::Query(name) => query.get(name).cloned(),
            Location::Header(name) => headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        };
        // What the body says of such a member does not count.
        match text {
            Some(text) => object.insert(member.name.to_owned(), scalar(member, text)),
            None => object.remove(member.name),
        };
    }
    let value = Value::Object(object);
    check(shape, &value)?;
    Ok(value)
}

fn body_object(body: &[u8]) -> Result<Map<String, Value>, Rejected> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|_| Rejected::Malformed(String::new()))
}

fn scalar(member: &Member, text: String) -> Value {
    match member.shape.kind {
        Kind::Integer { .. } => text.parse().map_or(Value::String(text), i64::into),
        Kind::Boolean => text.parse().map_or(Value::String(text), bool::into),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::sync::Operation;

    fn route(method: &Method, path: &str) -> Vec<Operation> {
        let mine = |operation: &&Operation| matches(operation.spec(), method, path).is_some();
        Operation::ALL.iter().filter(mine).copied().collect()
    }

    #[test]
    fn each_path_belongs_to_one_operation() {
        for operation in Operation::ALL {
            let spec = operation.spec();
            let path = spec.uri.split('?').next().unwrap().replace(['{', '}'], "");
            assert_eq!(
                route(&spec.method.parse().unwrap(), &path),
                [*operation],
                "{path}"
            );
        }
        assert_eq!(route(&Method::GET, "/identitypools/"), []);
        assert_eq!(route(&Method::PUT, "/identitypools"), []);
    }

    #[test]
    fn members_are_taken_from_where_they_stand() {
        let spec = Operation::ListRecords.spec();
        let path = "/identitypools/us-east-1%3A1f/identities/us-east-1%3A2e/datasets/notes/records";
        let found = matches(spec, &Method::GET, path).unwrap();
        let value = decode(
            spec.input,
            &found,
            "lastSyncCount=7&maxResults=5",
            &HeaderMap::new(),
            b"",
        )
        .unwrap();
        assert_eq!(
            value,
            json!({
                "IdentityPoolId": "us-east-1:1f", "IdentityId": "us-east-1:2e", "DatasetName": "notes",
                "LastSyncCount": 7, "MaxResults": 5
            })
        );
        let wrong = decode(spec.input, &found, "maxResults=few", &HeaderMap::new(), b"");
        assert!(matches!(wrong, Err(Rejected::Malformed(_))));
    }

    #[test]
    fn the_body_cannot_speak_for_the_path() {
        let spec = Operation::UpdateRecords.spec();
        let path = "/identitypools/us-east-1:1f/identities/us-east-1:2e/datasets/notes";
        let found = matches(spec, &Method::POST, path).unwrap();
        let body = br#"{"SyncSessionToken":"t","IdentityId":"us-east-1:ff"}"#;
        let value = decode(spec.input, &found, "", &HeaderMap::new(), body).unwrap();
        assert_eq!(value.get("IdentityId"), Some(&json!("us-east-1:2e")));
    }
}

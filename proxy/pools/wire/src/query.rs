//! awsQuery: a form in, XML out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::check::{Rejected, check};
use crate::operation::{Service, Spec};
use crate::shape::{Kind, Member, Shape};

/// A form's parameters.
pub type Parameters = BTreeMap<String, String>;

/// Reads `application/x-www-form-urlencoded`; of a name given twice the last counts.
pub fn parameters(body: &[u8]) -> Result<Parameters, Rejected> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| Ok((decoded(name)?, decoded(value)?)))
        .collect()
}

/// The value of a checked request: `Tags.member.1.Key` is the key of the first of `Tags`.
pub fn decode(shape: &Shape, parameters: &Parameters) -> Result<Value, Rejected> {
    let Kind::Structure { members, .. } = &shape.kind else {
        return Err(malformed());
    };
    let value = Value::Object(structure(members, parameters, ""));
    check(shape, &value)?;
    Ok(value)
}

/// A response's document.
pub fn encode<T: Serialize>(
    service: &Service,
    spec: &Spec,
    response: &T,
    request_id: &str,
) -> serde_json::Result<Vec<u8>> {
    let result = serde_json::to_value(response)?;
    let namespace = service.xml_namespace.unwrap_or_default();
    let mut out = format!("<{}Response xmlns=\"{}\">", spec.name, escaped(namespace));
    if let Some(wrapper) = spec.wrapper {
        element(wrapper, &result, &mut out);
    }
    element(
        "ResponseMetadata",
        &serde_json::json!({ "RequestId": request_id }),
        &mut out,
    );
    let _ = write!(out, "</{}Response>", spec.name);
    Ok(out.into_bytes())
}

/// An error's document.
pub fn encode_error(
    service: &Service,
    code: &str,
    message: &str,
    sender: bool,
    request_id: &str,
) -> Vec<u8> {
    let kind = if sender { "Sender" } else { "Receiver" };
    let error = serde_json::json!({ "Type": kind, "Code": code, "Message": message });
    let mut out = format!(
        "<ErrorResponse xmlns=\"{}\">",
        escaped(service.xml_namespace.unwrap_or_default())
    );
    element("Error", &error, &mut out);
    element("RequestId", &Value::String(request_id.into()), &mut out);
    out.push_str("</ErrorResponse>");
    out.into_bytes()
}

fn structure(members: &[Member], parameters: &Parameters, prefix: &str) -> Map<String, Value> {
    let value = |member: &Member| {
        Some((
            member.name.to_owned(),
            value(
                member.shape,
                parameters,
                &format!("{prefix}{}", member.name),
            )?,
        ))
    };
    members.iter().filter_map(value).collect()
}

/// What the parameters say of the member at `name`; `None` if nothing.
fn value(shape: &Shape, parameters: &Parameters, name: &str) -> Option<Value> {
    match &shape.kind {
        Kind::Structure { members, .. } => {
            let inside = format!("{name}.");
            let any = below(parameters, &inside);
            any.then(|| Value::Object(structure(members, parameters, &inside)))
        }
        Kind::List { item, .. } => list(item, parameters, name),
        // No shape of the query services is a map or a document.
        Kind::Map { .. } | Kind::Document => None,
        Kind::Integer { .. } => parameters.get(name).map(|text| {
            text.parse()
                .map_or_else(|_| text.as_str().into(), i64::into)
        }),
        Kind::Boolean => parameters.get(name).map(|text| {
            text.parse()
                .map_or_else(|_| text.as_str().into(), bool::into)
        }),
        Kind::Text { .. } | Kind::Timestamp | Kind::Blob { .. } => {
            parameters.get(name).map(|text| text.as_str().into())
        }
    }
}

fn list(item: &Shape, parameters: &Parameters, name: &str) -> Option<Value> {
    let present = |member: &String| {
        parameters.contains_key(member) || below(parameters, &format!("{member}."))
    };
    let items: Vec<Value> = (1..=parameters.len())
        .map(|index| format!("{name}.member.{index}"))
        .take_while(present)
        .map(|member| value(item, parameters, &member).unwrap_or(Value::Null))
        .collect();
    // An empty list is written as the bare name.
    (!items.is_empty() || parameters.get(name).is_some_and(String::is_empty))
        .then_some(Value::Array(items))
}

fn below(parameters: &Parameters, prefix: &str) -> bool {
    parameters
        .range(prefix.to_owned()..)
        .next()
        .is_some_and(|(name, _)| name.starts_with(prefix))
}

/// One element; lists have an element `member` for each item.
fn element(name: &str, value: &Value, out: &mut String) {
    let _ = write!(out, "<{name}>");
    match value {
        Value::Object(object) => object
            .iter()
            .for_each(|(name, value)| element(name, value, out)),
        Value::Array(items) => items.iter().for_each(|item| element("member", item, out)),
        Value::String(text) => out.push_str(&escaped(text)),
        Value::Null => {}
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
    let _ = write!(out, "</{name}>");
}

/// XML 1.0 section 2.4; characters that XML cannot carry become `?`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            '\r' => out.push_str("&#xD;"),
            '\u{FFFE}' | '\u{FFFF}' => out.push('?'),
            control if control < ' ' => out.push('?'),
            other => out.push(other),
        }
    }
    out
}

fn decoded(text: &str) -> Result<String, Rejected> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| malformed())
}

fn malformed() -> Rejected {
    Rejected::Malformed("The request body is not a valid form".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sts::{self, Operation};

    fn assume_role(form: &str) -> Result<Value, Rejected> {
        decode(
            Operation::AssumeRole.spec().input,
            &parameters(form.as_bytes())?,
        )
    }

    #[test]
    fn forms_become_requests() {
        let value = assume_role(
            "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Freader&RoleSessionName=a%40b\
             &DurationSeconds=900&Tags.member.1.Key=team&Tags.member.1.Value=red+blue&Tags.member.2.Key=x\
             &Tags.member.2.Value=",
        )
        .unwrap();
        assert_eq!(
            value,
            json!({
                "RoleArn": "arn:aws:iam::000000000000:role/reader",
                "RoleSessionName": "a@b",
                "DurationSeconds": 900,
                "Tags": [{"Key": "team", "Value": "red blue"}, {"Key": "x", "Value": ""}],
            })
        );
        let request: sts::AssumeRoleRequest = crate::typed(value).unwrap();
        assert_eq!(request.duration_seconds, Some(900));
    }

    #[test]
    fn forms_are_checked_like_json() {
        let missing = assume_role("RoleSessionName=ab").unwrap_err().to_string();
        assert!(missing.contains(
            "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"
        ));
        assert!(matches!(
            assume_role("RoleArn=%ff"),
            Err(Rejected::Malformed(_))
        ));
        let duration =
            "RoleArn=arn:aws:iam::000000000000:role/r&RoleSessionName=ab&DurationSeconds=long";
        assert!(matches!(assume_role(duration), Err(Rejected::Malformed(_))));
    }

    #[test]
    fn responses_are_xml() {
        let response = sts::GetCallerIdentityResponse {
            user_id: Some("AKIA".into()),
            account: Some("0".into()),
            arn: Some("a<b>&\"c\"\u{1}".into()),
        };
        let spec = Operation::GetCallerIdentity.spec();
        let body = encode(&sts::SERVICE, spec, &response, "r-1").unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <UserId>AKIA</UserId><Account>0</Account><Arn>a&lt;b&gt;&amp;&quot;c&quot;?</Arn>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
    }

    #[test]
    fn errors_are_xml() {
        let body = encode_error(
            &sts::SERVICE,
            "InvalidAction",
            "no <such> action",
            true,
            "r-1",
        );
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>InvalidAction</Code><Message>no &lt;such&gt; action</Message></Error>\
             <RequestId>r-1</RequestId></ErrorResponse>"
        );
    }
}

//! What a decision asks of a request and of its caller.

use std::{borrow::Cow, net::IpAddr};

use serde_json::{Map, Value};

/// The canonical request that a decision reads and its permit then owns.
///
/// Only what the policies mention is asked for.
pub trait Request {
    /// The method, as `GET`.
    fn method(&self) -> &str;

    /// The host, lower case and without port.
    fn host(&self) -> &str;

    /// The path, canonical.
    fn path(&self) -> &str;

    /// The path parameter of this name: the path's own text, canonical and still percent-encoded.
    fn path_parameter(&self, name: &str) -> Option<&str>;

    /// The query parameter of this name, decoded; [`query_parameter`] finds it in a query string.
    fn query_parameter(&self, name: &str) -> Single<'_>;

    /// The header of this name, which is in lower case.
    fn header(&self, name: &str) -> Single<'_>;

    /// Who sent it.
    fn client_ip(&self) -> IpAddr;
}

/// A part of a request that policies read as one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Single<'a> {
    /// It is not there.
    Absent,
    /// It is there once.
    One(Cow<'a, str>),
    /// It is there several times, or is no text: the upstream could read another value than the policies did, so a decision
    /// that needs it is a denial.
    Ambiguous,
}

impl<'a> Single<'a> {
    /// Of all the values a name has.
    pub fn of(mut values: impl Iterator<Item = Cow<'a, str>>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Ambiguous,
        }
    }
}

/// The one who asks, as a verified token names them.
pub trait Caller {
    /// Id of the principal, prefix included: `us-east-1_PetStore1|4f1c…`.
    fn id(&self) -> &str;

    /// What stands before the bar in the ids of groups; without it, the id is the group's name alone.
    fn group_prefix(&self) -> Option<&str>;

    /// Names of the caller's groups.
    fn groups(&self) -> Vec<&str>;

    /// Claims of the ID token, which become the principal's attributes.
    fn id_claims(&self) -> Option<&Map<String, Value>>;

    /// Claims of the access token, which become `context.token`.
    fn access_claims(&self) -> Option<&Map<String, Value>>;

    /// SHA-256 of the tokens. What two callers of one digest answer to the other questions must be equal; so what was made of
    /// them is remembered under it. `None` turns that off.
    fn digest(&self) -> Option<[u8; 32]>;
}

/// Finds a parameter in the query of a URL, written as forms write it (`+` is a space).
pub fn query_parameter<'q>(query: &'q str, name: &str) -> Single<'q> {
    let mut found = Single::Absent;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match form_decode(key) {
            Some(key) if key == name => {}
            _ => continue,
        }
        found = match (found, form_decode(value)) {
            (Single::Absent, Some(value)) => Single::One(value),
            _ => return Single::Ambiguous,
        };
    }
    found
}

/// `None` when the bytes are not UTF-8.
fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Single, query_parameter};

    #[test]
    fn query_parameters_are_decoded_and_single() {
        let one = |text: &str| Single::One(text.to_owned().into());
        assert_eq!(query_parameter("a=1&b=x%20y+z&c", "b"), one("x y z"));
        assert_eq!(query_parameter("a=1&b=2&c", "c"), one(""));
        assert_eq!(query_parameter("%61=1", "a"), one("1"));
        assert_eq!(query_parameter("a=1&b=2", "c"), Single::Absent);
        assert_eq!(query_parameter("", "c"), Single::Absent);
        assert_eq!(query_parameter("a=1&%61=1", "a"), Single::Ambiguous);
        assert_eq!(query_parameter("a=%ff", "a"), Single::Ambiguous);
    }
}

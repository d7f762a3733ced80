//! The id of a request, which stands in its answer, in what goes upstream, in the record and in logs.

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// On every answer, refusals and the engine's included.
///
/// A string, because Pingora reads a name of another type again.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The same as a name.
pub(crate) const REQUEST_ID_NAME: HeaderName = HeaderName::from_static(REQUEST_ID);

/// One request's id.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that a trusted peer gave, if it is in form, or a new one.
    pub(crate) fn new(given: Option<&HeaderValue>) -> Self {
        let given = given.filter(|value| is_in_form(value.as_bytes()));
        given.map_or_else(Self::random, |value| Self(value.clone()))
    }

    fn random() -> Self {
        let mut text = Uuid::encode_buffer();
        let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).map_or_else(|_| Self::none(), Self)
    }

    /// That of no request.
    pub(crate) fn none() -> Self {
        Self(HeaderValue::from_static(""))
    }

    pub(crate) fn as_str(&self) -> &str {
        // It is text by its form.
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn value(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_in_form(id: &[u8]) -> bool {
    let known = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    (1..=128).contains(&id.len()) && id.iter().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_form_is_not_taken() {
        let new = |given: &'static str| RequestId::new(Some(&HeaderValue::from_static(given)));
        for given in ["a", "A-1_b.c"] {
            assert_eq!(new(given).as_str(), given);
        }
        for given in ["", "a b", "a/b"] {
            assert_eq!(new(given).as_str().len(), 36, "{given:?}");
        }
        let long = HeaderValue::try_from("a".repeat(129)).unwrap();
        assert_eq!(RequestId::new(Some(&long)).as_str().len(), 36);
        assert_ne!(RequestId::new(None).as_str(), RequestId::new(None).as_str());
    }
}

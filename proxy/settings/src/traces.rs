//! Traces, checked.

use std::{collections::HashSet, fmt, fs, path::Path};

use engine::Secret;
use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use token::Transport;
use url::Url;

use crate::{
    Place, TrustParent,
    check::Check,
    issuer::is_loopback,
    secret,
    written::{self, TraceHeader},
};

/// Where spans go, and of which requests.
#[derive(Clone, PartialEq)]
pub struct Traces {
    /// `…/v1/traces`, without a user, a password or a query.
    pub url: Url,
    /// Header fields that go with the spans, no two alike; their values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The way there.
    pub transport: Transport,
    /// The share of requests, 0.0 to 1.0, that is recorded where no caller has decided who is believed in that.
    pub sample: f64,
    /// `service.name`; not empty.
    pub service_name: String,
    /// What is believed of a caller's `traceparent`.
    pub trust_parent: TrustParent,
}

/// Shows no header's value.
impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("url", &self.url.as_str())
            .field("sample", &self.sample)
            .field("service_name", &self.service_name)
            .field("trust_parent", &self.trust_parent)
            .finish_non_exhaustive()
    }
}

/// `None` where there is no collector, or none that can be made sense of.
pub(crate) fn check(raw: written::Traces, check: &mut Check<'_>) -> Option<Traces> {
    let place = Place::from("traces");
    if !(0.0..=1.0).contains(&raw.sample) {
        check.report(&place.key("sample"), "must be between 0.0 and 1.0");
    }
    if raw.service_name.is_empty() || raw.service_name.len() > LONGEST_NAME {
        let says = format!("must have 1 to {LONGEST_NAME} octets");
        check.report(&place.key("service_name"), says);
    }
    let headers = headers(&raw, &place.key("headers"), check);
    let url = url(&raw.otlp).map_err(|says| check.report(&place.key("otlp"), says));
    let url = url.ok()?;
    warn_plain(&url, &raw, &place.key("otlp"), check);
    Some(Traces {
        transport: transport(raw.ca.as_deref(), &url, &place.key("ca"), check),
        url,
        headers,
        sample: raw.sample,
        service_name: raw.service_name,
        trust_parent: raw.trust_parent,
    })
}

/// The text is not shown: a password may be in it.
fn url(text: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(text).map_err(|_| "is not a URL as `http://127.0.0.1:4318`")?;
    if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
        return Err("must start with `http://` or `https://`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password; write them under `headers`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must be without `?` and `#`; what is secret is written under `headers`");
    }
    let base = url.path().trim_end_matches('/');
    let path = if base.ends_with(PATH) {
        base.to_owned()
    } else {
        format!("{base}{PATH}")
    };
    url.set_path(&path);
    Ok(url)
}

/// Within a network a collector is often asked without TLS; secrets should not go there so.
fn warn_plain(url: &Url, raw: &written::Traces, place: &Place, check: &mut Check<'_>) {
    let is_secret = |header: &TraceHeader| !matches!(header, TraceHeader::Value(_));
    if url.scheme() == "http" && !is_loopback(url) && raw.headers.values().any(is_secret) {
        let says = "goes to another machine without TLS, and the secrets under `headers` with it";
        check.warn(place, says);
    }
}

fn transport(ca: Option<&Path>, url: &Url, place: &Place, check: &mut Check<'_>) -> Transport {
    let Some(ca) = ca else {
        return Transport::default();
    };
    if url.scheme() == "http" {
        let says = "says nothing about a collector that is asked without TLS; take it out";
        check.report(place, says);
    }
    let file = check.file(ca);
    let read = match fs::read(&file) {
        Ok(pem) => Transport::new(Some(pem), None).map_err(|error| error.to_string()),
        Err(error) => Err(format!("`{}` cannot be read: {error}", file.display())),
    };
    read.unwrap_or_else(|message| {
        check.report(place, message);
        Transport::default()
    })
}

fn headers(
    raw: &written::Traces,
    place: &Place,
    check: &mut Check<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut seen = HashSet::new();
    let mut headers = Vec::new();
    for (name, source) in &raw.headers {
        let place = place.key(name);
        let value = value(source, &place, check);
        let Ok(name) = HeaderName::try_from(name.as_str()) else {
            check.report(&place, "is not the name of a header");
            continue;
        };
        if OURS.contains(&name) {
            check.report(&place, "is a header that the gate writes itself");
        }
        if !seen.insert(name.clone()) {
            check.report(&place, format!("`{name}` is there twice"));
        }
        headers.extend(value.map(|value| (name, value)));
    }
    headers
}

fn value(source: &TraceHeader, place: &Place, check: &mut Check<'_>) -> Option<HeaderValue> {
    let text = match source {
        TraceHeader::File(path) => secret::read(&Secret::File(path.clone()), place, check),
        TraceHeader::Env(name) => secret::read(&Secret::Env(name.clone()), place, check),
        TraceHeader::Value(text) => SecretString::from(text.clone()),
    };
    let Ok(mut value) = HeaderValue::try_from(text.expose_secret()) else {
        check.report(
            place,
            "is not the value of a header: it has other octets than visible ones",
        );
        return None;
    };
    value.set_sensitive(true);
    Some(value)
}

/// Where collectors take traces (OTLP's specification, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// Longer ones are cut by some collectors.
const LONGEST_NAME: usize = 255;
const OURS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_named_by_their_base_or_in_full() {
        for (text, expected) in [
            (
                "http://127.0.0.1:4318",
                Ok("http://127.0.0.1:4318/v1/traces"),
            ),
            (
                "http://127.0.0.1:4318/",
                Ok("http://127.0.0.1:4318/v1/traces"),
            ),
            ("http://c:1/v1/traces", Ok("http://c:1/v1/traces")),
            ("http://c:1/v1/traces/", Ok("http://c:1/v1/traces")),
            (
                "https://c.test/api/otlp",
                Ok("https://c.test/api/otlp/v1/traces"),
            ),
            (
                "https://c.test/otlp/v1/traces",
                Ok("https://c.test/otlp/v1/traces"),
            ),
            ("c.test:4318", Err("must start with")),
            ("grpc://c.test", Err("must start with")),
            ("nothing", Err("is not a URL")),
            ("https://u:hunter2@c.test", Err("must not hold a user")),
            ("https://c.test/?key=hunter2", Err("must be without `?`")),
            ("https://c.test/#a", Err("must be without `?`")),
        ] {
            match (url(text), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected, "{text}"),
                (Err(says), Err(expected)) => assert!(says.starts_with(expected), "{text}: {says}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}

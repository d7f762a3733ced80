//! Which pages of other origins may use a route, checked, and what the Fetch standard asks of an answer to them.

use std::collections::HashSet;

use http::{HeaderName, Method};
use url::Url;

use crate::{Place, check::Check, written};

/// Which pages of other origins may use a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// The upstream answers them.
    Pass,
    /// The gate answers them.
    Answer(Box<CorsRules>),
}

/// What the gate answers to pages of other origins. INVARIANT: `credentials` only with origins that are named, and with
/// names in `expose`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsRules {
    /// Whose pages.
    pub origins: Origins,
    /// Methods; empty for every one that the route takes.
    pub methods: Vec<Method>,
    /// Request headers.
    pub headers: Allowed,
    /// Headers of answers.
    pub expose: Allowed,
    /// Whether requests may come with cookies and the like.
    pub credentials: bool,
    /// For how long browsers may remember the answer to a preflight.
    pub max_age_seconds: Option<u32>,
}

/// Origins, as browsers write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one.
    Any,
    /// These.
    Listed {
        /// Whole origins; `null` may be one.
        exact: HashSet<String>,
        /// What stands before and behind any one label.
        around: Vec<(String, String)>,
    },
}

/// Names of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every one.
    Any,
    /// These.
    Listed(Vec<HeaderName>),
}

impl Origins {
    /// Whether this `Origin` is one of them. Browsers write origins in one way only, so that octets decide.
    pub fn allow(&self, origin: &[u8]) -> bool {
        let (exact, around) = match self {
            Self::Any => return true,
            Self::Listed { exact, around } => (exact, around),
        };
        let Ok(origin) = str::from_utf8(origin) else {
            return false;
        };
        let has_label = |(before, behind): &(String, String)| {
            let rest = origin.strip_prefix(before.as_str());
            rest.and_then(|rest| rest.strip_suffix(behind.as_str()))
                .is_some_and(is_label)
        };
        exact.contains(origin) || around.iter().any(has_label)
    }
}

impl Allowed {
    /// Whether this name is one of them.
    pub fn allow(&self, name: &HeaderName) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(names) => names.contains(name),
        }
    }
}

pub(crate) fn check(
    raw: written::Cors,
    taken: &[String],
    place: &Place,
    check: &mut Check<'_>,
) -> Cors {
    let place = place.key("cors");
    let raw = match raw {
        written::Cors::Word(written::CorsWord::Pass) => return Cors::Pass,
        written::Cors::Answer(raw) => raw,
    };
    let origins = origins(&raw, &place, check);
    let headers = names(&raw.headers, &place.key("headers"), check);
    let expose = names(&raw.expose, &place.key("expose"), check);
    if raw.credentials && expose == Allowed::Any {
        let message = "browsers take `*` for a header of that name where `credentials` may come; name the headers";
        check.report(&place.key("expose"), message);
    }
    if raw.max_age_seconds.is_some_and(|seconds| seconds > LONGEST) {
        let message = format!("must be {LONGEST}, a day, or less; no browser remembers longer");
        check.report(&place.key("max_age_seconds"), message);
    }
    Cors::Answer(Box::new(CorsRules {
        origins,
        methods: methods(&raw.methods, taken, &place, check),
        headers,
        expose,
        credentials: raw.credentials,
        max_age_seconds: raw.max_age_seconds,
    }))
}

fn origins(raw: &written::CorsRules, place: &Place, check: &mut Check<'_>) -> Origins {
    let list = place.key("origins");
    if check.is_empty(&list) {
        check.report(&list, "name at least one, as `https://app.example.com`");
    }
    let mut exact = HashSet::new();
    let mut around = Vec::new();
    let mut is_any = false;
    for (text, place) in raw.origins.iter().zip(check.items(&list)) {
        let stands_for_all = text == "*" || text == "null";
        if stands_for_all && raw.credentials {
            let message = format!(
                "`{text}` stands for pages that anybody can make, who must not get at `credentials`; name the origins"
            );
            check.report(&place, message);
        }
        match origin(text) {
            Ok(Origin::Any) if raw.origins.len() > 1 => {
                check.report(&place, "`*` allows every origin; take the others out");
            }
            Ok(Origin::Any) => is_any = true,
            Ok(Origin::One(text)) => {
                if !exact.insert(text.clone()) {
                    check.report(&place, format!("`{text}` is there twice"));
                }
            }
            Ok(Origin::Label(before, behind)) => around.push((before, behind)),
            Err(message) => check.report(&place, message),
        }
    }
    if is_any {
        Origins::Any
    } else {
        Origins::Listed { exact, around }
    }
}

enum Origin {
    Any,
    One(String),
    /// Before and behind any one label.
    Label(String, String),
}

fn origin(text: &str) -> Result<Origin, String> {
    if text == "*" {
        return Ok(Origin::Any);
    }
    if text == "null" {
        return Ok(Origin::One(text.to_owned()));
    }
    let Some((scheme, parent)) = text.split_once("://*.") else {
        serialized(text)?;
        return Ok(Origin::One(text.to_owned()));
    };
    let url = serialized(&format!("{scheme}://{parent}"))?;
    let is_name = url.domain().is_some_and(|name| name.contains('.'));
    if !matches!(scheme, "http" | "https") || !is_name && url.domain() != Some("localhost") {
        return Err(
            "`*` stands for one label before a name of two or more, as `https://*.example.com`"
                .into(),
        );
    }
    Ok(Origin::Label(format!("{scheme}://"), format!(".{parent}")))
}

/// The URL of an origin that is written as browsers write it (HTML standard, serialization of an origin).
fn serialized(text: &str) -> Result<Url, String> {
    const FORM: &str = "is not an origin as `https://app.example.com`";
    let url = Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?;
    if host.contains('*') {
        return Err("has a `*` that is not its whole first label".into());
    }
    // `url` knows the origins of a few schemes; of all others browsers write scheme, host and port.
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let written = format!("{}://{host}{port}", url.scheme());
    if written == text {
        Ok(url)
    } else {
        Err(format!(
            "browsers write this origin `{written}`; write it so"
        ))
    }
}

/// A label as browsers write it: in lower case, and nothing that ends a host.
fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    (1..=63).contains(&text.len()) && text.bytes().all(is_plain)
}

fn names(raw: &[String], list: &Place, check: &mut Check<'_>) -> Allowed {
    if raw == ["*"] {
        return Allowed::Any;
    }
    let mut names = Vec::new();
    for (text, place) in raw.iter().zip(check.items(list)) {
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(_) if text == "*" => {
                check.report(&place, "`*` allows every header; take the others out");
            }
            Ok(name) if names.contains(&name) => {
                check.report(&place, format!("`{name}` is there twice"));
            }
            Ok(name) => names.push(name),
            Err(_) => check.report(&place, "is not a header name"),
        }
    }
    Allowed::Listed(names)
}

/// Those written, or those that the route takes.
fn methods(raw: &[String], taken: &[String], place: &Place, check: &mut Check<'_>) -> Vec<Method> {
    let list = place.key("methods");
    for (text, place) in raw.iter().zip(check.items(&list)) {
        if Method::from_bytes(text.as_bytes()).is_err() {
            check.report(&place, format!("`{text}` is not a method"));
        } else if !taken.is_empty() && !taken.contains(text) {
            let message =
                format!("`{text}` is not under `match.methods`, so the route does not take it");
            check.report(&place, message);
        }
    }
    let chosen = if raw.is_empty() { taken } else { raw };
    let methods = chosen.iter();
    methods
        .filter_map(|text| Method::from_bytes(text.as_bytes()).ok())
        .collect()
}

const LONGEST: u32 = 86400;

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(texts: &[&str]) -> Origins {
        let mut exact = HashSet::new();
        let mut around = Vec::new();
        for text in texts {
            match origin(text).unwrap() {
                Origin::Any => return Origins::Any,
                Origin::One(text) => {
                    exact.insert(text);
                }
                Origin::Label(before, behind) => around.push((before, behind)),
            }
        }
        Origins::Listed { exact, around }
    }

    #[test]
    fn only_whole_origins_and_one_label_match() {
        let listed = origins(&[
            "https://app.example.com",
            "http://localhost:3000",
            "https://*.example.org",
            "http://*.localhost:8080",
            "capacitor://localhost",
        ]);
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://a.example.org",
            "https://xn--bcher-kva.example.org",
            "http://a-1.localhost:8080",
            "capacitor://localhost",
        ] {
            assert!(listed.allow(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "null",
            "*",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.net",
            "https://evil.net/.example.org",
            "https://evil.net#.example.org",
            "https://evil.net?.example.org",
            "https://u@.example.org",
            "https://evil.net:1.example.org",
            "https://a.b.example.org",
            "https://.example.org",
            "https://example.org",
            "https://aexample.org",
            "https://A.example.org",
            "https://a.example.org:8443",
            "https://a.example.org.",
            "http://a.example.org",
            "http://localhost",
            "http://localhost:3000 ",
        ] {
            assert!(!listed.allow(bad.as_bytes()), "{bad}");
        }
        assert!(!listed.allow(b"https://\xff.example.org"));
    }

    #[test]
    fn null_is_an_origin_only_where_it_is_written() {
        assert!(origins(&["null"]).allow(b"null"));
        assert!(!origins(&["https://a.example"]).allow(b"null"));
        assert!(origins(&["*"]).allow(b"null"));
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for bad in [
            "",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://APP.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://bücher.example",
            "https://u:p@app.example.com",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://",
            "https://*",
            "https://*.com",
            "https://*.10.0.0.1",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://app*.example.com",
            "*.example.com",
            "capacitor://*.example.com",
            "https://*.example.com/",
            "data:text/html,x",
            "file:///x",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}

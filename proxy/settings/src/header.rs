//! Templates of the headers that tell an upstream who calls, and for what: `{claims.sub}`, `{certificate.subject}`,
//! `{path.petId}`, `{request.host}`.

use std::fmt::Write as _;

use decision::{Certificate, CertificateField};
use token::{Claim, Object};

/// The value of a header, with claims of the verified token, names of the caller's certificate and parts of the request in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(String),
    Certificate(CertificateField),
    /// A parameter of the route's path.
    Path(String),
    Request(RequestField),
}

/// What a request says of itself, in its canonical head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestField {
    /// The host alone, in lower case.
    Host,
    /// As `GET`.
    Method,
    /// The path, percent-encoded, without the query.
    Path,
    /// `http` or `https`: by which the caller came.
    Scheme,
}

impl RequestField {
    const ALL: [(&'static str, Self); 4] = [
        ("host", Self::Host),
        ("method", Self::Method),
        ("path", Self::Path),
        ("scheme", Self::Scheme),
    ];

    fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(known, field)| (known == name).then_some(field))
    }

    fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }
}

/// Where the values of headers come from.
pub trait HeaderSource {
    /// Of the verified token, if there is one.
    fn claims(&self) -> Option<Object<'_>>;
    /// The one that the caller showed, if one was.
    fn certificate(&self) -> Option<&Certificate>;
    /// A parameter of the path, percent-encoded; `None` where the route's path has none of this name.
    fn parameter(&self, name: &str) -> Option<&str>;
    /// What the request says.
    fn request(&self, field: RequestField) -> &str;
}

impl Template {
    /// Reads `text {claims.NAME} text {certificate.NAME}`, and so on; a claim's name may have any characters but braces.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after.split_once('}').ok_or("`{` without `}`")?;
            push_text(&mut parts, before)?;
            parts.push(placeholder(inside)?);
            rest = behind;
        }
        push_text(&mut parts, rest)?;
        if parts.is_empty() {
            Err("is empty".into())
        } else {
            Ok(Self(parts))
        }
    }

    /// Whether it needs a token.
    pub(crate) fn has_claims(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Claim(_)))
    }

    /// Whether it needs a certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Certificate(_)))
    }

    /// The first parameter of the path in it that is none of these.
    pub(crate) fn unknown_parameter(&self, known: &[&str]) -> Option<&str> {
        let mut names = self.0.iter().filter_map(|part| match part {
            Part::Path(name) => Some(name.as_str()),
            _ => None,
        });
        names.find(|name| !known.contains(name))
    }

    /// The header's value; `None` where the token lacks a claim of it, or has one that is no text, number, boolean or list
    /// of these, where the certificate or the path does not have what it names or has nothing there, or where it holds a
    /// control character: then the header is not sent.
    ///
    /// A list is written with commas; one whose items have commas themselves is not sent, since it would read as another.
    pub fn render(&self, source: &impl HeaderSource) -> Option<String> {
        let mut value = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Claim(name) => value.push_str(&shown(source.claims()?.get(name)?)?),
                Part::Certificate(field) => value.push_str(&named(source.certificate()?, *field)?),
                Part::Path(name) => push_encoded(&mut value, source.parameter(name)?)?,
                Part::Request(RequestField::Path) => {
                    push_encoded(&mut value, source.request(RequestField::Path))?;
                }
                Part::Request(field) => value.push_str(source.request(*field)),
            }
        }
        (!value.chars().any(char::is_control)).then_some(value)
    }
}

/// What stands between braces.
fn placeholder(inside: &str) -> Result<Part, String> {
    let (kind, name) = inside.split_once('.').unwrap_or_default();
    let unknown = |what: &str, names: String| {
        format!("`{{{inside}}}` is unknown; of a {what} there are: {names}")
    };
    match kind {
        "claims" if is_name(name) => Ok(Part::Claim(name.to_owned())),
        "path" if is_name(name) => Ok(Part::Path(name.to_owned())),
        "certificate" => CertificateField::named(name)
            .map(Part::Certificate)
            .ok_or_else(|| unknown("certificate", CertificateField::names())),
        "request" => RequestField::named(name)
            .map(Part::Request)
            .ok_or_else(|| unknown("request", RequestField::names())),
        _ => Err(format!(
            "`{{{inside}}}` is unknown; write `{{claims.NAME}}`, `{{certificate.NAME}}`, `{{path.PARAMETER}}` or \
             `{{request.NAME}}`"
        )),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('{')
}

/// Adds a part of the path, in which nothing is left that a reader could take for a sign of his own, as a `,` between two
/// values; nothing, if it is empty.
fn push_encoded(value: &mut String, path: &str) -> Option<()> {
    for octet in path.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~/%".contains(&octet) {
            value.push(char::from(octet));
        } else {
            // Writing to a string does not fail.
            write!(value, "%{octet:02X}").unwrap_or_default();
        }
    }
    (!path.is_empty()).then_some(())
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err("`}` without `{`".into());
    }
    if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err("only visible ASCII characters are allowed".into());
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

fn shown(claim: Claim<'_>) -> Option<String> {
    let Claim::List(items) = claim else {
        return shown_alone(claim);
    };
    let items = items
        .iter()
        .map(|item| shown_alone(item).filter(|item| !item.contains(',')));
    Some(items.collect::<Option<Vec<_>>>()?.join(","))
}

/// An empty subject, or a list of nothing, is nothing to tell.
fn named(certificate: &Certificate, field: CertificateField) -> Option<String> {
    let values = certificate.values(field);
    if field.is_list() && values.iter().any(|value| value.contains(',')) {
        return None;
    }
    Some(values.join(",")).filter(|text| !text.is_empty())
}

fn shown_alone(claim: Claim<'_>) -> Option<String> {
    match claim {
        Claim::Text(text) | Claim::Number(text) => Some(text.to_owned()),
        Claim::Bool(flag) => Some(flag.to_string()),
        Claim::Null | Claim::List(_) | Claim::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use token::Packed;

    use super::*;

    #[derive(Default)]
    struct Known<'a> {
        claims: Option<Packed>,
        certificate: Option<&'a Certificate>,
        parameters: &'a [(&'a str, &'a str)],
    }

    impl HeaderSource for Known<'_> {
        fn claims(&self) -> Option<Object<'_>> {
            Some(self.claims.as_ref()?.object())
        }

        fn certificate(&self) -> Option<&Certificate> {
            self.certificate
        }

        fn parameter(&self, name: &str) -> Option<&str> {
            let mut known = self.parameters.iter();
            known.find_map(|(known, value)| (*known == name).then_some(*value))
        }

        fn request(&self, field: RequestField) -> &str {
            match field {
                RequestField::Host => "api.example",
                RequestField::Method => "GET",
                RequestField::Path => "/pets/7%20a",
                RequestField::Scheme => "https",
            }
        }
    }

    fn render_of(template: &str, known: &Known<'_>) -> Option<String> {
        Template::parse(template).unwrap().render(known)
    }

    fn render(template: &str, claims: &Value) -> Option<String> {
        let known = Known {
            claims: Packed::read(claims.to_string().as_bytes()),
            ..Known::default()
        };
        render_of(template, &known)
    }

    #[test]
    fn claims_are_put_in() {
        let claims = json!({"sub": "u1", "cognito:groups": ["a", "b"], "n": 7, "ok": true});
        assert_eq!(render("{claims.sub}", &claims).as_deref(), Some("u1"));
        assert_eq!(
            render("<{claims.sub}> {claims.n}/{claims.ok}", &claims).as_deref(),
            Some("<u1> 7/true")
        );
        assert_eq!(
            render("{claims.cognito:groups}", &claims).as_deref(),
            Some("a,b")
        );
        assert_eq!(render("fixed", &claims).as_deref(), Some("fixed"));
    }

    #[test]
    fn a_header_that_could_mislead_is_not_sent() {
        for claims in [
            json!({}),
            json!({"x": null}),
            json!({"x": {"a": 1}}),
            json!({"x": "a\r\nx-admin: 1"}),
            json!({"x": ["a,b"]}),
            json!({"x": [["a"]]}),
            json!({"x": "a\u{85}b"}),
        ] {
            assert_eq!(render("{claims.x}", &claims), None, "{claims}");
        }
    }

    #[test]
    fn names_of_certificates_are_put_in() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let certificate = Certificate {
            subject: "CN=api,O=Example".into(),
            dns: names(&["a.example", "b.example"]),
            uris: names(&["spiffe://example.org/a,b"]),
            fingerprint: "00ff".into(),
            serial: "7\n".into(),
            ..Certificate::default()
        };
        let render = |template: &str, certificate| {
            let known = Known {
                certificate,
                ..Known::default()
            };
            render_of(template, &known)
        };
        let shown = |template: &str| render(template, Some(&certificate));
        assert_eq!(
            shown("<{certificate.subject}> {certificate.fingerprint}").as_deref(),
            Some("<CN=api,O=Example> 00ff")
        );
        assert_eq!(
            shown("{certificate.dns}").as_deref(),
            Some("a.example,b.example")
        );
        for absent in ["uris", "ips", "serial"] {
            assert_eq!(
                shown(&format!("{{certificate.{absent}}}")),
                None,
                "{absent}"
            );
        }
        assert_eq!(render("{certificate.subject}", None), None);
        assert_eq!(shown("{claims.sub}"), None);
        let nameless = Certificate::default();
        assert_eq!(render("{certificate.subject}", Some(&nameless)), None);
        assert_eq!(render("fixed", None).as_deref(), Some("fixed"));
    }

    #[test]
    fn parts_of_the_request_are_put_in() {
        let known = Known {
            parameters: &[("pet", "7%20a")],
            ..Known::default()
        };
        let render = |template| render_of(template, &known);
        let whole = "{request.method} {request.scheme}://{request.host}{request.path} {path.pet}";
        assert_eq!(
            render(whole).as_deref(),
            Some("GET https://api.example/pets/7%20a 7%20a")
        );
        assert_eq!(render("{path.owner}"), None);
        let known = Known {
            parameters: &[("pet", "a,role=admin;x:'@%2C/b"), ("rest", "")],
            ..Known::default()
        };
        assert_eq!(
            render_of("role=user, pet={path.pet}", &known).as_deref(),
            Some("role=user, pet=a%2Crole%3Dadmin%3Bx%3A%27%40%2C/b")
        );
        assert_eq!(render_of("{path.rest}", &known), None);
        assert_eq!(render_of("rest {path.rest}", &known), None);
        let template = Template::parse("{path.pet} {path.owner}").unwrap();
        assert_eq!(template.unknown_parameter(&["pet"]), Some("owner"));
        assert_eq!(template.unknown_parameter(&["owner", "pet"]), None);
    }

    #[test]
    fn bad_templates_are_told() {
        for bad in [
            "",
            "{claims.}",
            "{certificate.}",
            "{certificate.cn}",
            "{path.}",
            "{path}",
            "{request.}",
            "{request.body}",
            "{certificate.{dns}}",
            "{sub}",
            "{claims.sub",
            "claims.sub}",
            "{{claims.sub}}",
            "a\nb",
            "é",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}

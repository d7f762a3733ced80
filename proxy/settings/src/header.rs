//! Templates of the headers that tell an upstream who calls: `{claims.sub}`, `{certificate.subject}`.

use decision::{Certificate, CertificateField};
use token::{Claim, Object};

/// The value of a header, with claims of the verified token or names of the caller's certificate in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(String),
    Certificate(CertificateField),
}

impl Template {
    /// Reads `text {claims.NAME} text {certificate.NAME}`; a claim's name may have any characters but braces.
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

    /// The header's value; `None` where the token lacks a claim of it, or has one that is no text, number, boolean or list
    /// of these, where the certificate does not have what it names, or where it holds a control character: then the header is
    /// not sent.
    ///
    /// A list is written with commas; one whose items have commas themselves is not sent, since it would read as another.
    pub fn render(
        &self,
        claims: Option<Object<'_>>,
        certificate: Option<&Certificate>,
    ) -> Option<String> {
        let mut value = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Claim(name) => value.push_str(&shown(claims?.get(name)?)?),
                Part::Certificate(field) => value.push_str(&named(certificate?, *field)?),
            }
        }
        (!value.chars().any(char::is_control)).then_some(value)
    }
}

/// What stands between braces.
fn placeholder(inside: &str) -> Result<Part, String> {
    if let Some(name) = inside.strip_prefix("certificate.") {
        let field = CertificateField::named(name).ok_or_else(|| {
            format!(
                "`{{{inside}}}` is unknown; of a certificate there are: {}",
                CertificateField::names()
            )
        })?;
        return Ok(Part::Certificate(field));
    }
    let claim = inside
        .strip_prefix("claims.")
        .filter(|claim| !claim.is_empty() && !claim.contains('{'));
    let claim = claim.ok_or_else(|| {
        format!("`{{{inside}}}` is unknown; write `{{claims.NAME}}` or `{{certificate.NAME}}`")
    })?;
    Ok(Part::Claim(claim.to_owned()))
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

    fn render(template: &str, claims: &Value) -> Option<String> {
        let claims = Packed::read(claims.to_string().as_bytes()).unwrap();
        let template = Template::parse(template).unwrap();
        template.render(Some(claims.object()), None)
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
            Template::parse(template).unwrap().render(None, certificate)
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
    fn bad_templates_are_told() {
        for bad in [
            "",
            "{claims.}",
            "{certificate.}",
            "{certificate.cn}",
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

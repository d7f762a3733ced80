//! Certificates: what policies and upstreams get of one, against a reader of RFC 4514 by the letter.

use decision::{Certificate, CertificateField};
use portcullis::probe;

pub(super) fn run(data: &[u8]) {
    let Some(certificate) = probe::certificate(data) else {
        return;
    };
    let again = probe::certificate(data);
    assert_eq!(again.as_ref(), Some(&certificate), "read otherwise");
    let Certificate {
        subject,
        fingerprint,
        serial,
        ..
    } = &certificate;
    assert_eq!(written(&parts(subject)), *subject);
    for (digits, octets) in [(fingerprint, 32..=32), (serial, 0..=data.len())] {
        let decoded = hex::decode(digits).unwrap();
        assert_eq!(hex::encode(&decoded), *digits);
        assert!(octets.contains(&decoded.len()), "{digits}");
    }
    for field in CertificateField::ALL {
        let values = certificate.values(field);
        assert!(field.is_list() || values.len() == 1);
        for value in values.iter().filter(|_| field.is_list()) {
            assert!(value.bytes().all(|it| (b' '..=b'~').contains(&it)));
        }
    }
    assert!(certificate.dns.iter().all(|it| *it == it.to_lowercase()));
    let addresses = certificate.ips.iter();
    addresses.for_each(|ip| assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{ip}"));
}

/// A part of a name: what joins it to the one before it, its type, and its value.
struct Part {
    joined: Option<char>,
    ty: String,
    value: Value,
}

enum Value {
    Text(String),
    Octets(Vec<u8>),
}

fn parts(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut rest, mut joined) = (name, None);
    while !rest.is_empty() || joined.is_some() {
        let (ty, value) = rest.split_once('=').expect("a type");
        assert!(
            ty.bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'.'),
            "{ty}"
        );
        let (value, behind) = value.split_at(end(value));
        parts.push(Part {
            joined,
            ty: ty.to_owned(),
            value: match value.strip_prefix('#') {
                Some(digits) => Value::Octets(hex::decode(digits).expect("octets")),
                None => Value::Text(unescaped(value)),
            },
        });
        joined = behind.chars().next();
        rest = behind.get(1..).unwrap_or_default();
    }
    parts
}

/// Where a value ends: before what joins another part to it.
fn end(value: &str) -> usize {
    let mut escaped = false;
    let end = value.char_indices().find(|(_, c)| {
        let was = escaped;
        escaped = *c == '\\' && !was;
        !was && matches!(c, ',' | '+')
    });
    end.map_or(value.len(), |(at, _)| at)
}

fn unescaped(value: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        assert!(!c.is_control() && !SPECIAL.contains(c), "{value}");
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            octets.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let sign = rest.chars().next().expect("what is escaped");
        if SPECIAL.contains(sign) || "\\# ".contains(sign) {
            octets.push(u8::try_from(sign).unwrap());
            rest = &rest[1..];
        } else {
            octets.extend(hex::decode(&rest[..2]).expect("an octet"));
            rest = &rest[2..];
        }
    }
    String::from_utf8(octets).expect("text")
}

fn written(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        out.extend(part.joined);
        out.push_str(&part.ty);
        out.push('=');
        match &part.value {
            Value::Octets(octets) => {
                out.push('#');
                out.push_str(&hex::encode(octets));
            }
            Value::Text(text) => out.push_str(&escaped(text)),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        let at_end = c == ' ' && (at == 0 || at == last) || c == '#' && at == 0;
        if c.is_control() {
            for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push('\\');
                out.push_str(&hex::encode_upper([octet]));
            }
            continue;
        }
        if at_end || SPECIAL.contains(c) || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Section 2.4; the backslash is one too.
const SPECIAL: &str = "\"+,;<>";

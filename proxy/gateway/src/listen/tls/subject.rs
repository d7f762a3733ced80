//! Distinguished names as text (RFC 4514).

use std::{borrow::Cow, fmt::Write as _};

use x509_parser::{
    der_parser::asn1_rs::{Tag, ToDer as _},
    x509::{AttributeTypeAndValue, X509Name},
};

/// The name: its last part first, each with a short name of its type if that has one that is well known.
///
/// No two names are written alike but for the kinds of strings in them.
pub(super) fn written(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter().collect();
    let mut out = String::new();
    for (at, part) in parts.into_iter().rev().enumerate() {
        for (within, attribute) in part.iter().enumerate() {
            match (at, within) {
                (0, 0) => {}
                (_, 0) => out.push(','),
                _ => out.push('+'),
            }
            push(&mut out, attribute);
        }
    }
    out
}

fn push(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let id = attribute.attr_type().to_id_string();
    let short = SHORT.iter().find(|(known, _)| *known == id);
    out.push_str(short.map_or(&*id, |(_, short)| short));
    out.push('=');
    if let Some(text) = text(attribute).filter(|_| short.is_some()) {
        push_escaped(out, &text);
    } else {
        // Section 2.4: the octets of the value as it is encoded.
        out.push('#');
        let octets = attribute.attr_value().to_der_vec().unwrap_or_default();
        out.push_str(&hex::encode(octets));
    }
}

fn text<'a>(attribute: &AttributeTypeAndValue<'a>) -> Option<Cow<'a, str>> {
    if let Ok(text) = attribute.as_str() {
        return Some(Cow::Borrowed(text));
    }
    if attribute.attr_value().tag() != Tag::BmpString {
        return None;
    }
    let (pairs, rest) = attribute.as_slice().as_chunks();
    let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().filter(|_| rest.is_empty()).map(Cow::Owned)
}

/// Section 2.4; control characters too, so that the text can stand in a header.
fn push_escaped(out: &mut String, text: &str) {
    let last = text.char_indices().next_back().map(|(at, _)| at);
    for (at, c) in text.char_indices() {
        if c.is_control() {
            for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string does not fail.
                write!(out, "\\{octet:02X}").unwrap_or_default();
            }
            continue;
        }
        let is_special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || c == '#' && at == 0
            || c == ' ' && (at == 0 || Some(at) == last);
        if is_special {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Section 3, and two more that OpenSSL has.
const SHORT: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

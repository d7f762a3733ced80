//! The canonical request and the string to sign.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::ALGORITHM;
use crate::authorization::Scope;
use crate::key::sha256;

/// The parts of a request that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it stands on the wire, percent-encoded.
    pub path: &'a str,
    /// The query without its `?`, as it stands on the wire; empty if there is none.
    pub query: &'a str,
    /// All headers; `host` must be among them (HTTP/2's `:authority` counts as it).
    pub headers: &'a HeaderMap,
    /// The body.
    pub payload: Payload<'a>,
}

/// What stands for the body in a signature.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// These bytes, hashed here.
    Bytes(&'a [u8]),
    /// `UNSIGNED-PAYLOAD`: the body is not covered.
    Unsigned,
}

impl Payload<'_> {
    fn hash(self) -> Cow<'static, str> {
        match self {
            Self::Bytes(bytes) => hex::encode(sha256(bytes)).into(),
            Self::Unsigned => "UNSIGNED-PAYLOAD".into(),
        }
    }
}

/// What is signed: algorithm, time, scope and the canonical request's hash.
pub(crate) fn string_to_sign(
    request: &Request<'_>,
    signed_headers: &[String],
    stamp: &str,
    scope: &Scope,
) -> String {
    let hash = hex::encode(sha256(&canonical(request, signed_headers)));
    format!("{ALGORITHM}\n{stamp}\n{}\n{hash}", scope.text())
}

/// Octets, and not text: a header's value need not be UTF-8, and two that differ must not be signed alike.
fn canonical(request: &Request<'_>, signed_headers: &[String]) -> Vec<u8> {
    let (path, query) = (path(request.path), query(request.query));
    let mut out = format!("{}\n{path}\n{query}\n", request.method).into_bytes();
    for name in signed_headers {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        push_values(&mut out, request.headers, name);
        out.push(b'\n');
    }
    let (names, hash) = (signed_headers.join(";"), request.payload.hash());
    out.extend_from_slice(format!("\n{names}\n{hash}").as_bytes());
    out
}

/// All values of a header: trimmed, runs of spaces made one, joined by commas.
fn push_values(out: &mut Vec<u8>, headers: &HeaderMap, name: &str) {
    for (at, value) in headers.get_all(name).iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let words = value.as_bytes().split(u8::is_ascii_whitespace);
        let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        out.extend_from_slice(&words.join(&b' '));
    }
}

/// The path without dot segments and empty segments, each part encoded once more.
fn path(raw: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::new();
    for segment in &segments {
        out.push('/');
        out.extend(utf8_percent_encode(segment, ENCODED));
    }
    if out.is_empty() || raw.ends_with('/') {
        out.push('/');
    }
    out
}

/// The parameters, decoded, encoded in AWS's one way, and sorted.
fn query(raw: &str) -> String {
    let mut pairs: Vec<(String, String)> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort_unstable();
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

fn encoded(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    percent_encoding::percent_encode(&bytes, ENCODED).to_string()
}

/// All but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

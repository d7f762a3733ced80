//! The header fields of a request: ours taken out in every spelling, hop-by-hop ones dropped, `X-Forwarded-*` rewritten.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use settings::{Allow, TrustedHeader};

use super::{
    Allowances, Rules,
    forwarded::{X_FORWARDED_FOR, X_FORWARDED_PROTO},
};
use crate::gateway::{
    head::{Authority, Scheme},
    refuse::{Malformed, Refusal},
};

/// Who sent the request and how.
pub(super) struct Origin<'o> {
    pub(super) peer: IpAddr,
    pub(super) trusted: bool,
    /// Who is behind a trusted peer, from the client on.
    pub(super) told: &'o [IpAddr],
    pub(super) scheme: Scheme,
    pub(super) authority: &'o Authority,
}

/// A header name as names are compared: all but letters and digits read as `-`, since CGI-style servers map them to one
/// variable (RFC 3875 section 4.1.18), some `_` and `-` only, some whatever a variable's name cannot hold.
pub(crate) fn identity_key(name: &str) -> Cow<'_, str> {
    if has_key(name, name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.bytes().map(|byte| char::from(folded(byte))).collect())
    }
}

/// Whether this is the key of that name.
fn has_key(name: &str, key: &str) -> bool {
    name.bytes().map(folded).eq(key.bytes())
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// The fields that go on, and the client's address.
pub(super) fn canonical(
    sent: &HeaderMap,
    rules: &Rules,
    origin: &Origin<'_>,
    needs: &mut Allowances,
) -> Result<(HeaderMap, IpAddr), Refusal> {
    if sent.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Malformed::AuthorizationRepeated.into());
    }
    let nominated = nominated(sent);
    let believed = origin.trusted && rules.trusted_header == TrustedHeader::XForwarded;
    let mut kept = HeaderMap::with_capacity(sent.len() + 4);
    for (name, value) in sent {
        if is_alias(name, sent, rules)? {
            needs.insert(Allow::HeaderAlias);
        }
        if !goes_on(name, rules, believed) || nominated.iter().any(|n| n == name.as_str()) {
            continue;
        }
        kept.append(name.clone(), value.clone());
    }
    join_cookies(&mut kept);
    kept.insert(header::HOST, value(origin.authority.as_str())?);
    let client = forwarded(&mut kept, rules, origin)?;
    Ok((kept, client))
}

/// What `Connection` nominates (RFC 9110 section 7.6.1).
fn nominated(sent: &HeaderMap) -> Vec<String> {
    sent.get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Whether some servers read a name as another one that is here too. Refuses one that they could read as a header that
/// decides what is done.
fn is_alias(name: &HeaderName, sent: &HeaderMap, rules: &Rules) -> Result<bool, Refusal> {
    let key = identity_key(name.as_str());
    if is_ours(&key, rules) {
        return Ok(false);
    }
    let is_alias = key != name.as_str();
    let decides = DECISIVE.contains(&&*key) || key.starts_with("x-forwarded-");
    let unseen = rules
        .policy_headers
        .get(&*key)
        .is_some_and(|read| read.as_slice() != [name]);
    if unseen || is_alias && decides {
        return Err(Malformed::HeaderAmbiguous.into());
    }
    Ok(is_alias && is_repeated(&key, sent))
}

/// Whether more than one name has this key.
fn is_repeated(key: &str, sent: &HeaderMap) -> bool {
    let names = sent.keys().filter(|name| has_key(name.as_str(), key));
    names.take(2).count() == 2
}

fn goes_on(name: &HeaderName, rules: &Rules, believed: bool) -> bool {
    let key = identity_key(name.as_str());
    if is_ours(&key, rules) || DROPPED.contains(&&*key) {
        return false;
    }
    believed || !key.starts_with("x-forwarded-")
}

/// Headers that speak for the gate: what a caller sends under such a name never goes on.
fn is_ours(key: &str, rules: &Rules) -> bool {
    key.starts_with("x-amzn-oidc-")
        || key.starts_with("x-portcullis-")
        || rules.identity_headers.contains(key)
}

/// HTTP/2 may split a cookie over several fields; further on there is one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let mut joined = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(value.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, value);
    }
}

/// Writes `X-Forwarded-*` and finds the client: the last address that is not a trusted peer's.
fn forwarded(kept: &mut HeaderMap, rules: &Rules, origin: &Origin<'_>) -> Result<IpAddr, Refusal> {
    let before = origin.told;
    let client = before
        .iter()
        .rev()
        .find(|address| !rules.trusts(**address))
        .or(before.first())
        .copied()
        .unwrap_or(origin.peer);
    let mut chain = String::new();
    for address in before.iter().chain(std::iter::once(&origin.peer)) {
        if !chain.is_empty() {
            chain.push_str(", ");
        }
        chain.push_str(&address.to_string());
    }
    kept.insert(X_FORWARDED_FOR, value(&chain)?);
    kept.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(origin.scheme.as_str()),
    );
    if !kept.contains_key(X_FORWARDED_HOST) {
        kept.insert(X_FORWARDED_HOST, value(origin.authority.as_str())?);
    }
    Ok(client)
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|_| Malformed::HostInvalid.into())
}

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that decide who the caller is or what the request is; an alias of one is refused.
const DECISIVE: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "proxy-authorization",
    "transfer-encoding",
    "upgrade",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
    "x-request-id",
];

/// What never goes on: hop-by-hop fields (RFC 9110 section 7.6.1), framing, which Pingora writes anew, what another hop
/// may say of the client or the user (`X-Forwarded-*` carries ours), and what makes some frameworks serve another method,
/// host or path than the one that was authorised.
const DROPPED: &[&str] = &[
    "connection",
    "content-length",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "remote-user",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-remote-user",
    "x-request-id",
    "x-rewrite-url",
];

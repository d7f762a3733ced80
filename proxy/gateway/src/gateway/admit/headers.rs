//! The header fields of a request: ours taken out in every spelling, hop-by-hop ones dropped, `X-Forwarded-*` rewritten.

use std::{borrow::Cow, fmt::Write as _, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use settings::{Allow, Scheme, TrustedHeader};

use super::{
    Allowances, Rules,
    forwarded::{X_FORWARDED_FOR, X_FORWARDED_PROTO},
};
use crate::gateway::{
    head::Authority,
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
    // What is parsed is in lower case already.
    if name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    {
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
    let mut kept = HeaderMap::with_capacity(sent.len() + ADDED);
    for (name, value) in sent {
        if has_blank_end(value.as_bytes()) {
            return Err(Malformed::HeaderValue.into());
        }
        let key = identity_key(name.as_str());
        if is_ours(&key, rules) {
            continue;
        }
        if is_alias(name, &key, sent, rules)? {
            needs.insert(Allow::HeaderAlias);
        }
        if goes_on(&key, believed) && !nominated.iter().any(|n| n == name.as_str()) {
            kept.append(name.clone(), value.clone());
        }
    }
    join_cookies(&mut kept);
    let authority = value(origin.authority.as_str().to_owned())?;
    // Of several it is the nearest proxy's that counts, which is the last.
    let told = kept.get_all(X_FORWARDED_HOST).iter().next_back().cloned();
    let told = told.filter(|_| believed);
    kept.insert(X_FORWARDED_HOST, told.unwrap_or_else(|| authority.clone()));
    kept.insert(header::HOST, authority);
    let client = forwarded(&mut kept, rules, origin)?;
    Ok((kept, client))
}

/// Whether a value is another one to who reads it on HTTP/1, where blanks at its ends are not its own (RFC 9110 section 5.5).
/// HTTP/2 has no such fields (RFC 9113 section 8.2.1), but its parser takes them.
pub(crate) fn has_blank_end(value: &[u8]) -> bool {
    let is_blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
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

/// Whether some servers read a name with this key as another one that is here too. Refuses one that they could read as a
/// header that decides what is done.
fn is_alias(
    name: &HeaderName,
    key: &str,
    sent: &HeaderMap,
    rules: &Rules,
) -> Result<bool, Refusal> {
    let is_alias = key != name.as_str();
    let decides = || DECISIVE.contains(&key) || key.starts_with("x-forwarded-");
    let unseen = rules
        .policy_headers
        .get(key)
        .is_some_and(|read| read.as_slice() != [name]);
    if unseen || is_alias && decides() {
        return Err(Malformed::HeaderAmbiguous.into());
    }
    Ok(is_alias && is_repeated(key, sent))
}

/// Whether more than one name has this key.
fn is_repeated(key: &str, sent: &HeaderMap) -> bool {
    let names = sent.keys().filter(|name| has_key(name.as_str(), key));
    names.take(2).count() == 2
}

fn goes_on(key: &str, believed: bool) -> bool {
    !DROPPED.contains(&key) && (believed || !key.starts_with("x-forwarded-"))
}

/// Headers that speak for the gate: what a caller sends under such a name never goes on.
fn is_ours(key: &str, rules: &Rules) -> bool {
    key.starts_with("x-amzn-oidc-")
        || key.starts_with("x-portcullis-")
        || tells_of_certificate(key)
        || rules.identity_headers.contains(key)
}

/// Whether proxies that end TLS tell of a caller's certificate so: `Client-Cert` of RFC 9440, Envoy, Traefik, load balancers of
/// AWS and Azure, and what is in use with nginx and `HAProxy`. TLS ends here, and nothing vouches for what a caller says of it.
fn tells_of_certificate(key: &str) -> bool {
    let name = key.strip_prefix("x-").unwrap_or(key);
    // Each field is asked: most names end at their first letter.
    let names: &[&str] = match name.as_bytes().first() {
        Some(b'a') => &["amzn-mtls-", "arr-clientcert"],
        Some(b'c') => &[
            "client-cert",
            "client-dn",
            "client-verify",
            "cf-client-cert",
        ],
        Some(b'f') => &["forwarded-client-cert", "forwarded-tls-client-cert"],
        Some(b'n') => &["nginx-ssl-client-"],
        Some(b's') => &["ssl-cert", "ssl-client-"],
        Some(b't') => &["tls-client-"],
        _ => &[],
    };
    names.iter().any(|start| name.starts_with(start))
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

/// Writes `X-Forwarded-For` and `-Proto` and finds the client: the last address that is not a trusted peer's.
fn forwarded(kept: &mut HeaderMap, rules: &Rules, origin: &Origin<'_>) -> Result<IpAddr, Refusal> {
    let before = origin.told;
    let client = before
        .iter()
        .rev()
        .find(|address| !rules.trusts(**address))
        .or(before.first())
        .copied()
        .unwrap_or(origin.peer);
    let mut chain = String::with_capacity("255.255.255.255".len());
    for address in before.iter().chain(std::iter::once(&origin.peer)) {
        if !chain.is_empty() {
            chain.push_str(", ");
        }
        push_address(&mut chain, *address);
    }
    kept.insert(X_FORWARDED_FOR, value(chain)?);
    kept.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(origin.scheme.as_str()),
    );
    Ok(client)
}

/// Writes an address as it is displayed, without the machinery of displaying: each request has one.
fn push_address(out: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing to a string does not fail.
        return write!(out, "{address}").unwrap_or_default();
    };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        for place in [100, 10, 1] {
            if octet >= place || place == 1 {
                out.push(char::from(b'0' + octet / place % 10));
            }
        }
    }
}

fn value(text: String) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(text).map_err(|_| Malformed::HostInvalid.into())
}

/// Fields that every request gets: `Host`, three `X-Forwarded-*` and its id; beside them its framing and some claims.
const ADDED: usize = 12;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_displayed() {
        let octets = [0, 1, 9, 10, 99, 100, 109, 255];
        let all = octets.iter().flat_map(|a| octets.map(|b| [*a, b, b, *a]));
        let six = "2001:db8::1".parse().unwrap();
        for address in all.map(IpAddr::from).chain([six]) {
            let mut text = String::new();
            push_address(&mut text, address);
            assert_eq!(text, address.to_string());
        }
    }
}

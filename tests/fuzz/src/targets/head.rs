//! What holds of every admitted head, whichever protocol it came by.

use std::net::IpAddr;

use portcullis::probe::{Admission, Admitted};

use crate::naive;

/// A request as its caller meant it.
pub(super) struct Sent<'s> {
    pub(super) method: &'s [u8],
    /// Path and query, without scheme and host.
    pub(super) target: &'s [u8],
    pub(super) host: &'s [u8],
    /// Names in lower case.
    pub(super) fields: &'s [(Vec<u8>, &'s [u8])],
}

/// A caller nobody believes, and one whose word on others is taken.
pub(super) const STRANGER: [u8; 4] = [192, 0, 2, 7];
pub(super) const BALANCER: [u8; 4] = [10, 0, 0, 1];

/// A gate that sets `x-user` and `x-user-groups`, and whose policies read `x-tenant`.
pub(super) fn admission() -> Admission {
    let name = http::HeaderName::from_static;
    Admission::new(
        vec!["10.0.0.0/8".parse().expect("a network")],
        &[name("x-user"), name("x-user-groups")],
        &[name("x-tenant")],
    )
}

/// Holds an admitted head against what was sent.
pub(super) fn check(head: &Admitted, sent: &Sent<'_>, peer: IpAddr) {
    assert_eq!(head.method.as_str().as_bytes(), sent.method);
    check_target(head, sent.target);
    check_host(head, sent.host);
    check_kept(head, sent, peer);
    if peer == IpAddr::from(STRANGER) {
        assert_eq!(head.client, peer, "a stranger is who it is");
        assert_eq!(of(head, "x-forwarded-for"), [peer.to_string().as_bytes()]);
        assert_eq!(of(head, "x-forwarded-host"), [head.authority.as_bytes()]);
    }
}

/// The path has one reading, which is that of the bytes sent; the query goes on as it is, but for three characters that
/// Pingora writes as escapes.
fn check_target(head: &Admitted, target: &[u8]) {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let path = match parts.next().unwrap() {
        b"" => b"/",
        path => path,
    };
    let once = naive::decoded(path);
    assert_eq!(naive::decoded(head.path.as_bytes()), once, "{}", head.path);
    for spelling in [path, head.path.as_bytes()] {
        for (how, reading) in naive::readings(spelling) {
            assert_eq!(
                reading.escape_ascii().to_string(),
                once.escape_ascii().to_string(),
                "{how}"
            );
        }
    }
    let query = parts.next();
    let whole = [
        head.path.as_bytes(),
        query.map_or(&b""[..], |_| b"?"),
        query.unwrap_or_default(),
    ];
    assert_eq!(quoted(head.target.as_bytes()), quoted(&whole.concat()));
}

/// RFC 3986 section 2 has none of these anywhere, and all who take them read them as this.
fn quoted(target: &[u8]) -> String {
    let text = str::from_utf8(target).unwrap();
    let text = text.replace('"', "%22").replace('<', "%3C");
    text.replace('>', "%3E")
}

/// Lower case, without the dot of a full name; of its port only one that is not the default.
fn check_host(head: &Admitted, host: &[u8]) {
    let text = str::from_utf8(host).unwrap().to_ascii_lowercase();
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (&*text, None),
    };
    let address = |text: &str| {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<std::net::Ipv6Addr>().ok()
    };
    match address(name) {
        Some(found) => assert_eq!(address(&head.host), Some(found)),
        None => assert_eq!(head.host, name.strip_suffix('.').unwrap_or(name)),
    }
    let port = port.map(|port| port.parse::<u16>().expect("an admitted port is one"));
    let written = port.map(|port| format!("{}:{port}", head.host));
    let default = matches!(port, None | Some(80 | 443));
    assert!(
        written.as_ref() == Some(&head.authority) || default && head.authority == head.host,
        "{text}: {}",
        head.authority
    );
}

/// Each field that goes on is one that was sent, as it was, or one that the gate writes.
fn check_kept(head: &Admitted, sent: &Sent<'_>, peer: IpAddr) {
    let nominated = nominated(sent);
    for name in head.headers.keys().map(http::HeaderName::as_str) {
        let key = folded(name);
        assert!(
            !NEVER.contains(&&*key) && !is_ours(&key),
            "{name} goes upstream"
        );
        let others = head.headers.keys().filter(|k| folded(k.as_str()) == key);
        assert_eq!(others.count(), 1, "{name} in two spellings");
        if name == "host" {
            assert_eq!(of(head, name), [head.authority.as_bytes()]);
            continue;
        }
        if WRITTEN.contains(&name) {
            assert_eq!(of(head, name).len(), 1, "{name} once");
            continue;
        }
        assert!(!nominated.iter().any(|n| n == name), "{name} was for us");
        let believed = peer == IpAddr::from(BALANCER);
        assert!(believed || !key.starts_with("x-forwarded-"), "{name}");
        let values = values(sent, name);
        match name {
            "cookie" => assert_eq!(of(head, name), [joined(&values)]),
            "authorization" => assert_eq!((of(head, name), values.len()), (values, 1)),
            _ => assert_eq!(of(head, name), values, "{name}"),
        }
    }
}

/// RFC 9113 section 8.2.3; empty ones in front are nothing.
fn joined(values: &[&[u8]]) -> Vec<u8> {
    let first = values.iter().position(|value| !value.is_empty());
    values[first.unwrap_or(values.len())..].join(&b"; "[..])
}

fn of<'h>(head: &'h Admitted, name: &str) -> Vec<&'h [u8]> {
    let values = head.headers.get_all(name).iter();
    values.map(http::HeaderValue::as_bytes).collect()
}

fn values<'s>(sent: &Sent<'s>, name: &str) -> Vec<&'s [u8]> {
    let fields = sent.fields.iter().filter(|(n, _)| n == name.as_bytes());
    fields.map(|(_, value)| *value).collect()
}

/// RFC 9110 section 7.6.1.
fn nominated(sent: &Sent<'_>) -> Vec<String> {
    let lists = values(sent, "connection").into_iter();
    let names = lists.filter(|list| list.is_ascii()).flat_map(|list| {
        let names = list.split(|byte| *byte == b',');
        names.map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
    });
    names.collect()
}

/// As servers that make variables of names have them (RFC 3875 section 4.1.18), and stricter ones.
fn folded(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.to_ascii_lowercase().chars().map(plain).collect()
}

fn is_ours(key: &str) -> bool {
    let bare = key.strip_prefix("x-").unwrap_or(key);
    let shown = ["client-cert", "ssl-client-", "forwarded-client-cert"];
    matches!(key, "x-user" | "x-user-groups")
        || shown.iter().any(|name| bare.starts_with(name))
        || key.starts_with("x-amzn-oidc-")
        || key.starts_with("x-portcullis-")
}

/// What the gate writes itself.
const WRITTEN: &[&str] = &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// What is for the next hop alone, or makes a server take the request for another.
const NEVER: &[&str] = &[
    "connection",
    "content-length",
    "forwarded",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::gateway::refuse::Malformed as M;

struct Request {
    target: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    authority: Option<&'static str>,
    peer: [u8; 4],
    tls: bool,
}

impl Request {
    fn get(target: &'static str) -> Self {
        Self {
            target,
            headers: vec![("host", "api.example.com")],
            authority: None,
            peer: [192, 0, 2, 7],
            tls: false,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn host(mut self, host: &'static str) -> Self {
        self.headers.retain(|(name, _)| *name != "host");
        self.headers.push(("host", host));
        self
    }

    fn behind_proxy(mut self) -> Self {
        self.peer = [10, 0, 0, 1];
        self
    }

    fn admit(&self) -> Result<Head, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let raw = Raw {
            method: &Method::GET,
            target: self.target.as_bytes(),
            authority: self.authority,
            headers: &headers,
            peer: IpAddr::from(self.peer),
            tls: self.tls,
        };
        admit(&raw, &rules())
    }

    fn refused(&self) -> Refusal {
        self.admit().err().expect("must be refused")
    }
}

fn rules() -> Rules {
    let mut rules = Rules {
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        identity_headers: ["x-user", "x-user-groups"].map(str::to_owned).into(),
        ..Rules::default()
    };
    for read in ["x-role", "x_plan", "x-tier", "x_tier"] {
        rules.read(HeaderName::from_static(read));
    }
    rules
}

fn header<'h>(head: &'h Head, name: &str) -> Option<&'h str> {
    head.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_plain_request_is_admitted_as_it_is() {
    let head = Request::get("/pets/1?q=a%20b")
        .with("accept", "*/*")
        .admit()
        .unwrap();
    assert_eq!(head.path, "/pets/1");
    assert_eq!(head.query.as_deref(), Some("q=a%20b"));
    assert_eq!(head.target(), "/pets/1?q=a%20b");
    assert_eq!(head.authority.as_str(), "api.example.com");
    assert_eq!(header(&head, "accept"), Some("*/*"));
    assert_eq!(head.client, IpAddr::from([192, 0, 2, 7]));
}

#[test]
fn paths_have_one_spelling() {
    for (sent, canonical) in [
        ("/", "/"),
        ("/%70%65ts", "/pets"),
        ("/pets%2D1", "/pets-1"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a%3fb", "/a%3Fb"),
        ("/100%25", "/100%25"),
        ("/a+b@c:d!$&'()*,=", "/a+b@c:d!$&'()*,="),
        ("/%21%24%26%27%28%29%2a%2b%2c%3a%3d%40", "/!$&'()*+,:=@"),
        ("/open/%40secret/x", "/open/@secret/x"),
        (r#"/"<>[]^`{|}"#, "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        (
            "/%22%3c%3e%5b%5d%5e%60%7b%7c%7d",
            "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D",
        ),
        ("/a%23b", "/a%23b"),
        ("/%25%25%32", "/%25%252"),
        ("/pets/", "/pets/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
    ] {
        assert_eq!(
            Request::get(sent).admit().unwrap().path,
            canonical,
            "{sent}"
        );
    }
}

#[test]
fn paths_with_two_readings_are_refused() {
    for path in [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/.%2E",
        "/a/./b",
        "/%2e",
        "/..",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a;b=1/c",
        "/a%3bb",
        "/a/..;/b",
        "//a",
        "/a//b",
        "/a%00",
        "/a%0d%0aX:",
        "/a%7f",
        "/%252e%252e/a",
        "/a%252fb",
        "/open/%25%32%66",
        "/%25%32f",
        "/%252%66",
        "/%25%35%43",
    ] {
        assert_eq!(
            Request::get(path).refused(),
            M::PathAmbiguous.into(),
            "{path}"
        );
    }
    for path in ["/a%", "/a%2", "/a%zz", "/a%+1", "/%c0%ae", "/%ff"] {
        assert_eq!(
            Request::get(path).refused(),
            M::PathEncoding.into(),
            "{path}"
        );
    }
    for target in ["", "*", "pets", "?a", "/a#b", "ftp://api.example.com/"] {
        assert_eq!(Request::get(target).refused(), M::Target.into(), "{target}");
    }
    for target in ["/a?b=%", "/a?%zz"] {
        assert_eq!(Request::get(target).refused(), M::Query.into(), "{target}");
    }
}

#[test]
fn control_and_foreign_octets_are_refused() {
    for target in [
        &b"/a b"[..],
        b"/a\tb",
        b"/\xc3\xa9",
        b"/\x00",
        b"/\x7f",
        b"/?\xff",
    ] {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a"))]);
        let raw = Raw {
            method: &Method::GET,
            target,
            authority: None,
            headers: &headers,
            peer: IpAddr::from([192, 0, 2, 7]),
            tls: false,
        };
        let refusal = admit(&raw, &rules()).err();
        assert_eq!(refusal, Some(M::Target.into()), "{}", target.escape_ascii());
    }
}

#[test]
fn an_absolute_target_must_name_the_host() {
    let head = Request::get("http://API.example.com/pets?a")
        .admit()
        .unwrap();
    assert_eq!(
        (head.path.as_str(), head.query.as_deref()),
        ("/pets", Some("a"))
    );
    assert_eq!(
        Request::get("http://api.example.com").admit().unwrap().path,
        "/"
    );
    assert_eq!(
        Request::get("http://api.example.com?a")
            .admit()
            .unwrap()
            .path,
        "/"
    );
    assert_eq!(
        Request::get("http://other.example.com/").refused(),
        M::HostRepeated.into()
    );
}

#[test]
fn hosts_are_canonical() {
    for (sent, host, authority) in [
        ("API.Example.COM", "api.example.com", "api.example.com"),
        ("api.example.com:80", "api.example.com", "api.example.com"),
        (
            "api.example.com:8080",
            "api.example.com",
            "api.example.com:8080",
        ),
        ("api.example.com.", "api.example.com", "api.example.com"),
        ("127.0.0.1:443", "127.0.0.1", "127.0.0.1:443"),
        ("[::0:1]:8080", "[::1]", "[::1]:8080"),
    ] {
        let head = Request::get("/").host(sent).admit().unwrap();
        assert_eq!(head.authority.host(), host, "{sent}");
        assert_eq!(head.authority.as_str(), authority, "{sent}");
        assert_eq!(header(&head, "host"), Some(authority));
    }
}

#[test]
fn bad_hosts_are_refused() {
    for host in [
        "",
        "a b",
        "a,b",
        "a/b",
        "u@a",
        "a:",
        "a:0",
        "a:+80",
        "a:99999",
        "a:80:80",
        "a..b",
        ".",
        "[::1",
        "[a]",
        "[::1]x",
        "%61.example",
        "a\\b",
    ] {
        assert_eq!(
            Request::get("/").host(host).refused(),
            M::HostInvalid.into(),
            "{host}"
        );
    }
    let mut none = Request::get("/");
    none.headers.clear();
    assert_eq!(none.refused(), M::HostMissing.into());
    let two = Request::get("/").with("host", "other.example.com");
    assert_eq!(two.refused(), M::HostRepeated.into());
    let mut conflicting = Request::get("/");
    conflicting.authority = Some("other.example.com");
    assert_eq!(conflicting.refused(), M::HostRepeated.into());
    let mut agreeing = Request::get("/");
    agreeing.authority = Some("API.example.com");
    assert!(agreeing.admit().is_ok());
}

#[test]
fn headers_that_speak_for_the_gate_are_removed_in_every_spelling() {
    for name in [
        "x-user",
        "X-USER",
        "x_user",
        "x.user",
        "x!user",
        "x~user",
        "x|user",
        "X*User^Groups",
        "X_User_Groups",
        "x-amzn-oidc-data",
        "x_amzn_oidc_identity",
        "x-amzn.oidc-anything",
        "x-portcullis-principal",
        "x_portcullis_principal",
    ] {
        let head = Request::get("/").with(name, "forged").admit().unwrap();
        let left = head.headers.iter().find(|(_, value)| *value == "forged");
        assert!(left.is_none(), "{name} left as {left:?}");
    }
}

#[test]
fn aliases_of_other_headers_are_refused() {
    for name in [
        "content_length",
        "transfer.encoding",
        "Transfer!Encoding",
        "x_forwarded_for",
        "X-Forwarded!For",
        "authorization_",
    ] {
        let refusal = Request::get("/").with(name, "1").admit().err();
        let expected = (name != "authorization_").then_some(M::HeaderAmbiguous.into());
        assert_eq!(refusal, expected, "{name}");
    }
    let pair = Request::get("/")
        .with("x-tenant", "a")
        .with("x_tenant", "b");
    assert_eq!(pair.refused(), M::HeaderAmbiguous.into());
    let aliases = Request::get("/")
        .with("x_tenant", "a")
        .with("x.tenant", "b");
    assert_eq!(aliases.refused(), M::HeaderAmbiguous.into());
    let repeated = Request::get("/")
        .with("x_tenant", "a")
        .with("X_Tenant", "b");
    assert!(repeated.admit().is_ok());
    assert!(Request::get("/").with("x_tenant", "b").admit().is_ok());
}

#[test]
fn policies_see_what_upstreams_could_read() {
    for name in [
        "X_Role", "x.role", "x!role", "x-plan", "x.plan", "x-tier", "x_tier",
    ] {
        let refusal = Request::get("/").with(name, "debug").admit().err();
        assert_eq!(refusal, Some(M::HeaderAmbiguous.into()), "{name}");
    }
    for name in ["X-Role", "x_plan"] {
        let head = Request::get("/").with(name, "debug").admit().unwrap();
        assert_eq!(header(&head, name), Some("debug"));
    }
}

#[test]
fn a_length_is_one_plain_number() {
    for length in ["0", "3", "18446744073709551615"] {
        assert!(
            Request::get("/")
                .with("content-length", length)
                .admit()
                .is_ok()
        );
    }
    for length in [
        "",
        "003",
        "+3",
        "-3",
        "3, 3",
        "0x3",
        "3.0",
        "18446744073709551616",
    ] {
        let refusal = Request::get("/")
            .with("content-length", length)
            .admit()
            .err();
        assert_eq!(refusal, Some(M::LengthInvalid.into()), "{length}");
    }
    let two = Request::get("/")
        .with("content-length", "3")
        .with("content-length", "3");
    assert_eq!(two.refused(), M::LengthInvalid.into());
}

#[test]
fn what_other_proxies_would_say_ends_here() {
    for name in [
        "X-Original-URI",
        "x-original-host",
        "x-host",
        "x-client-ip",
        "True-Client-IP",
        "x-cluster-client-ip",
        "remote-user",
        "Remote_User",
        "x-remote-user",
    ] {
        let head = Request::get("/").with(name, "forged").admit().unwrap();
        let left = head.headers.iter().find(|(_, value)| *value == "forged");
        assert!(left.is_none(), "{name} left as {left:?}");
    }
}

#[test]
fn hop_by_hop_headers_end_here() {
    let head = Request::get("/")
        .with("connection", "close, X-Hop")
        .with("x-hop", "1")
        .with("upgrade", "websocket")
        .with("te", "trailers")
        .with("proxy-authorization", "Basic x")
        .with("x-http-method-override", "DELETE")
        .with("x-original-url", "/admin")
        .with("x-kept", "1")
        .admit()
        .unwrap();
    for name in [
        "connection",
        "x-hop",
        "upgrade",
        "te",
        "proxy-authorization",
    ] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    assert!(!head.headers.contains_key("x-http-method-override"));
    assert!(!head.headers.contains_key("x-original-url"));
    assert_eq!(header(&head, "x-kept"), Some("1"));
}

#[test]
fn strangers_say_nothing_about_who_is_behind_them() {
    let head = Request::get("/")
        .with("x-forwarded-for", "203.0.113.9")
        .with("x-forwarded-proto", "https")
        .with("x-forwarded-host", "admin.example.com")
        .with("x-forwarded-prefix", "/x")
        .with("forwarded", "for=203.0.113.9")
        .with("x-real-ip", "203.0.113.9")
        .admit()
        .unwrap();
    assert_eq!(head.client, IpAddr::from([192, 0, 2, 7]));
    assert_eq!(header(&head, "x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(header(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&head, "x-forwarded-host"), Some("api.example.com"));
    for name in ["x-forwarded-prefix", "forwarded", "x-real-ip"] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
}

#[test]
fn trusted_peers_are_believed_up_to_the_first_stranger() {
    let head = Request::get("/")
        .behind_proxy()
        .with("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.2")
        .with("x-forwarded-proto", "https")
        .admit()
        .unwrap();
    assert_eq!(head.client, IpAddr::from([203, 0, 113, 9]));
    assert_eq!(header(&head, "x-forwarded-proto"), Some("https"));
    assert_eq!(
        header(&head, "x-forwarded-for"),
        Some("198.51.100.1, 203.0.113.9, 10.0.0.2, 10.0.0.1")
    );
    let mapped = Request::get("/")
        .behind_proxy()
        .with("x-forwarded-for", "203.0.113.9, ::ffff:10.0.0.2")
        .admit()
        .unwrap();
    assert_eq!(mapped.client, IpAddr::from([203, 0, 113, 9]));
    let unreadable = Request::get("/")
        .behind_proxy()
        .with("x-forwarded-for", "203.0.113.9, unknown")
        .admit()
        .unwrap();
    assert_eq!(unreadable.client, IpAddr::from([10, 0, 0, 1]));
}

#[test]
fn there_is_one_authorization_and_one_cookie() {
    let two = Request::get("/")
        .with("authorization", "Bearer a")
        .with("authorization", "Bearer b");
    assert_eq!(two.refused(), M::AuthorizationRepeated.into());
    let head = Request::get("/")
        .with("cookie", "a=1")
        .with("cookie", "b=2")
        .admit()
        .unwrap();
    assert_eq!(header(&head, "cookie"), Some("a=1; b=2"));
}

#[test]
fn heads_are_bounded() {
    let long: &'static str = String::leak(format!("/{}", "a".repeat(MAX_TARGET)));
    assert_eq!(Request::get(long).refused(), Refusal::TargetTooLong);
    let big: &'static str = String::leak("a".repeat(MAX_HEAD));
    assert_eq!(
        Request::get("/").with("x-big", big).refused(),
        Refusal::HeadTooLarge
    );
    let mut many = Request::get("/");
    many.headers
        .extend((0..MAX_FIELDS).map(|_| ("x-many", "1")));
    assert_eq!(many.refused(), Refusal::HeadTooLarge);
}

proptest! {
    #[test]
    fn an_admitted_path_is_its_own_canonical_form(path in "/[ -~]{0,40}") {
        if let Ok(once) = target::canonical_path(&path) {
            prop_assert_eq!(target::canonical_path(&once), Ok(once.clone()));
        }
    }

    #[test]
    fn paths_of_the_same_octets_are_one_path(
        octets in proptest::collection::vec((0x20_u8..0x7f, any::<bool>(), any::<bool>()), 0..30),
    ) {
        let (mut one, mut other) = ("/".to_owned(), "/".to_owned());
        // Only a slash is another thing than its escape, which is refused.
        for (octet, in_one, in_other) in octets.into_iter().filter(|(octet, ..)| *octet != b'/') {
            spell(&mut one, octet, in_one);
            spell(&mut other, octet, in_other);
        }
        prop_assert_eq!(target::canonical_path(&one), target::canonical_path(&other));
    }

    #[test]
    fn nothing_admitted_decodes_to_another_structure(path in "/([a-z./;%\\\\]|%2[eEfF5]|%5[cC]|%00){0,12}") {
        if let Ok(canonical) = target::canonical_path(&path) {
            let decoded = percent_decode(&canonical);
            let segments = |text: &str| text.split('/').map(str::len).collect::<Vec<_>>().len();
            prop_assert_eq!(segments(&decoded), segments(&canonical));
            prop_assert!(!decoded.split('/').any(|s| s == "." || s == ".."));
            prop_assert_eq!(percent_decode(&decoded), decoded, "decoding twice changes it");
        }
    }
}

/// Writes an octet plain or as an escape; those that mean something plain are always escaped.
fn spell(out: &mut String, octet: u8, plain: bool) {
    if plain && !matches!(octet, b'%' | b'?' | b'#' | b' ') {
        out.push(char::from(octet));
    } else {
        write!(out, "%{octet:02x}").unwrap();
    }
}

/// An independent decoder: as the sloppiest upstream would.
fn percent_decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let escape = ahead.next().zip(ahead.next()).and_then(|(high, low)| {
            let digit = |b: u8| char::from(b).to_digit(16);
            Some(u8::try_from(digit(high)? * 16 + digit(low)?).unwrap())
        });
        match escape {
            Some(value) if byte == b'%' => {
                out.push(value);
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

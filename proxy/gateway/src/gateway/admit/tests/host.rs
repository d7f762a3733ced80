//! Hosts: one spelling each.

use super::*;

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

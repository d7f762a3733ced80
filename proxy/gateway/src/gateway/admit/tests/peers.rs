//! Who is at the other end, by what trusted peers say.

use super::*;

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

/// A balancer that does not write them hands them on from anybody.
#[test]
fn nobody_is_believed_in_what_a_certificate_says() {
    for name in ["x-forwarded-client-cert", "client-cert", "X-SSL-Client-DN"] {
        let request = Request::get("/").behind_proxy().with(name, "forged");
        let head = request.admit().unwrap();
        assert!(!head.headers.values().any(|it| it == "forged"), "{name}");
    }
}

#[test]
fn peers_may_write_the_standard_header() {
    let sent = |peer: [u8; 4]| {
        let mut request = Request::get("/")
            .with(
                "forwarded",
                "for=203.0.113.9;proto=https, for=10.0.0.2;proto=https",
            )
            .with("x-forwarded-for", "6.6.6.6")
            .with("x-forwarded-host", "admin.example.com")
            .with("x-forwarded-prefix", "/x");
        request.peer = peer;
        let rules = Rules {
            trusted_header: TrustedHeader::Forwarded,
            ..rules()
        };
        request.admit_by(&rules).unwrap()
    };
    let head = sent([10, 0, 0, 1]);
    assert_eq!(head.client, IpAddr::from([203, 0, 113, 9]));
    let chain = "203.0.113.9, 10.0.0.2, 10.0.0.1";
    assert_eq!(header(&head, "x-forwarded-for"), Some(chain));
    assert_eq!(header(&head, "x-forwarded-proto"), Some("https"));
    assert_eq!(header(&head, "x-forwarded-host"), Some("api.example.com"));
    for name in ["forwarded", "x-forwarded-prefix"] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    let stranger = sent([192, 0, 2, 7]);
    assert_eq!(stranger.client, IpAddr::from([192, 0, 2, 7]));
    assert_eq!(header(&stranger, "x-forwarded-proto"), Some("http"));
}

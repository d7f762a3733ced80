//! Targets: one spelling each, and one reading.

use std::fmt::Write as _;

use proptest::prelude::*;
use settings::Allow;

use super::{super::target::canonical_path, *};

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
        // Refused at once, or where its route does not allow it.
        let head = Request::get(path).admit();
        let refused = head.and_then(|head| head.needs.check_within(Allowances::default()));
        assert_eq!(refused, Err(M::PathAmbiguous.into()), "{path}");
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
fn what_routes_may_allow_keeps_its_spelling() {
    for (sent, canonical, needs) in [
        ("/a%2fb", "/a%2Fb", &[Allow::EncodedSlash][..]),
        ("/a\\b%5cc", "/a%5Cb%5Cc", &[Allow::Backslash]),
        ("/a;b=1/c", "/a;b=1/c", &[Allow::Semicolon]),
        ("/a%3bb", "/a%3Bb", &[Allow::Semicolon]),
        ("/a//b", "/a//b", &[Allow::EmptySegment]),
        ("/a%252fb", "/a%252fb", &[Allow::DoubleEncoding]),
        (
            "/a%2F;/%25%32f",
            "/a%2F;/%252f",
            &[Allow::EncodedSlash, Allow::Semicolon, Allow::DoubleEncoding],
        ),
        ("/a%2cb", "/a,b", &[]),
    ] {
        let head = Request::get(sent).admit().unwrap();
        assert_eq!(head.path, canonical, "{sent}");
        assert_eq!(head.needs, needs.iter().copied().collect(), "{sent}");
    }
    for path in ["/%00", "/a%0a", "/a/../b", "/%2e%2e", "/a%7f", "/./a"] {
        assert_eq!(Request::get(path).refused(), M::PathAmbiguous.into());
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
            version: http::Version::HTTP_11,
            method: &Method::GET,
            target,
            authority: None,
            headers: &headers,
            head: None,
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

proptest! {
    #[test]
    fn an_admitted_path_is_its_own_canonical_form(path in "/[ -~]{0,40}") {
        if let Ok((once, needs)) = canonical_path(&path) {
            prop_assert_eq!(canonical_path(&once), Ok((once.clone(), needs)));
        }
    }

    #[test]
    fn no_reading_of_what_is_allowed_climbs(path in "/([a-z./;%\\\\]|%2[eEfF5]|%5[cC]|%3[bB]|%00){0,12}") {
        if let Ok((canonical, _)) = canonical_path(&path)
            && let Ok(all) = readings(&canonical)
        {
            for reading in all {
                let mut decoded = percent_decode(&reading);
                while percent_decode(&decoded) != decoded {
                    decoded = percent_decode(&decoded);
                }
                let mut segments = decoded.split(['/', '\\']).map(|s| s.split(';').next());
                prop_assert!(!segments.any(|s| matches!(s, Some("." | ".."))), "{}", decoded);
            }
        }
    }

    #[test]
    fn paths_of_the_same_octets_are_one_path(
        octets in proptest::collection::vec((0x20_u8..0x7f, any::<bool>(), any::<bool>()), 0..30),
    ) {
        let (mut one, mut other) = ("/".to_owned(), "/".to_owned());
        // Only these two are other things than their escapes, which are refused or allowed apart.
        let others = octets.into_iter().filter(|(octet, ..)| !matches!(octet, b'/' | b';'));
        for (octet, in_one, in_other) in others {
            spell(&mut one, octet, in_one);
            spell(&mut other, octet, in_other);
        }
        prop_assert_eq!(canonical_path(&one), canonical_path(&other));
    }

    #[test]
    fn nothing_admitted_decodes_to_another_structure(path in "/([a-z./;%\\\\]|%2[eEfF5]|%5[cC]|%00){0,12}") {
        if let Ok((canonical, needs)) = canonical_path(&path)
            && needs.is_empty()
        {
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

use std::time::{Duration, SystemTime};

use super::*;

fn line() -> Line<'static> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_000_000_000_123_999);
    Line {
        time: Time(time.into()),
        request_id: "id-1",
        client: IpAddr::from([192, 0, 2, 7]),
        method: Said::of(b"GET"),
        host: Some("a.example"),
        path: Some("/pets/%22"),
        protocol: protocol(Version::HTTP_2),
        status: 200,
        bytes_received: 3,
        bytes_sent: 512,
        micros: 412,
        upstream: Some("http://127.0.0.1:9000"),
        route: Some("pets"),
        user_agent: Some(Said::of(b"curl/8")),
        referer: Some(Said::of(b"https://a.example/list")),
    }
}

fn bare() -> Line<'static> {
    Line {
        host: None,
        path: None,
        status: 0,
        bytes_received: 0,
        bytes_sent: 0,
        upstream: None,
        route: None,
        user_agent: None,
        referer: None,
        ..line()
    }
}

fn written(line: &Line<'_>, format: AccessFormat) -> String {
    let mut out = Vec::new();
    line.write(format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_form_says_what_it_has_room_for() {
    use AccessFormat as F;
    for (line, format, expected) in [
        (
            line(),
            F::Json,
            "{\"time\":\"2001-09-09T01:46:40.123Z\",\"request_id\":\"id-1\",\"client\":\"192.0.2.7\",\
             \"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/pets/%22\",\"protocol\":\"HTTP/2.0\",\
             \"status\":200,\"bytes_received\":3,\"bytes_sent\":512,\"micros\":412,\
             \"upstream\":\"http://127.0.0.1:9000\",\"route\":\"pets\",\"user_agent\":\"curl/8\",\
             \"referer\":\"https://a.example/list\"}\n",
        ),
        (
            line(),
            F::Common,
            "192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] \"GET /pets/%22 HTTP/2.0\" 200 512\n",
        ),
        (
            line(),
            F::Combined,
            "192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] \"GET /pets/%22 HTTP/2.0\" 200 512 \
             \"https://a.example/list\" \"curl/8\"\n",
        ),
        (
            bare(),
            F::Json,
            "{\"time\":\"2001-09-09T01:46:40.123Z\",\"request_id\":\"id-1\",\"client\":\"192.0.2.7\",\
             \"method\":\"GET\",\"host\":null,\"path\":null,\"protocol\":\"HTTP/2.0\",\"status\":0,\
             \"bytes_received\":0,\"bytes_sent\":0,\"micros\":412,\"upstream\":null,\"route\":null,\
             \"user_agent\":null,\"referer\":null}\n",
        ),
        (
            bare(),
            F::Combined,
            "192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] \"GET - HTTP/2.0\" 000 0 \"-\" \"-\"\n",
        ),
    ] {
        assert_eq!(written(&line, format), expected);
    }
}

#[test]
fn no_caller_says_a_line_of_its_own() {
    for (said, json, quoted) in [
        (&b"a\nb\r\0"[..], r"a\nb\r\u0000", r"a\x0ab\x0d\x00"),
        (b"\" \\\" ", r#"\" \\\" "#, r#"\" \\\" "#),
        (b"\x1b[2J\x7f", r"\u001b[2J\u007f", r"\x1b[2J\x7f"),
        // Ends of lines and commands of terminals beyond ASCII, and what is no text at all.
        (
            "\u{85}\u{9b}\u{2028}\u{202e}".as_bytes(),
            r"\u0085\u009b\u2028\u202e",
            r"\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xae",
        ),
        ("\u{1f600}".as_bytes(), r"\ud83d\ude00", r"\xf0\x9f\x98\x80"),
        (b"\xff", r"\ufffd", r"\xff"),
    ] {
        let line = Line {
            user_agent: Some(Said::of(said)),
            ..line()
        };
        let text = written(&line, AccessFormat::Json);
        assert!(
            text.contains(&format!("\"user_agent\":\"{json}\",")),
            "{text}"
        );
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["user_agent"], *String::from_utf8_lossy(said));
        let combined = written(&line, AccessFormat::Combined);
        assert!(
            combined.ends_with(&format!(" \"{quoted}\"\n")),
            "{combined}"
        );
        for text in [text, combined] {
            let (end, rest) = text.as_bytes().split_last().unwrap();
            assert!(
                *end == b'\n' && rest.iter().copied().all(is_visible),
                "{text}"
            );
        }
    }
}

#[test]
fn no_caller_says_more_than_fits() {
    let long = [b'a'; 8000];
    assert_eq!(Said::of(&long).0.len(), MOST);
    // Cut in the middle of a character.
    let euros = "€".repeat(MOST);
    let line = Line {
        referer: Some(Said::of(euros.as_bytes())),
        ..line()
    };
    let text = written(&line, AccessFormat::Json);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let referer = read["referer"].as_str().unwrap();
    assert_eq!(referer.chars().count(), MOST / 3 + 1);
}

#[test]
fn a_referer_says_a_page_and_nothing_secret() {
    for (referer, expected) in [
        ("https://a.example/@x/y", Some("https://a.example/@x/y")),
        ("https://a.example/y?token=t#s", Some("https://a.example/y")),
        ("https://a.example?token=t", Some("https://a.example")),
        ("/y#access_token=t", Some("/y")),
        ("?token=t", None),
        ("https://u:secret@a.example/y", None),
        ("https://u:secret@a.example", None),
        ("//u:secret@a.example/y", None),
        ("u:secret@a.example/y", None),
        ("https:/\\u:secret@a.example/y", None),
        ("https:///u:secret@a.example/y", None),
        ("", None),
    ] {
        let value = HeaderValue::from_str(referer).unwrap();
        assert_eq!(page(&value), expected.map(str::as_bytes), "{referer}");
    }
}

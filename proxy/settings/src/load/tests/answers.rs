//! What the gate answers by itself: redirects of routes and listeners, and static answers.

use http::{StatusCode, header};

use super::{Folder, GOOD};
use crate::{Answer, Handling, Redirect, Scheme};

/// The good settings without TLS, with this route.
fn with(route: &str) -> String {
    let tls = "  - {address: \"127.0.0.1:8443\", tls: {certificates: [{cert: tls/a.crt, key: tls/a.key}]}}\n";
    assert!(GOOD.contains(tls));
    let route = format!("  - {route}\n  - name: open\n");
    GOOD.replace(tls, "").replace("  - name: open\n", &route)
}

fn redirect(folder: &Folder, said: &str) -> Redirect {
    let route =
        format!("{{match: {{host: x.test, path: \"/a/{{id}}/{{rest*}}\"}}, redirect: {said}}}");
    match handling(folder, &with(&route)) {
        Handling::Redirect(redirect) => *redirect,
        other => panic!("{other:?}"),
    }
}

fn answer(folder: &Folder, said: &str) -> Answer {
    let route = format!(
        "{{match: {{host: x.test}}, authenticate: none, authorize: none, respond: {said}}}"
    );
    match handling(folder, &with(&route)) {
        Handling::Respond(respond) => respond.answer,
        other => panic!("{other:?}"),
    }
}

fn handling(folder: &Folder, yaml: &str) -> Handling {
    let settings = folder.load(yaml);
    let settings = settings.map_err(|problems| problems.to_string()).unwrap();
    settings.routes[2].handling.clone()
}

#[test]
fn redirects_are_resolved() {
    let folder = Folder::new();
    let found = redirect(
        &folder,
        "{scheme: https, host: WWW.Example.com, port: 8443, path: \"/n%65w/{rest*}\", status: 301}",
    );
    assert_eq!(found.status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(found.scheme, Some(Scheme::Https));
    assert_eq!(
        found.to_string(),
        "https://www.example.com:8443/n%65w/{rest*}"
    );
    let filled = found.path.unwrap().fill(|_| Some("x"));
    assert_eq!(filled.as_deref(), Some("/new/x"));
    for (said, shown) in [
        ("{scheme: https}", "https://{host}{path}"),
        ("{host: '[0::1]'}", "{scheme}://[::1]{path}"),
        ("{port: 8443}", "{scheme}://{host}:8443{path}"),
        ("{path: '/{id}', status: 302}", "/{id}"),
        ("{path: /, status: 307}", "/"),
    ] {
        let found = redirect(&folder, said);
        assert_eq!(found.to_string(), shown);
        let status = match said {
            _ if said.contains("302") => StatusCode::FOUND,
            _ if said.contains("307") => StatusCode::TEMPORARY_REDIRECT,
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        assert_eq!(found.status, status);
    }
}

#[test]
fn redirects_must_make_sense() {
    let folder = Folder::new();
    let at = |rest: &str| format!("routes[2].redirect{rest}");
    for (said, expected) in [
        ("{}", vec![at(": leads nowhere else")]),
        ("{status: 301}", vec![at(": leads nowhere else")]),
        ("https", vec![at(": expected a mapping, found text")]),
        (
            "{scheme: ftp}",
            vec![at(".scheme: expected `http` or `https`")],
        ),
        (
            "{path: /x, status: 303}",
            vec![at(".status: must be 301, 302, 307 or 308")],
        ),
        (
            "{path: /x, status: moved}",
            vec![at(".status: expected a whole number")],
        ),
        ("{port: 0}", vec![at(".port: must be a port, 1 to 65535")]),
        (
            "{port: 65536}",
            vec![at(".port: must be a port, 1 to 65535")],
        ),
        (
            "{host: 'a.test:8443'}",
            vec![at(".host: `a.test:8443` has a port")],
        ),
        (
            "{host: '*.a.test'}",
            vec![at(".host: `*.a.test` is not one host")],
        ),
        (
            "{host: 'a.test/x'}",
            vec![at(".host: `a.test/x` is not a host name")],
        ),
        (
            "{host: \"a.test\\r\\nx: y\"}",
            vec![at(".host: `a.test\r\nx: y` has a port")],
        ),
        ("{path: x}", vec![at(".path: `x` does not start with `/`")]),
        ("{path: //x}", vec![at(".path: has an empty segment")]),
        (
            "{path: '/{rest*}//'}",
            vec![at(".path: has an empty segment")],
        ),
        (
            "{path: '/x?y=1'}",
            vec![at(".path: is a path alone; the query goes along")],
        ),
        (
            "{path: '/x#y'}",
            vec![at(".path: is a path alone; the query goes along")],
        ),
        ("{path: '/x\\y'}", vec![at(".path: `x\\y` can never match")]),
        (
            "{path: '/%0d%0a'}",
            vec![at(".path: `%0d%0a` can never match")],
        ),
        (
            "{path: '/{name}/{id*}/{rest}'}",
            vec![at(".path: `{id*}` takes the rest of the path")],
        ),
        (
            "{path: '/{name}/{rest}/{id*}'}",
            vec![
                at(".path: `{name}` is no parameter of `match.path`"),
                at(".path: `{rest}` is no parameter of `match.path`"),
                at(".path: `{id*}` is no parameter of `match.path`"),
            ],
        ),
        ("{path: /x, to: y}", vec![at(".to: unknown key")]),
    ] {
        let route =
            format!("{{match: {{host: x.test, path: \"/a/{{id}}/{{rest*}}\"}}, redirect: {said}}}");
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        folder.expect(&with(&route), &expected);
    }
}

#[test]
fn a_route_says_what_it_does_once() {
    let folder = Folder::new();
    for (route, expected) in [
        (
            "redirect: {path: /x}, respond: {}, upstream: {to: app}, authenticate: none, authorize: none, admit: {}, body_bytes: 1",
            &[
                "routes[2].authenticate: says nothing beside `redirect`",
                "routes[2].authorize: says nothing beside `redirect`",
                "routes[2].upstream: says nothing beside `redirect`",
                "routes[2].respond: says nothing beside `redirect`",
                "routes[2].admit: says nothing beside `redirect`",
                "routes[2].body_bytes: says nothing beside `redirect`",
            ][..],
        ),
        (
            "respond: {}, upstream: {to: app}, authenticate: none, authorize: none, admit: {}, body_bytes: 1",
            &[
                "routes[2].upstream: says nothing beside `respond`",
                "routes[2].admit: says nothing beside `respond`",
                "routes[2].body_bytes: says nothing beside `respond`",
            ],
        ),
        (
            "serve: pools, redirect: {path: /x}, respond: {}",
            &[
                "routes[2].redirect: says nothing beside `serve`",
                "routes[2].respond: says nothing beside `serve`",
            ],
        ),
        (
            "authenticate: none, authorize: none",
            &[
                "routes[2].upstream: is left out; write `{to: NAME}`, or beside `match` one of `redirect`, `respond` and",
            ],
        ),
        (
            "respond: {}",
            &[
                "routes[2].authenticate: is left out",
                "routes[2].authorize: is left out",
            ],
        ),
        (
            "respond: {}, authenticate: none, authorize: authenticated",
            &["routes[2].authorize: nobody proves"],
        ),
        (
            "redirect: {path: /x}, cors: pass",
            &["routes[2].cors: `pass` leaves it to an upstream"],
        ),
        (
            "respond: {}, authenticate: none, authorize: none, cors: pass",
            &["routes[2].cors: `pass` leaves it to an upstream"],
        ),
        (
            "redirect: {path: /x}, rate_limits: [{by: principal, requests: 1, per_seconds: 1}]",
            &["routes[2].rate_limits[0]: counts by who calls"],
        ),
        (
            "redirect: 7, authenticate: none",
            &[
                "routes[2].redirect: expected a mapping",
                "routes[2].authenticate: says nothing beside `redirect`",
            ],
        ),
    ] {
        folder.expect(
            &with(&format!("{{match: {{host: x.test}}, {route}}}")),
            expected,
        );
    }
}

#[test]
fn answers_are_resolved() {
    let folder = Folder::new();
    folder.write("site/page.html", "<p>é</p>\n");
    folder.write("site/most", &"x".repeat(1 << 20));
    let empty = answer(&folder, "{}");
    assert_eq!(empty.status, StatusCode::OK);
    assert!(empty.headers.is_empty() && empty.content.is_empty());
    let text = answer(
        &folder,
        "{status: 503, body: \"sorry\\n\", headers: {Retry-After: \"60\", x-a: b c}}",
    );
    assert_eq!(text.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text.content, b"sorry\n");
    let fields: Vec<_> = text
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(
        fields,
        [
            ("retry-after", "60"),
            ("x-a", "b c"),
            ("content-type", "text/plain; charset=utf-8")
        ]
    );
    let page = answer(&folder, "{file: site/page.html, content_type: text/html}");
    assert_eq!(page.content, "<p>é</p>\n".as_bytes());
    assert_eq!(
        page.headers,
        [(header::CONTENT_TYPE, "text/html".parse().unwrap())]
    );
    let most = answer(&folder, "{file: site/most, content_type: text/plain}");
    assert_eq!(most.content.len(), 1 << 20);
    for status in ["204", "205", "304"] {
        assert!(
            answer(&folder, &format!("{{status: {status}}}"))
                .headers
                .is_empty()
        );
    }
}

#[test]
fn answers_must_make_sense() {
    let folder = Folder::new();
    folder.write("more", &"x".repeat((1 << 20) + 1));
    for (said, expected) in [
        (
            "{status: 199}",
            &[".status: must be between 200 and 599"][..],
        ),
        ("{status: 600}", &[".status: must be between 200 and 599"]),
        ("{status: 206}", &[".status: answers a request for a part"]),
        (
            "{status: 70000}",
            &[".status: is not accepted here: a whole number"],
        ),
        ("{status: fine}", &[".status: expected a whole number"]),
        (
            "{status: 204, body: x}",
            &[".body: an answer with status 204 has no content"],
        ),
        (
            "{status: 304, content_type: text/plain}",
            &[
                ".content_type: an answer with status 304 has no content",
                ".content_type: says nothing without",
            ],
        ),
        (
            "{body: x, file: more, content_type: text/plain}",
            &[": has both `body` and `file`"],
        ),
        (
            "{file: more, content_type: text/plain}",
            &[".file: `/tmp/x/more` is over 1048576 bytes, 1 MiB"],
        ),
        (
            "{file: gone, content_type: text/plain}",
            &[".file: `/tmp/x/gone` cannot be read: No such file"],
        ),
        (
            "{file: tls, content_type: text/plain}",
            &[".file: `/tmp/x/tls` cannot be read: it is not a file"],
        ),
        (
            "{file: /dev/zero, content_type: text/plain}",
            &[".file: `/dev/zero` cannot be read: it is not a file"],
        ),
        (
            "{file: ops.key}",
            &[".content_type: is left out; say what the file holds"],
        ),
        (
            "{content_type: text/plain}",
            &[".content_type: says nothing without"],
        ),
        (
            "{body: x, content_type: text}",
            &[".content_type: is not a media type"],
        ),
        (
            "{body: x, content_type: \"text/plain\\r\\nx: y\"}",
            &[".content_type: only visible ASCII"],
        ),
        ("{text: x}", &[".text: unknown key"]),
    ] {
        expect_answer(&folder, said, expected);
    }
}

#[test]
fn header_fields_of_answers_must_make_sense() {
    let folder = Folder::new();
    for (said, expected) in [
        (
            "{headers: {a b: x, x-a: \"y\\r\\nx-b: z\", X-A: y, x-c: é, x-d: \" y\", x-e: \"a\\tb\"}}",
            &[
                ".headers.a b: is not a header name",
                ".headers.x-a: only visible ASCII",
                ".headers.x-c: only visible ASCII",
                ".headers.x-d: only visible ASCII",
                ".headers.x-e: only visible ASCII",
            ][..],
        ),
        (
            "{headers: {x-a: y, X-A: z}}",
            &[".headers.x-a: `x-a` is there twice, in other letters"],
        ),
        (
            "{headers: {Content-Type: text/html}}",
            &[".headers.Content-Type: is said as `content_type`"],
        ),
        (
            "{headers: {content-length: \"7\", Transfer-Encoding: chunked, connection: close, X-Request-Id: a, date: x, x-forwarded-for: a}}",
            &[
                ".headers.content-length: is a header that the gate itself writes",
                ".headers.Transfer-Encoding: is a header that the gate itself writes",
                ".headers.connection: is a header that the gate itself writes",
                ".headers.X-Request-Id: is a header that the gate itself writes",
                ".headers.date: is a header that the gate itself writes",
                ".headers.x-forwarded-for: is a header that the gate itself writes",
            ],
        ),
    ] {
        expect_answer(&folder, said, expected);
    }
    folder.expect(
        &with("{match: {host: x.test}, authenticate: none, authorize: none, cors: {origins: ['*']}, respond: {headers: {Access-Control-Max-Age: \"1\"}}}"),
        &["routes[2].respond.headers.Access-Control-Max-Age: is the affair of the route's `cors`"],
    );
}

/// Holds that a route with this answer has exactly these problems with it; `/tmp/x` stands for the folder.
fn expect_answer(folder: &Folder, said: &str, expected: &[&str]) {
    let dir = folder.0.path().display().to_string();
    let route = format!(
        "{{match: {{host: x.test}}, authenticate: none, authorize: none, respond: {said}}}"
    );
    let expected: Vec<_> = expected
        .iter()
        .map(|rest| format!("routes[2].respond{}", rest.replace("/tmp/x", &dir)))
        .collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    folder.expect(&with(&route), &expected);
}

#[test]
fn a_files_content_counts_and_is_not_shown() {
    let folder = Folder::new();
    folder.write("page", "hunter2");
    let route = "{match: {host: x.test}, authenticate: none, authorize: none, respond: {file: page, content_type: text/plain}}";
    let settings = folder.load(&with(route)).unwrap();
    assert!(settings.files.iter().any(|file| file.ends_with("page")));
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("104, 117, 110"));
    let gone = folder
        .load(&with(&route.replace("page", "gone")))
        .unwrap_err();
    assert!(gone.files().iter().any(|file| file.ends_with("gone")));
}

#[test]
fn listeners_redirect_to_https() {
    let folder = Folder::new();
    let to = |said: &str| {
        let yaml = GOOD.replace(
            "{address: 127.0.0.1:0}",
            &format!("{{address: 127.0.0.1:0, redirect: {said}}}"),
        );
        let settings = folder
            .load(&yaml)
            .map_err(|problems| problems.to_string())
            .unwrap();
        assert!(settings.listeners[1].redirect.is_none());
        Redirect::from(settings.listeners[0].redirect.unwrap().to_https())
    };
    for (said, status, shown) in [
        ("https", 308, "https://{host}{path}"),
        ("{scheme: https}", 308, "https://{host}{path}"),
        (
            "{scheme: https, port: 8443, status: 302}",
            302,
            "https://{host}:8443{path}",
        ),
    ] {
        let to = to(said);
        assert_eq!((to.status.as_u16(), &*to.to_string()), (status, shown));
    }
}

#[test]
fn listeners_that_redirect_must_make_sense() {
    let folder = Folder::new();
    let plain = "{address: 127.0.0.1:0}";
    let said = |said: &str| {
        GOOD.replace(
            plain,
            &format!("{{address: 127.0.0.1:0, redirect: {said}}}"),
        )
    };
    for (redirect, expected) in [
        (
            "http",
            ".redirect: expected `https` or a mapping with `scheme`",
        ),
        (
            "308",
            ".redirect: expected `https` or a mapping with `scheme`",
        ),
        ("{scheme: http}", ".redirect.scheme: expected `https`"),
        ("{port: 8443}", ".redirect: `scheme` is missing"),
        ("{scheme: https, port: 0}", ".redirect.port: must be a port"),
        (
            "{scheme: https, status: 200}",
            ".redirect.status: must be 301",
        ),
        (
            "{scheme: https, host: a.test}",
            ".redirect.host: unknown key",
        ),
    ] {
        folder.expect(&said(redirect), &[&format!("listeners[0]{expected}")]);
    }
    let over_tls = GOOD.replace("8443\", tls", "8443\", redirect: https, tls");
    folder.expect(
        &over_tls,
        &["listeners[1].redirect: callers of this listener use TLS already"],
    );
    let alone = with("{match: {host: x.test}, serve: pools}")
        .replace(plain, "{address: 127.0.0.1:0, redirect: https}");
    folder.expect(
        &alone,
        &["listeners: all of them redirect, so routes get no request"],
    );
    let behind = format!("{alone}trusted_peers: [10.0.0.0/8]\n");
    assert!(
        folder.load(&behind).is_ok(),
        "{:?}",
        folder.problems(&behind)
    );
    // A route cannot tell how a request came.
    let route = "  - {match: {host: y.test}, redirect: {scheme: https}}\n  - name: open\n";
    for text in [GOOD, &behind] {
        let text = text.replace("  - name: open\n", route);
        let found = folder.problems(&text);
        let told = "].redirect: takes what comes over TLS too, and would lead it back to itself; write `redirect: https`";
        assert!(found.len() == 1 && found[0].contains(told), "{found:?}");
    }
    for more in [", port: 8443", ", host: a.test", ", path: /x"] {
        let route = route.replace("https}", &format!("https{more}}}"));
        assert!(
            folder
                .load(&GOOD.replace("  - name: open\n", &route))
                .is_ok(),
            "{more}"
        );
    }
}

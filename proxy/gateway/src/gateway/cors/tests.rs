//! What browsers are told.

use std::collections::HashSet;

use http::header::AUTHORIZATION;

use super::*;

fn rules(change: impl FnOnce(&mut CorsRules)) -> Rules {
    let mut rules = CorsRules {
        origins: Origins::Listed {
            exact: HashSet::from(["https://app.example".to_owned()]),
            around: Vec::new(),
        },
        methods: vec![Method::GET, Method::DELETE],
        headers: Allowed::Listed(vec![AUTHORIZATION]),
        expose: Allowed::Listed(vec![HeaderName::from_static("x-total")]),
        credentials: true,
        max_age_seconds: Some(600),
    };
    change(&mut rules);
    Rules::of(&rules)
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        headers.append(name, value);
    }
    headers
}

/// The answer's CORS fields in the order of their names.
fn said(head: &ResponseHeader) -> Vec<String> {
    let fields = head.headers.iter();
    let mut said: Vec<_> = fields
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    said.sort();
    said
}

#[test]
fn an_answer_is_marked_for_its_origin_alone() {
    let rules = rules(|_| ());
    let mut head = ResponseHeader::build(200, None).unwrap();
    for name in [
        "access-control-allow-origin",
        "access-control-allow-private-network",
    ] {
        head.insert_header(name, "*").unwrap();
    }
    head.insert_header(VARY, "Accept").unwrap();
    let sent = headers(&[("origin", "https://app.example")]);
    let origin = rules.allowed(&sent).unwrap();
    rules.mark(origin.as_ref(), &mut head).unwrap();
    assert_eq!(
        said(&head),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://app.example",
            "access-control-expose-headers: x-total",
            "vary: Accept",
            "vary: Origin",
        ]
    );
}

#[test]
fn other_origins_get_nothing_but_a_warning_to_caches() {
    let rules = rules(|_| ());
    for origin in [Some("https://evil.example"), Some("null"), Some(""), None] {
        let fields: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        let origin = rules.allowed(&headers(&fields)).unwrap();
        let mut head = ResponseHeader::build(200, None).unwrap();
        head.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
            .unwrap();
        rules.mark(origin.as_ref(), &mut head).unwrap();
        assert_eq!(said(&head), ["vary: Origin"], "{fields:?}");
    }
    let twice = headers(&[
        ("origin", "https://app.example"),
        ("origin", "https://evil.example"),
    ]);
    assert!(rules.allowed(&twice).is_err());
}

#[test]
fn where_every_origin_may_caches_keep_one_answer() {
    let rules = rules(|rules| {
        rules.origins = Origins::Any;
        rules.credentials = false;
        rules.expose = Allowed::Any;
    });
    for fields in [&[("origin", "https://a.example")][..], &[]] {
        let origin = rules.allowed(&headers(fields)).unwrap();
        let mut head = ResponseHeader::build(200, None).unwrap();
        rules.mark(origin.as_ref(), &mut head).unwrap();
        assert_eq!(
            said(&head),
            [
                "access-control-allow-origin: *",
                "access-control-expose-headers: *",
            ]
        );
    }
}

#[test]
fn a_preflight_is_told_what_the_route_takes() {
    let asked = headers(&[
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-a,X-B , authorization"),
    ]);
    let told = |rules: &Rules, asked: &HeaderMap| {
        let mut head = ResponseHeader::build(204, None).unwrap();
        rules.tell(asked, &mut head).unwrap();
        head.remove_header(&VARY);
        said(&head)
    };
    assert_eq!(
        told(&rules(|_| ()), &asked),
        [
            "access-control-allow-headers: authorization",
            "access-control-allow-methods: GET, DELETE",
            "access-control-max-age: 600",
        ]
    );
    let open = rules(|rules| {
        rules.methods.clear();
        rules.headers = Allowed::Any;
        rules.max_age_seconds = None;
    });
    assert_eq!(
        told(&open, &asked),
        [
            "access-control-allow-headers: x-a, x-b, authorization",
            "access-control-allow-methods: PUT",
        ]
    );
    let odd = headers(&[
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-a, not a name"),
    ]);
    assert_eq!(told(&open, &odd), ["access-control-allow-methods: PUT"]);
}

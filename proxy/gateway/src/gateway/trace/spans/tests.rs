use super::*;
use crate::traces::otlp::tests::{Field, fields};

fn trace() -> Trace {
    Trace {
        id: [1; 16],
        parent: Some([2; 8]),
        link: None,
        server: [3; 8],
        client: [4; 8],
        flags: 1,
        state: Some(http::HeaderValue::from_static("a=b")),
        answered: None,
        exchanged: None,
    }
}

fn facts(trace: &Trace) -> Facts<'_> {
    Facts {
        trace,
        start: UNIX_EPOCH + Duration::from_secs(7),
        took: Duration::from_millis(5),
        name: "get a pet",
        route: Some("/pets/{petId}"),
        method: &Method::GET,
        scheme: "https",
        host: Some("api.example.com"),
        port: None,
        path: Some("/pets/7"),
        version: Version::HTTP_2,
        client: [192, 0, 2, 7].into(),
        status: Some(StatusCode::OK),
        outcome: Outcome::Allow,
        refusal: None,
        request_id: "one",
        generation: 7,
        micros: Micros {
            admit: 10,
            identify: 0,
            decide: 5,
            total: 5000,
        },
        exchange: None,
    }
}

/// The fields of each span.
fn written(facts: &Facts<'_>) -> Vec<Vec<Field>> {
    let mut out = Vec::new();
    let count = facts.write(&mut out);
    let spans = fields(&out);
    assert_eq!(u64::try_from(spans.len()).unwrap(), count);
    assert!(spans.iter().all(|(field, _)| *field == 2));
    spans.iter().map(|(_, span)| fields(span)).collect()
}

fn all(span: &[Field], field: u64) -> Vec<&[u8]> {
    let found = span.iter().filter(|(number, _)| *number == field);
    found.map(|(_, value)| &**value).collect()
}

fn number(octets: &[u8]) -> u64 {
    u64::from_le_bytes(octets.try_into().unwrap())
}

fn attribute(span: &[Field], name: &str) -> Option<String> {
    let pairs = all(span, 9).into_iter().map(fields);
    let mut values = pairs.filter(|pair| pair[0].1 == name.as_bytes());
    let value = fields(&values.next()?[1].1).swap_remove(0);
    assert!(values.next().is_none(), "{name} stands there once");
    Some(match value {
        (1, text) => String::from_utf8(text).unwrap(),
        (3, octets) => number(&octets).to_string(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_request_is_one_span_in_its_callers_trace() {
    let trace = trace();
    let spans = written(&facts(&trace));
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    for (field, expected) in [
        (1, &[1; 16][..]),
        (2, &[3; 8]),
        (3, b"a=b"),
        (4, &[2; 8]),
        (5, b"get a pet"),
    ] {
        assert_eq!(all(span, field), [expected], "{field}");
    }
    assert_eq!(number(all(span, 6)[0]), SERVER);
    assert_eq!(number(all(span, 7)[0]), 7_000_000_000);
    assert_eq!(number(all(span, 8)[0]), 7_005_000_000);
    assert_eq!(all(span, 16), [&[1, 3, 0, 0]]);
    for (name, expected) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/pets/{petId}"),
        ("url.path", "/pets/7"),
        ("url.scheme", "https"),
        ("server.address", "api.example.com"),
        ("client.address", "192.0.2.7"),
        ("network.protocol.version", "2"),
        ("portcullis.outcome", "allow"),
        ("portcullis.request_id", "one"),
        ("portcullis.generation", "7"),
    ] {
        assert_eq!(attribute(span, name).as_deref(), Some(expected), "{name}");
    }
    for absent in ["server.port", "portcullis.code", "error.type"] {
        assert_eq!(attribute(span, absent), None);
    }
    let events: Vec<_> = all(span, 11).into_iter().map(fields).collect();
    let names: Vec<_> = events
        .iter()
        .map(|event| (&*event[1].1, number(&event[0].1)))
        .collect();
    assert_eq!(
        names,
        [(&b"admit"[..], 7_000_010_000), (b"decide", 7_000_015_000)]
    );
    assert!(all(span, 13).is_empty() && all(span, 15).is_empty());
}

#[test]
fn a_stranger_is_linked_to() {
    let parent = crate::gateway::trace::Parent {
        trace: [8; 16],
        span: [9; 8],
        flags: 1,
    };
    let trace = Trace {
        parent: None,
        link: Some(parent),
        ..trace()
    };
    let spans = written(&facts(&trace));
    assert!(all(&spans[0], 4).is_empty());
    let link = fields(all(&spans[0], 13)[0]);
    assert_eq!((&*link[0].1, &*link[1].1), (&[8; 16][..], &[9; 8][..]));
}

#[test]
fn an_exchange_is_a_span_of_its_own() {
    let trace = Trace {
        answered: Some(StatusCode::NOT_FOUND),
        ..trace()
    };
    let facts = Facts {
        exchange: Some(Exchange {
            upstream: "pets",
            host: "10.0.0.7",
            port: Some(9000),
            began: Duration::from_millis(1),
            ended: Duration::from_millis(4),
            error: None,
        }),
        status: Some(StatusCode::NOT_FOUND),
        ..facts(&trace)
    };
    let spans = written(&facts);
    let [server, client] = &spans[..] else {
        panic!("{spans:?}")
    };
    for (field, expected) in [(1, &[1; 16][..]), (2, &[4; 8]), (4, &[3; 8]), (5, b"pets")] {
        assert_eq!(all(client, field), [expected], "{field}");
    }
    assert_eq!(number(all(client, 6)[0]), CLIENT);
    assert_eq!(number(all(client, 7)[0]), 7_001_000_000);
    assert_eq!(number(all(client, 8)[0]), 7_004_000_000);
    for (name, expected) in [
        ("server.address", "10.0.0.7"),
        ("server.port", "9000"),
        ("portcullis.upstream", "pets"),
        ("http.response.status_code", "404"),
        ("error.type", "404"),
    ] {
        assert_eq!(attribute(client, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(all(client, 15), [&[3 << 3, 2]], "failed for who asked");
    assert!(all(server, 15).is_empty(), "and not for who answered");
    assert_eq!(attribute(server, "error.type"), None);
}

#[test]
fn refusals_have_their_code_and_failures_their_status() {
    let trace = trace();
    for (status, refusal, error, failed) in [
        (
            403,
            Some(("no_permit", StatusCode::FORBIDDEN)),
            Some("no_permit"),
            false,
        ),
        (
            502,
            Some(("upstream_unreachable", StatusCode::BAD_GATEWAY)),
            Some("upstream_unreachable"),
            true,
        ),
        (
            200,
            Some(("keys_unavailable", StatusCode::SERVICE_UNAVAILABLE)),
            Some("keys_unavailable"),
            true,
        ),
        (500, None, Some("500"), true),
        (404, None, None, false),
    ] {
        let spans = written(&Facts {
            status: StatusCode::from_u16(status).ok(),
            refusal,
            ..facts(&trace)
        });
        assert_eq!(
            attribute(&spans[0], "error.type").as_deref(),
            error,
            "{status}"
        );
        assert_eq!(
            attribute(&spans[0], "portcullis.code").as_deref(),
            refusal.map(|it| it.0)
        );
        assert_eq!(!all(&spans[0], 15).is_empty(), failed, "{status}");
    }
}

#[test]
fn what_a_caller_makes_up_is_bounded() {
    let path = format!("/{}é", "a".repeat(LONGEST_PATH - 2));
    assert_eq!(shown(&path).len(), LONGEST_PATH - 1);
    assert_eq!(shown("/"), "/");
    assert_eq!(known(&Method::from_bytes(b"PURGE").unwrap()), "_OTHER");
    assert_eq!(known(&Method::PATCH), "PATCH");
}

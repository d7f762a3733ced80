use pingora::http::RequestHeader;

use super::*;
use crate::{metrics::Metrics, traces::Outlet};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn traces(trust_parent: TrustParent, sample: f64) -> Traces {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = settings::Traces {
        url: "http://127.0.0.1:4318/v1/traces".parse().unwrap(),
        headers: Vec::new(),
        transport: token::Transport::default(),
        sample,
        service_name: "gate".into(),
        trust_parent,
    };
    Traces::new(&settings, &Outlet::new(&Metrics::new().unwrap())).unwrap()
}

fn sent(flags: &str) -> HeaderMap {
    let parent = format!("00-{TRACE}-{SPAN}-{flags}");
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, parent.parse().unwrap());
    headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
    headers
}

/// What goes upstream: the trace, the flags and the state.
fn carried(trace: &Trace) -> (String, String, Option<String>) {
    let mut head = RequestHeader::build("GET", b"/", None).unwrap();
    head.insert_header(TRACEPARENT, "what the caller sent")
        .unwrap();
    head.insert_header(TRACESTATE, "what=ever").unwrap();
    trace.carry_on(&mut head).unwrap();
    let text = |name: &str| {
        head.headers
            .get(name)
            .map(|it| it.to_str().unwrap().to_owned())
    };
    let parent = text(TRACEPARENT).unwrap();
    assert_eq!(
        &parent[36..52],
        Parent::read(&head.headers).map(|it| hex(&it.span)).unwrap()
    );
    assert_eq!(&parent[36..52], hex(&trace.client));
    (
        parent[3..35].to_owned(),
        parent[53..].to_owned(),
        text(TRACESTATE),
    )
}

fn hex(octets: &[u8]) -> String {
    let digits = octets.iter().map(|octet| format!("{octet:02x}"));
    digits.collect::<Vec<_>>().concat()
}

#[test]
fn whose_word_counts_is_a_setting() {
    use TrustParent::{All, TraceId, TrustedPeers};
    for (trust, trusted, flags, sample, joined, expected) in [
        (TraceId, false, "01", 0.0, true, "00"),
        (TraceId, false, "00", 1.0, true, "01"),
        (TraceId, true, "01", 0.0, true, "01"),
        (TraceId, true, "00", 1.0, true, "00"),
        (All, false, "01", 0.0, true, "01"),
        (All, false, "00", 1.0, true, "00"),
        (TrustedPeers, false, "01", 0.0, false, "00"),
        (TrustedPeers, false, "00", 1.0, false, "01"),
        (TrustedPeers, true, "01", 0.0, true, "01"),
        (TrustedPeers, true, "00", 1.0, true, "00"),
    ] {
        let case = format!("{trust:?} {trusted} {flags} {sample}");
        let trace = Trace::join(&traces(trust, sample), &sent(flags), || trusted);
        let (id, carried, state) = carried(&trace);
        assert_eq!((id == TRACE, &*carried), (joined, expected), "{case}");
        assert_eq!(state, joined.then(|| "a=b".to_owned()), "{case}");
        assert_eq!(
            trace.parent.map(|span| hex(&span)),
            joined.then(|| SPAN.to_owned())
        );
        assert_eq!(trace.link.is_some(), !joined, "{case}");
        assert_eq!(trace.is_recorded(), expected == "01", "{case}");
    }
}

#[test]
fn without_a_parent_in_form_a_trace_begins() {
    let mut twice = sent("01");
    twice.append(TRACEPARENT, twice[TRACEPARENT].clone());
    let mut alone = sent("01");
    alone.remove(TRACEPARENT);
    for headers in [HeaderMap::new(), sent("0x"), twice, alone] {
        for trusted in [false, true] {
            let trace = Trace::join(&traces(TrustParent::All, 1.0), &headers, || trusted);
            let (id, flags, state) = carried(&trace);
            assert_ne!(id, TRACE);
            assert_eq!((&*flags, state), ("01", None), "{headers:?}");
            assert!(trace.parent.is_none() && trace.link.is_none());
            assert_ne!(trace.server, trace.client);
        }
    }
}

#[test]
fn what_is_known_of_a_trace_is_said_on() {
    let joined = |flags| Trace::join(&traces(TrustParent::TraceId, 1.0), &sent(flags), || false);
    assert_eq!(carried(&joined("02")).1, "03");
    assert_eq!(carried(&joined("fc")).1, "01");
}

#[test]
fn a_share_of_strangers_requests_is_recorded() {
    let traces = traces(TrustParent::TraceId, 0.5);
    let recorded = (0..1000)
        .filter(|_| Trace::join(&traces, &sent("01"), || false).is_recorded())
        .count();
    // A fair coin is outside this once in 10²¹ times.
    assert!((350..650).contains(&recorded), "{recorded}");
}

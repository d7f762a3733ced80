use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, StatusCode};
use tokio::{net::TcpListener, runtime::Handle, task::yield_now};

use super::{
    otlp::{Message, tests::fields},
    *,
};

/// Keeps what it gets, and answers as it is told, in the end with 200.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    got: Vec<(HeaderMap, Bytes)>,
    answers: VecDeque<StatusCode>,
}

impl Collector {
    async fn run(answers: impl IntoIterator<Item = StatusCode>) -> (Self, SocketAddr) {
        let collector = Self::default();
        collector.0.lock().unwrap().answers.extend(answers);
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (collector, address)
    }

    fn seen(&self) -> usize {
        self.0.lock().unwrap().got.len()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut kept = collector.0.lock().unwrap();
    kept.got.push((headers, body));
    kept.answers.pop_front().unwrap_or(StatusCode::OK)
}

fn settings(address: SocketAddr) -> settings::Traces {
    let mut key = http::HeaderValue::from_static("hunter2");
    key.set_sensitive(true);
    settings::Traces {
        url: format!("http://{address}/v1/traces").parse().unwrap(),
        headers: vec![(http::HeaderName::from_static("x-key"), key)],
        transport: token::Transport::default(),
        sample: 1.0,
        service_name: "gate".into(),
        trust_parent: TrustParent::TraceId,
    }
}

fn outlet() -> Outlet {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Outlet::new(&Metrics::new().unwrap())
}

fn traces(address: SocketAddr, outlet: &Outlet) -> Traces {
    let traces = Traces::new(&settings(address), outlet).unwrap();
    traces.put_in_force();
    traces
}

/// A span with nothing but a name.
fn span(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Message::at_end_of(&mut out).message(2, |span| span.text(5, name));
    out
}

/// Polls until it holds; panics when it does not within ten seconds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        yield_now().await;
    }
}

async fn dead() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let (collector, address) = Collector::run([]).await;
    let outlet = outlet();
    let exporter = Exporter::start(outlet.clone(), &Handle::current());
    let traces = traces(address, &outlet);
    traces.give(&span("one"), 1);
    traces.give(&[span("two"), span("three")].concat(), 2);
    exporter.finish(Duration::from_secs(10)).await;
    let kept = collector.0.lock().unwrap();
    let [(headers, body)] = &kept.got[..] else {
        panic!("{}", kept.got.len())
    };
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-key"], "hunter2");
    let scope_spans = &fields(&fields(body)[0].1)[1].1;
    assert_eq!(
        fields(scope_spans)
            .iter()
            .filter(|(field, _)| *field == 2)
            .count(),
        3
    );
    assert_eq!((outlet.exported.get(), outlet.dropped.get()), (3, 0));
    assert_eq!(traces.degraded(), None);
    assert!(!format!("{traces:?} {outlet:?}").contains("hunter2"));
}

#[tokio::test]
async fn what_a_collector_cannot_take_now_is_sent_again() {
    let (collector, address) = Collector::run([StatusCode::SERVICE_UNAVAILABLE]).await;
    let outlet = outlet();
    let _exporter = Exporter::start(outlet.clone(), &Handle::current());
    let traces = traces(address, &outlet);
    traces.give(&span("one"), 1);
    until("a complaint", || traces.degraded().is_some()).await;
    let degraded = traces.degraded().unwrap();
    assert!(degraded.why.contains("503"), "{degraded:?}");
    until("it is taken", || outlet.exported.get() == 1).await;
    assert_eq!(collector.seen(), 2);
    assert_eq!(traces.degraded(), None);
    assert_eq!(outlet.dropped.get(), 0);
}

#[tokio::test]
async fn what_a_collector_will_never_take_is_lost() {
    let (collector, address) = Collector::run([StatusCode::BAD_REQUEST]).await;
    let outlet = outlet();
    let exporter = Exporter::start(outlet.clone(), &Handle::current());
    let traces = traces(address, &outlet);
    traces.give(&span("one"), 1);
    until("it is lost", || outlet.dropped.get() == 1).await;
    traces.give(&span("two"), 1);
    exporter.finish(Duration::from_secs(10)).await;
    assert_eq!((collector.seen(), outlet.exported.get()), (2, 1));
}

#[tokio::test]
async fn what_a_collector_has_not_taken_is_counted() {
    let partial = b"\x0a\x02\x08\x02";
    let app = Router::new().route(
        "/v1/traces",
        post(move || std::future::ready(([("content-type", "application/x-protobuf")], partial))),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let outlet = outlet();
    let exporter = Exporter::start(outlet.clone(), &Handle::current());
    let traces = traces(address, &outlet);
    traces.give(&[span("one"), span("two"), span("three")].concat(), 3);
    exporter.finish(Duration::from_secs(10)).await;
    assert_eq!((outlet.exported.get(), outlet.dropped.get()), (1, 2));
    assert!(traces.degraded().unwrap().why.contains("not take all"));
}

#[tokio::test]
async fn a_collector_that_is_gone_holds_nothing_up() {
    let outlet = outlet();
    let exporter = Exporter::start(outlet.clone(), &Handle::current());
    let traces = traces(dead().await, &outlet);
    traces.give(&span("one"), 1);
    until("a complaint", || traces.degraded().is_some()).await;
    let why = traces.degraded().unwrap().why;
    assert!(why.contains("refused") && !why.contains("http://"), "{why}");
    let large = vec![0; 256 * 1024];
    for _ in 0..40 {
        traces.give(&large, 1);
    }
    assert!(outlet.dropped.get() > 0, "there was no room for all");
    let begun = Instant::now();
    exporter.finish(Duration::from_secs(30)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((outlet.exported.get(), outlet.dropped.get()), (0, 41));
}

#[tokio::test]
async fn other_settings_hold_for_what_waits() {
    let (collector, address) = Collector::run([]).await;
    let outlet = outlet();
    let _exporter = Exporter::start(outlet.clone(), &Handle::current());
    let before = traces(dead().await, &outlet);
    before.give(&span("one"), 1);
    until("a complaint", || before.degraded().is_some()).await;
    let after = traces(address, &outlet);
    assert!(!before.is_made_of(&after.settings) && after.is_made_of(&settings(address)));
    until("it is taken", || collector.seen() == 1).await;
    assert_eq!(after.degraded(), None);
}

#[test]
fn a_share_is_that_of_all_lots() {
    for (share, lot, expected) in [
        (0.0, 0, false),
        (0.0, u64::MAX, false),
        (0.5, u64::MAX / 2, true),
        (0.5, u64::MAX / 2 + 1, false),
        (0.01, u64::MAX / 101, true),
        (0.01, u64::MAX / 99, false),
        (1.0, 0, true),
        (1.0, u64::MAX, true),
    ] {
        assert_eq!(Share::of(share).has(lot), expected, "{share} {lot}");
    }
}

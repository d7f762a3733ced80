//! Requests as no client library sends them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::Ordering,
    time::Duration,
};

use super::harness::{Gate, Origin};

const OPEN: &str = "
listeners: [{address: 127.0.0.1:0}]
upstreams: {origin: {servers: ['http://@ORIGIN@']}}
routes:
  - {name: all, match: {}, authenticate: none, authorize: none, upstream: {to: origin}}
";

fn send(gate: &Gate, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(gate.addresses[0]).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as its end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_has_two_readings_is_refused_and_goes_nowhere() {
    let origin = Origin::run();
    let gate = Gate::run(OPEN, &origin);
    for request in [
        "GET /a HTTP/1.1\r\nConnection: close\r\nX-Padding: 1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
        "GET /a/../b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /a%2fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nConnection: close\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX-A : b\r\nConnection: close\r\n\r\n",
    ] {
        let answer = send(&gate, request.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{request:?} got {answer:?}"
        );
    }
    assert_eq!(origin.seen.load(Ordering::Relaxed), 0);
}

#[test]
fn a_request_to_upgrade_is_an_ordinary_one() {
    let origin = Origin::run();
    let gate = Gate::run(OPEN, &origin);
    let answer = send(
        &gate,
        b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(
        !answer.to_ascii_lowercase().contains("\"upgrade\""),
        "{answer:?}"
    );
}

#[test]
fn a_connection_goes_on_after_a_refusal() {
    let origin = Origin::run();
    let gate = Gate::run(OPEN, &origin);
    let answer = send(
        &gate,
        b"GET /a//b HTTP/1.1\r\nHost: a\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
}

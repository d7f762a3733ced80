//! Callers who do not read their answers, and callers who read slowly.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use tokio_stream::StreamExt as _;

use super::{
    drain,
    forward::drop_blocking,
    harness::{Gate, Origin, client, folder, until},
    pools,
};
use crate::{gateway::Pace, mount::Mount};

const SILENCE: Duration = Duration::from_millis(500);
const PIECE: usize = 64 * 1024;
static DATA: [u8; PIECE] = [b'x'; PIECE];

/// A gate before an upstream that answers one request with this many pieces; what is received
/// from hangs up once its connection is closed or its answer written.
fn run(pieces: usize) -> (Gate, Origin, Receiver<()>) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let origin = Origin::run();
    let dir = tempfile::tempdir().unwrap();
    let settings = drain::OPEN.replace("@ORIGIN@", &address);
    let gate = Gate::run_with(dir, &settings, &origin, |process| {
        process.gateway.pace = Pace::with_silence(SILENCE);
    });
    let (told, end) = mpsc::channel();
    std::thread::spawn(move || {
        answer(&upstream, pieces);
        drop(told);
    });
    (gate, origin, end)
}

fn answer(upstream: &TcpListener, pieces: usize) {
    let (mut stream, _) = upstream.accept().unwrap();
    assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
    let length = pieces.saturating_mul(PIECE);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..pieces {
        if stream.write_all(&DATA).is_err() {
            return;
        }
    }
}

/// More than all buffers between an upstream and a caller.
const ENDLESS: usize = 1 << 24;

fn is_cut_by_its_caller(gate: Gate, end: &Receiver<()>) {
    let ended = end.recv_timeout(Duration::from_secs(10));
    assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "held");
    let records = gate.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["outcome"], "abort", "{records:?}");
    assert_eq!(records[0]["status"], 200, "{records:?}");
}

#[test]
fn a_connection_that_is_not_read_is_closed() {
    let (gate, _origin, end) = run(ENDLESS);
    let mut caller = TcpStream::connect(gate.addresses[0]).unwrap();
    caller
        .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    is_cut_by_its_caller(gate, &end);
}

/// A caller over HTTP/2 whose streams have this window.
fn caller(window: u32) -> reqwest::Client {
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.http2_initial_stream_window_size(window);
    client.build().unwrap()
}

#[test]
fn a_stream_that_is_not_read_is_reset() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for window in [0, 1] {
        let (gate, _origin, end) = run(ENDLESS);
        let sent = caller(window).get(gate.url("/a")).send();
        let answer = runtime.block_on(sent).unwrap();
        assert_eq!(answer.status(), 200);
        is_cut_by_its_caller(gate, &end);
        drop(answer);
    }
}

/// A gate with a service of ours whose answer does not end.
fn run_mounted() -> (Gate, Origin) {
    let router = Router::new().fallback(|| {
        let piece = || Ok::<_, std::io::Error>(Bytes::from_static(&DATA));
        let pieces = tokio_stream::iter(std::iter::repeat_with(piece));
        std::future::ready(Body::from_stream(pieces))
    });
    let origin = Origin::run();
    let gate = Gate::run_with(folder(), pools::SETTINGS, &origin, |process| {
        let runtime = process.runtimes.engine.handle().clone();
        process.gateway.mount = Some(Mount::new(router, runtime, SILENCE));
        process.gateway.pace = Pace::with_silence(SILENCE);
    });
    (gate, origin)
}

#[test]
fn answers_of_the_pools_are_not_held_either() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for client in [caller(0), client()] {
        let (gate, _origin) = run_mounted();
        let sent = client.get(gate.url("/a")).send();
        let answer = runtime.block_on(sent).unwrap();
        assert_eq!(answer.status(), 200);
        let file = gate.dir.path().join("decisions.jsonl");
        runtime.block_on(until("the answer ends", async || {
            std::fs::read_to_string(&file).unwrap().ends_with('\n')
        }));
        let records = gate.records();
        assert_eq!(records[0]["outcome"], "abort", "{records:?}");
        drop(answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_read_slowly_goes_on() {
    const PIECES: usize = 4;
    let (gate, origin, end) = tokio::task::spawn_blocking(|| run(PIECES)).await.unwrap();
    let answer = caller(8 * 1024).get(gate.url("/a")).send().await.unwrap();
    // A piece takes longer than a silence may.
    let chunks = answer.bytes_stream().throttle(SILENCE / 6);
    let mut chunks = std::pin::pin!(chunks);
    let mut read = 0;
    while let Some(chunk) = chunks.next().await {
        read += chunk.unwrap().len();
    }
    assert_eq!(read, PIECES * PIECE);
    end.recv().unwrap_err();
    drop_blocking((gate, origin)).await;
}

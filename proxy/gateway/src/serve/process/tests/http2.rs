//! HTTP/2 connections that are held open, with TLS and without.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    super::Process,
    drain, forward,
    harness::{self, Gate, Origin, until},
    tls,
};
use crate::gateway::Pace;

/// A request under way: the origin answers each piece of its body with the same.
struct Echo {
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
    answer: reqwest::Response,
}

impl Echo {
    async fn begin(client: &reqwest::Client, base: &str) -> Self {
        let (pieces, body) = mpsc::channel(1);
        pieces.send(Ok(Bytes::from_static(b"!"))).await.unwrap();
        let body = reqwest::Body::wrap_stream(ReceiverStream::new(body));
        let sent = client.post(format!("{base}/echo")).body(body).send();
        let mut answer = sent.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(answer.chunk().await.unwrap().unwrap(), "!");
        Self { pieces, answer }
    }

    async fn turn(&mut self) {
        self.pieces
            .send(Ok(Bytes::from_static(b"?")))
            .await
            .unwrap();
        assert_eq!(self.answer.chunk().await.unwrap().unwrap(), "?");
    }

    async fn end(self) {
        drop(self.pieces);
        assert_eq!(self.answer.bytes().await.unwrap(), "");
    }
}

/// A gate without TLS, and one with, each with a client and the base of its URLs.
async fn gates(change: fn(&mut Process)) -> Vec<(Gate, Origin, reqwest::Client, String)> {
    let run = move || {
        let origin = Origin::run();
        let dir = tempfile::tempdir().unwrap();
        let plain = Gate::run_with(dir, drain::OPEN, &origin, change);
        let base = plain.url("");
        let plain = (plain, origin, harness::http2(), base);
        let origin = Origin::run();
        let dir = tempfile::tempdir().unwrap();
        let trusted = tls::certificate(dir.path(), "a", "a.example");
        tls::certificate(dir.path(), "b", "b.example");
        let secure = Gate::run_with(dir, tls::SETTINGS, &origin, change);
        let address = secure.addresses[0];
        let base = format!("https://a.example:{}", address.port());
        let client = tls::client(trusted, "a.example", address);
        vec![plain, (secure, origin, client, base)]
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_after_the_deadline_for_first_requests() {
    const FIRST: Duration = Duration::from_secs(1);
    for (gate, origin, client, base) in gates(|process| process.head = FIRST).await {
        let begun = Instant::now();
        let mut echo = Echo::begin(&client, &base).await;
        while begun.elapsed() < FIRST + FIRST / 2 {
            tokio::task::yield_now().await;
            echo.turn().await;
        }
        echo.end().await;
        forward::drop_blocking((gate, origin, client)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_may_be_quiet_while_they_are_answered() {
    const SILENCE: Duration = Duration::from_millis(500);
    for (gate, origin, client, base) in gates(|process| {
        process.gateway.pace = Pace {
            silence: SILENCE,
            window: SILENCE,
            rate: u32::MAX,
        };
    })
    .await
    {
        let mut echo = Echo::begin(&client, &base).await;
        tokio::time::timeout(SILENCE * 2, echo.answer.chunk())
            .await
            .expect_err("nothing is said for a while");
        echo.turn().await;
        echo.end().await;
        forward::drop_blocking((gate, origin, client)).await;
    }
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let origin = Origin::run();
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::run_with(dir, drain::OPEN, &origin, |process| {
        process.head = Duration::from_millis(1);
    });
    let mut idle = TcpStream::connect(gate.addresses[0]).unwrap();
    let limit = Some(Duration::from_secs(10));
    idle.set_read_timeout(limit).unwrap();
    // The preface and empty settings; it may be closed already.
    let _ = idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let read = idle.read_to_end(&mut Vec::new());
    assert!(!matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_finished() {
    for (mut gate, origin, client, base) in gates(|_| ()).await {
        let mut echo = Echo::begin(&client, &base).await;
        let address = gate.addresses[0];
        let stopping = tokio::task::spawn_blocking(move || gate.stop());
        until("nothing new begins", async || {
            TcpStream::connect(address).is_err()
        })
        .await;
        for _ in 0..100 {
            echo.turn().await;
        }
        echo.end().await;
        stopping.await.unwrap();
        forward::drop_blocking((origin, client)).await;
    }
}

//! What callers may hold open, and for how long.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use tokio_stream::StreamExt as _;

use super::{
    forward::drop_blocking,
    harness::{Gate, Origin, http2, until},
};
use crate::{gateway::Pace, metrics::Metrics};

const OPEN: &str = "
listeners: [{address: 127.0.0.1:0}]
upstreams: {origin: {servers: ['http://@ORIGIN@']}}
routes:
  - {name: all, match: {}, authenticate: none, authorize: none, upstream: {to: origin}}
";
/// An origin answers `/echo` at once, and goes on for as long as the body does.
const HEAD: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx";

/// A connection from one of this host's addresses, with a body that does not end.
async fn drip(gate: SocketAddr, from: u8) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((host(from), 0).into()).unwrap();
    let stream = socket.connect(gate).await.unwrap();
    // One that is refused may be closed already.
    let _ = stream.try_write(HEAD);
    stream
}

fn host(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Whether a caller at this host is served.
async fn is_served(gate: &Gate, from: u8) -> bool {
    let client = reqwest::Client::builder().local_address(host(from));
    let client = client.pool_max_idle_per_host(0).build().unwrap();
    let answer = client.get(gate.url("/a")).send().await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

async fn run(limits: &str) -> (Gate, Origin, Metrics) {
    let settings = format!("{OPEN}limits: {limits}\n");
    let run = move || {
        let origin = Origin::run();
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = None;
        let gate = Gate::run_with(dir, &settings, &origin, |process| {
            metrics = Some(process.gateway.metrics.clone());
        });
        (gate, origin, metrics.unwrap())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_does_not_take_all_connections() {
    let (gate, origin, metrics) = run("{connections_per_client: 2}").await;
    let counter =
        |why, count| format!("portcullis_connections_refused_total{{why=\"{why}\"}} {count}\n");
    assert!(metrics.text().contains(&counter("client", 0)));
    let address = gate.addresses[0];
    let held = [drip(address, 1).await, drip(address, 1).await];
    assert!(!is_served(&gate, 1).await);
    assert!(is_served(&gate, 2).await);
    let text = metrics.text();
    assert!(!text.contains(&counter("client", 0)), "{text}");
    assert!(text.contains(&counter("total", 0)), "{text}");
    drop(held);
    until("connections that are closed count no more", async || {
        is_served(&gate, 1).await
    })
    .await;
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_together_leave_descriptors_for_the_gate() {
    let (gate, origin, metrics) = run("{connections: 3, connections_per_client: 2}").await;
    let address = gate.addresses[0];
    let mut held = Vec::new();
    for from in [1, 1, 2] {
        held.push(drip(address, from).await);
    }
    assert!(!is_served(&gate, 3).await);
    let zero = "portcullis_connections_refused_total{why=\"total\"} 0\n";
    assert!(!metrics.text().contains(zero));
    drop(held);
    until("there is room again", async || is_served(&gate, 3).await).await;
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_peers_connect_for_many() {
    let limits = "{connections_per_client: 1}\ntrusted_peers: [127.0.0.0/8]";
    let (gate, origin, _) = run(limits).await;
    let held = drip(gate.addresses[0], 1).await;
    assert!(is_served(&gate, 1).await);
    drop(held);
    drop_blocking((gate, origin)).await;
}

/// A service that takes connections, and then neither reads nor answers; and settings that lead to it.
fn silent() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, OPEN.replace("@ORIGIN@", &address))
}

/// A gate of this pace before a silent upstream, which is given back too.
fn paced(pace: Pace) -> (Gate, TcpListener) {
    let origin = Origin::run();
    let dir = tempfile::tempdir().unwrap();
    let (upstream, settings) = silent();
    let gate = Gate::run_with(dir, &settings, &origin, |process| {
        process.gateway.pace = pace;
    });
    (gate, upstream)
}

/// Sends a byte now and then until the answer ends.
fn dripped(gate: &Gate, pace: Pace) -> String {
    let mut stream = TcpStream::connect(gate.addresses[0]).unwrap();
    stream.set_read_timeout(Some(DRIP)).unwrap();
    stream.write_all(HEAD).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if drips(pace) {
                    let _ = stream.write_all(b"x");
                }
            }
            // A reset after the answer is as good as its end.
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// As [`dripped`], over HTTP/2.
async fn dripped_over_http2(url: String, pace: Pace) -> (u16, String) {
    let more = if drips(pace) { usize::MAX } else { 0 };
    let more = tokio_stream::iter(std::iter::repeat_n((), more)).throttle(DRIP);
    let pieces = tokio_stream::once(()).chain(more);
    let pieces = pieces.map(|()| Ok::<_, std::io::Error>("x"));
    let body = reqwest::Body::wrap_stream(pieces.chain(tokio_stream::pending()));
    let sent = http2().post(url).body(body).send();
    let answer = tokio::time::timeout(Duration::from_secs(10), sent).await;
    let answer = answer.expect("an answer").unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn drips(pace: Pace) -> bool {
    pace.window < pace.silence
}

/// Between the bytes of a caller who is too slow.
const DRIP: Duration = Duration::from_millis(10);

/// Paces that soon end a caller who is silent, and one who drips.
fn paces(soon: Duration) -> [Pace; 2] {
    let long = Duration::from_mins(1);
    let silent = Pace {
        silence: soon,
        window: long,
        rate: 1,
    };
    let slow = Pace {
        silence: long,
        window: soon,
        rate: u32::MAX,
    };
    [silent, slow]
}

#[test]
fn bodies_to_upstreams_keep_a_pace() {
    for pace in paces(Duration::from_millis(50)) {
        let (gate, _upstream) = paced(pace);
        let answer = dripped(&gate, pace);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{pace:?}: {answer:?}");
        assert!(answer.contains("body_timeout"), "{answer:?}");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sent = dripped_over_http2(gate.url("/echo"), pace);
        let (status, problem) = runtime.block_on(sent);
        assert_eq!(status, 408, "{pace:?}: {problem}");
        assert!(problem.contains("body_timeout"), "{problem}");
        let records = gate.records();
        assert_eq!(records.len(), 2, "{records:?}");
        for record in records {
            assert_eq!(record["code"], "body_timeout", "{record}");
            assert_eq!(record["outcome"], "refuse", "{record}");
        }
    }
}

/// Answers one request before its body is there, and reads until the gate closes.
fn answer_early(upstream: &TcpListener, answer: &[u8]) {
    let (mut stream, _) = upstream.accept().unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0);
        head.extend_from_slice(&piece[..read]);
    }
    stream.write_all(answer).unwrap();
    // The gate may close with a reset.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

#[test]
fn bodies_keep_a_pace_after_the_answer() {
    let answers = [
        "content-length: 2\r\n\r\nno",
        "content-length: 0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    ];
    // The upstream answers sooner.
    let paces = paces(Duration::from_millis(500)).into_iter();
    for (pace, answer) in paces.flat_map(|pace| answers.map(|answer| (pace, answer))) {
        let (gate, upstream) = paced(pace);
        let (told, end) = mpsc::channel();
        let early = format!("HTTP/1.1 404 Not Found\r\n{answer}");
        std::thread::spawn(move || {
            answer_early(&upstream, early.as_bytes());
            let _ = told.send(());
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sent = dripped_over_http2(gate.url("/a"), pace);
        let (status, _) = runtime.block_on(sent);
        assert_eq!(status, 404);
        let ended = end.recv_timeout(Duration::from_secs(10));
        assert!(ended.is_ok(), "held: {pace:?} {answer:?}");
        let records = gate.records();
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0]["status"], 404, "{records:?}");
        assert_eq!(records[0]["code"], "body_timeout", "{records:?}");
    }
}

#[test]
fn what_is_not_done_when_the_grace_ends_is_cut() {
    let origin = Origin::run();
    let (upstream, settings) = silent();
    let settings = format!("{settings}limits: {{drain_seconds: 0}}\n");
    let mut gate = Gate::run(&settings, &origin);
    let mut stream = TcpStream::connect(gate.addresses[0]).unwrap();
    stream.write_all(HEAD).unwrap();
    let limit = Some(Duration::from_secs(10));
    stream.set_read_timeout(limit).unwrap();
    // Once it is on its way upstream.
    let _forwarded = upstream.accept().unwrap();
    gate.stop();
    let read = stream.read(&mut [0]);
    let cut = match &read {
        Ok(read) => *read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    assert!(cut, "{read:?}");
}

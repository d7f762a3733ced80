//! The end: what is under way is finished, and nothing new begins.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::harness::{Gate, Origin};

pub(super) const OPEN: &str = "
listeners: [{address: 127.0.0.1:0}]
upstreams: {origin: {servers: ['http://@ORIGIN@']}}
routes:
  - {name: all, match: {}, authenticate: none, authorize: none, upstream: {to: origin}}
";

#[test]
fn requests_under_way_are_finished() {
    let origin = Origin::run();
    let mut gate = Gate::run(OPEN, &origin);
    let address = gate.addresses[0];
    let mut idle = TcpStream::connect(address).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    for stream in [&idle, &stream] {
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
    }
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let status = gate.status();
    let stopping = std::thread::spawn(move || gate.stop());
    while !status.is_draining() {
        std::thread::yield_now();
    }
    stream.write_all(b"world").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("hello") && text.contains("world"), "{text}");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    stopping.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

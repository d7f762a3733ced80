//! What a connection allows, and what is read from it.

use super::*;

fn line(limits: LineLimits) -> (Line, watch::Receiver<bool>) {
    let (retire, retired) = watch::channel(false);
    (
        Line::new(Arc::new(limits), None, retire, Instant::now()),
        retired,
    )
}

fn limits() -> LineLimits {
    LineLimits {
        requests: 3,
        streams: 2,
        resets: 2,
        reset_too_often: IntCounter::new("resets", "-").unwrap(),
    }
}

const HEAD: &[u8] = b"\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

/// After a head and what came with it, and then more.
fn chunked(with: &[u8], more: &[&[u8]]) -> (Result<(), BadChunk>, bool) {
    let line = Line::for_tests();
    line.await_request();
    let (one, other) = HEAD.split_at(9);
    line.read(one).unwrap();
    line.read(&[other, with].concat()).unwrap();
    let body = line.body(Body::Chunked);
    let reads = more.iter().all(|octets| line.read(octets).is_ok());
    (body, reads)
}

#[test]
fn chunked_bodies_are_followed_from_their_first_octet() {
    assert_eq!(
        chunked(b"1\r\na\r\n0\r\n\r\n", &[b"anything"]),
        (Ok(()), true)
    );
    assert_eq!(
        chunked(b"", &[b"1\r", b"\na\r\n", b"0\r\n\r\n"]),
        (Ok(()), true)
    );
    assert_eq!(chunked(b"\r\n", &[]), (Err(BadChunk), true));
    assert_eq!(chunked(b"\r\n", &[b"0\r\n\r\n"]), (Err(BadChunk), false));
    assert_eq!(chunked(b"1\r\na", &[b"\r\n", b"\n"]), (Ok(()), false));
    let line = Line::for_tests();
    line.read(b"POST / HTTP/1.1\nHost: a\n\n").unwrap();
    assert_eq!(
        line.body(Body::Chunked),
        Err(BadChunk),
        "a head without an end"
    );
}

#[test]
fn a_break_is_told_as_what_it_is() {
    let line = Line::for_tests();
    line.read(HEAD).unwrap();
    line.body(Body::Chunked).unwrap();
    let broken = line.read(b"x").unwrap_err();
    assert!(broken.get_ref().unwrap().is::<BadChunk>());
    assert!(line.read(b"0\r\n\r\n").is_err(), "nothing follows a break");
}

#[test]
fn what_is_no_chunked_body_is_left_alone() {
    let line = Line::for_tests();
    for _ in 0..2 {
        line.await_request();
        line.read(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
            .unwrap();
        line.body(Body::Sized).unwrap();
        line.read(b"x\ny").unwrap();
    }
    line.await_request();
    line.read(HEAD).unwrap();
    line.body(Body::Chunked).unwrap();
    assert!(line.read(b"x").is_err(), "each head begins anew");
    let (http2, _) = self::line(limits());
    let _stream = http2.begin_stream();
    http2.read(&vec![0; KEPT + 1]).unwrap();
    http2.read(b"x").unwrap();
}

#[test]
fn heads_without_an_end_are_bounded() {
    let line = Line::for_tests();
    line.read(&vec![b'a'; KEPT]).unwrap();
    line.read(b"a").unwrap();
    assert!(line.read(b"a").is_err());
    assert_eq!(line.reader().kept.len(), 0);
}

#[test]
fn a_connection_has_so_many_requests() {
    let (line, retired) = line(limits());
    for _ in 0..2 {
        drop(line.begin_stream());
        assert!(!*retired.borrow());
    }
    drop(line.begin_stream());
    assert!(*retired.borrow());
    for _ in 0..FAREWELL {
        drop(line.begin_stream());
    }
    line.read(b"x").unwrap();
    drop(line.begin_stream());
    assert!(line.read(b"x").is_err(), "a caller who does not listen");
}

#[test]
fn requests_that_are_broken_off_count_for_a_minute() {
    let limits = limits();
    let (line, _) = line(limits.clone());
    let begun = Instant::now();
    for second in [0, 1, 70, 71] {
        line.broken_off(begun + Duration::from_secs(second));
        line.read(b"x").unwrap();
    }
    line.broken_off(begun + Duration::from_secs(72));
    assert!(line.read(b"x").is_err());
    line.broken_off(begun + Duration::from_secs(73));
    assert_eq!(limits.reset_too_often.get(), 1);
}

#[test]
fn streams_that_are_served_are_counted() {
    let (line, _) = line(limits());
    let mut held: Vec<_> = (0..4).map(|_| line.begin_stream()).collect();
    assert!(!line.is_crowded());
    held.push(line.begin_stream());
    assert!(line.is_crowded());
    held.pop();
    assert!(!line.is_crowded());
}

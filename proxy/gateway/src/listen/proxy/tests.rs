//! Headers as balancers send them, and what only looks like one.

use super::*;

fn v2(command: u8, kind: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, kind], &length, block].concat()
}

fn tcp4(values: &[u8]) -> Vec<u8> {
    let ends = [203, 0, 113, 9, 10, 0, 0, 1, 0x82, 0x35, 0x01, 0xbb];
    v2(0x21, TCP4, &[&ends, values].concat())
}

fn tcp6() -> Vec<u8> {
    let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).octets();
    let block = [&source[..], &[0; 16], &[0x82, 0x35, 0x01, 0xbb]].concat();
    v2(0x21, TCP6, &block)
}

fn address(text: &str) -> Behind {
    Behind::Client(text.parse().unwrap())
}

fn taken() -> Vec<(Vec<u8>, Behind)> {
    let text = |line: &str| line.as_bytes().to_vec();
    vec![
        (
            text("PROXY TCP4 203.0.113.9 10.0.0.1 33333 443\r\n"),
            address("203.0.113.9:33333"),
        ),
        (
            text("PROXY TCP6 2001:db8::9 ::1 33333 0\r\n"),
            address("[2001:db8::9]:33333"),
        ),
        (text("PROXY UNKNOWN\r\n"), Behind::Nobody),
        (
            text("PROXY UNKNOWN ffff:f...f:ffff whatever 1 2 3\r\n"),
            Behind::Nobody,
        ),
        (tcp4(&[]), address("203.0.113.9:33333")),
        (tcp6(), address("[2001:db8::9]:33333")),
        (
            tcp4(&[1, 0, 2, b'h', b'2', 4, 0, 0]),
            address("203.0.113.9:33333"),
        ),
        (v2(0x20, 0, &[]), Behind::Nobody),
        (
            v2(0x20, TCP4, b"what stands here is ignored"),
            Behind::Nobody,
        ),
        (v2(0x21, UNKNOWN, &[4, 0, 1, 0]), Behind::Nobody),
        (v2(0x21, UNIX, &[0; 216]), Behind::Nobody),
        (
            tcp4(&[&[4, 0x0f, 0xf1][..], &[0; 4081]].concat()),
            address("203.0.113.9:33333"),
        ),
    ]
}

#[test]
fn headers_are_read_to_their_end_and_no_further() {
    for (header, behind) in taken() {
        for cut in 0..header.len() {
            let part = header.get(..cut).unwrap();
            assert_eq!(parse(part), Ok(None), "{}", part.escape_ascii());
        }
        let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(parse(&followed), Ok(Some((behind, header.len()))));
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let mut versions = tcp4(&[]);
    versions[12] = 0x11;
    let mut datagrams = tcp4(&[]);
    datagrams[13] = 0x12;
    let mut families = tcp4(&[]);
    families[13] = 0x41;
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01",
        b"PROXY\tTCP4",
        b"proxy TCP4 ",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 203.0.113.9 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2 3\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2 \r\n",
        b"PROXY TCP4  203.0.113.9 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 +1 2\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 01 2\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 65536 2\r\n",
        b"PROXY TCP4 203.0.113.256 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::9 ::1 1 2\r\n",
        b"PROXY TCP6 203.0.113.9 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2\nGET / HTTP/1.1\r\n",
        &[&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(),
        &versions,
        &datagrams,
        &families,
        &v2(0x22, TCP4, &[0; 12]),
        &v2(0x21, TCP4, &[0; 11]),
        &v2(0x21, TCP6, &[0; 35]),
        &v2(0x21, UNIX, &[0; 215]),
        &v2(0x21, TCP4, &[0; 4097]),
        &tcp4(&[4]),
        &tcp4(&[4, 0]),
        &tcp4(&[4, 0, 2, 0]),
        &tcp4(&[3, 0, 4, 0, 0, 0, 0]),
        &tcp4(&[3, 0, 0]),
    ] {
        assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_checksum_that_is_right_is_taken() {
    let values = |sum: [u8; 4]| [&[4, 0, 1, 7, 3, 0, 4][..], &sum].concat();
    // Reckoned elsewhere, over the header with zeros in its place.
    let header = tcp4(&values(0xedad_bbac_u32.to_be_bytes()));
    assert_eq!(
        parse(&header),
        Ok(Some((address("203.0.113.9:33333"), header.len())))
    );
    // Of another kind than a checksum's, the value says nothing.
    let kind = FIXED + 12 + 4;
    for bit in (0..8 * header.len()).filter(|bit| bit / 8 != kind) {
        let mut other = header.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let parsed = parse(&other);
        assert!(
            !matches!(parsed, Ok(Some((Behind::Client(_), _)))),
            "bit {bit}: {parsed:?}"
        );
    }
}

#[tokio::test]
async fn what_comes_with_a_header_is_kept() {
    for (header, behind) in taken() {
        let more = [&header[..], b"GET"].concat();
        let mut whole = &more[..];
        let (read_behind, rest) = read(&mut whole).await.unwrap();
        assert_eq!(read_behind, behind);
        assert_eq!([&rest, whole].concat(), b"GET");
        let (mut far, mut near) = tokio::io::duplex(1);
        let sent = async {
            tokio::io::AsyncWriteExt::write_all(&mut far, &header)
                .await
                .unwrap();
        };
        let (read, ()) = tokio::join!(read(&mut near), sent);
        assert_eq!(read.unwrap(), (behind, Vec::new()));
    }
    let mut cut = &b"PROXY TCP4 203.0.113.9"[..];
    assert!(matches!(read(&mut cut).await, Err(Unread::Io(_))));
}

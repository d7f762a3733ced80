"""What upstreams answer: as it comes, and nothing of what is secret in it elsewhere."""

import contextlib
import threading

import pytest

import served
from wire import DATA, END_STREAM, Http2, RawServer, ask_all, connect, frame, read_head, rest, skip_body

LISTENERS = pytest.mark.parametrize("listener", ["plain", "tls"])
# The ends of requests: those without a body go another way to their upstream than those with one.
ENDS = pytest.mark.parametrize("end", [b"\r\n", b"Content-Length: 1\r\n\r\na"], ids=["alone", "with a body"])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
HOP = (
    b"Connection: keep-alive, X-Named , content-length\r\nX-Named: 1\r\nx-named: 2\r\nConnection: x-other\r\nX-Other: 3\r\n"
    b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\n"
)
TOLD = b"HTTP/1.1 100 Continue\r\n\r\n"
SECRET = b"never-to-be-logged"


class Slow(RawServer):
    """Answers in two parts, the second when it is let go; and on `/malformed` with a head that is none."""

    def __init__(self):
        self.go = threading.Event()
        super().__init__()

    def serve(self, connection):
        lines = connection.makefile("rb")
        while head := read_head(lines):
            if b"/malformed" in head[0]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=" + SECRET + b"\r\nno field\x00\r\n\r\n")
                return
            connection.sendall(HEAD + b"ab")
            self.go.wait(30)
            connection.sendall(b"cd")


class Odd(RawServer):
    """Answers each path with these bytes before the body is there; a path that ends in `/over` ends the connection."""

    ANSWERS = {
        "/hop": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + HOP + b"X-Stays: 1\r\n\r\nabcd",
        "/told": TOLD,
        "/told/over": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + TOLD,
        "/empty": b"HTTP/1.1 204 No Content\r\nContent-Length: 120\r\n\r\n",
        "/empty/chunked": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "/hints": b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nX-Request-Id: theirs\r\n\r\n"
        + HEAD + b"abcd",
        "/twice": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        "/list": b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nabcd",
        "/coded/twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        "/open/over": b"HTTP/1.1 200 OK\r\n\r\nabcd",
        "/old": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nabcd",
        "/old/over": b"HTTP/1.0 200 OK\r\n\r\nabcd",
        "/coded": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    }

    def serve(self, connection):
        lines = connection.makefile("rb")
        while head := read_head(lines):
            path = head[0].split()[1].decode()
            connection.sendall(self.ANSWERS[path])
            if path != "/told/over":
                # A connection that is closed before is reset, and its answer lost.
                skip_body(head, lines)
            if path.endswith("/over"):
                return


class Forgetful(RawServer):
    """Answers a request on each connection, and closes it once the next one's body is there."""

    def serve(self, connection):
        lines = connection.makefile("rb")
        skip_body(read_head(lines), lines)
        connection.sendall(HEAD + b"abcd")
        skip_body(read_head(lines), lines)


@pytest.fixture
def odd():
    origin = Odd()
    yield origin
    origin.stop()


@pytest.fixture
def slow():
    origin = Slow()
    yield origin
    origin.stop()


def read_until(connection, end):
    data = b""
    while not data.endswith(end):
        more = connection.recv(65536)
        assert more, data
        data += more
    return data


@LISTENERS
@pytest.mark.parametrize("end", ["open", "with a body", "kept"])
def test_a_part_of_an_answer_is_not_held_back(tmp_path, slow, listener, end):
    with served.running(tmp_path / "gate", slow) as gate:
        port, tls = served.ports(gate)[listener]
        with connect(port, tls) as connection:
            for _ in range(2 if end == "kept" else 1):
                slow.go.clear()
                body = b"Content-Length: 3\r\n\r\nabc" if end == "with a body" else b"\r\n"
                connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + body)
                first = read_until(connection, b"ab")
                assert first.startswith(b"HTTP/1.1 200 ") and not slow.go.is_set()
                slow.go.set()
                read_until(connection, b"cd")


@ENDS
@LISTENERS
def test_what_is_for_the_next_hop_ends_there(tmp_path, odd, listener, end):
    """RFC 9110 section 7.6.1; but for the length, which is the answer's whatever `Connection` says."""
    with served.running(tmp_path / "gate", odd) as gate:
        port, tls = served.ports(gate)[listener]
        answer = ask_all(port, b"GET /hop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + end, tls)
        head, _, body = answer.partition(b"\r\n\r\n")
        names = sorted(line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:])
        assert names == [b"connection", b"content-length", b"date", b"x-request-id", b"x-stays"], head
        assert head.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in head and body == b"abcd"
        with Http2(port, tls) as connection:
            stream = connection.request(path=b"/hop", end=end == b"\r\n")
            if end != b"\r\n":
                connection.send(frame(DATA, END_STREAM, stream, b"a"))
            assert connection.answer(stream) == 200 and connection.bodies[stream] == b"abcd"
            assert stream not in connection.reset


@LISTENERS
def test_what_fails_after_an_interim_answer_is_answered(tmp_path, odd, listener):
    with served.running(tmp_path / "gate", odd, limits={"body_bytes": 1000}) as gate:
        port, tls = served.ports(gate)[listener]
        chunked = b"Host: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        for path, body, expected in [
            (b"/told", b"3e9\r\n" + b"a" * 1001 + b"\r\n0\r\n\r\n", b"HTTP/1.1 413 "),
            (b"/told/over", b"1\r\na\r\n0\r\n\r\n", b"HTTP/1.1 502 "),
        ]:
            with connect(port, tls, ["http/1.1"]) as connection:
                connection.sendall(b"POST " + path + b" HTTP/1.1\r\n" + chunked)
                answer = b""
                while TOLD not in answer:
                    assert (more := connection.recv(65536)), answer
                    answer += more
                # The upstream may be gone by now, and what comes of that be there already.
                with contextlib.suppress(OSError):
                    connection.sendall(body)
                interim, _, final = (answer + rest(connection)).partition(TOLD)
                assert final.startswith(expected) and b"x-request-id" not in interim.lower()


@ENDS
@LISTENERS
@pytest.mark.parametrize("path", ["/chunked", "/open/over", "/old", "/old/over"])
def test_every_version_is_answered_in_its_own_form(tmp_path, odd, listener, path, end):
    """RFC 9112 sections 2.3 and 6.1: who speaks HTTP/1.0 gets no chunks, and an upstream's HTTP/1.0 is not the gate's."""
    with served.running(tmp_path / "gate", odd) as gate:
        port, tls = served.ports(gate)[listener]
        for version in (b"1.0", b"1.1"):
            ask = b"GET " + path.encode() + b" HTTP/" + version + b"\r\nHost: a\r\nConnection: close\r\n" + end
            head, _, body = ask_all(port, ask, tls).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            is_chunked = b"transfer-encoding: chunked" in head.lower()
            assert not (is_chunked and version == b"1.0")
            assert body == (b"4\r\nabcd\r\n0\r\n\r\n" if is_chunked else b"abcd")


@ENDS
@LISTENERS
@pytest.mark.parametrize("path", ["/coded", "/coded/twice"])
def test_an_answer_in_another_coding_is_none(tmp_path, odd, listener, path, end):
    with served.running(tmp_path / "gate", odd) as gate:
        port, tls = served.ports(gate)[listener]
        answer = ask_all(port, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: a\r\n" + end, tls)
        assert answer.startswith(b"HTTP/1.1 502 ") and b"Connection: close" in answer


@ENDS
@LISTENERS
def test_an_answer_says_once_how_it_ends(tmp_path, odd, listener, end):
    """RFC 9112 sections 6.1 to 6.3: 1xx and 204 have no body to speak of, and a length that is repeated is one."""
    with served.running(tmp_path / "gate", odd) as gate:
        port, tls = served.ports(gate)[listener]
        for path, status, fields, body in [
            (b"/empty", 204, [], b""),
            (b"/empty/chunked", 204, [], b""),
            (b"/twice", 200, [b"content-length: 4"], b"abcd"),
            (b"/list", 200, [b"content-length: 4"], b"abcd"),
            (b"/hints", 200, [b"content-length: 4"], b"abcd"),
        ]:
            answer = ask_all(port, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + end, tls)
            interim, head = answer.removesuffix(body).split(b"\r\n\r\n")[-3:-1] if path == b"/hints" else (b"", answer)
            assert b"transfer-encoding" not in interim.lower() and b"content-length" not in interim.lower()
            assert b"theirs" not in interim
            lines = head.lower().split(b"\r\n")
            assert lines[0].split()[1] == b"%d" % status and answer.endswith(b"\r\n\r\n" + body)
            assert [line for line in lines if line.startswith((b"content-length", b"transfer-encoding"))] == fields
            with Http2(port, tls) as connection:
                stream = connection.request(path=path)
                assert connection.answer(stream) == status and stream not in connection.reset
                assert connection.bodies.get(stream, b"") == body


def test_a_body_that_is_sent_again_counts_once(tmp_path):
    origin = Forgetful()
    try:
        with served.running(tmp_path / "gate", origin, limits={"body_bytes": 1000}) as gate:
            port, _ = served.ports(gate)["plain"]
            ask = b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 600\r\n\r\n" + b"a" * 600
            for _ in range(4):
                assert ask_all(port, ask).startswith(b"HTTP/1.1 200 ")
    finally:
        origin.stop()


def test_an_answer_out_of_form_is_not_logged(tmp_path, slow):
    with served.running(tmp_path / "gate", slow, log={"level": "debug"}) as gate:
        port, tls = served.ports(gate)["plain"]
        with connect(port, tls) as connection:
            connection.sendall(b"GET /malformed HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 502 ")
    assert SECRET.decode() not in gate.log.read_text()

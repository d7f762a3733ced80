"""What upstreams answer: as it comes, and nothing of what is secret in it elsewhere."""

import threading

import pytest

import served
from wire import Http2, RawServer, ask_all, connect, read_head

LISTENERS = pytest.mark.parametrize("listener", ["plain", "tls"])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
HOP = (
    b"Connection: keep-alive, X-Named , content-length\r\nX-Named: 1\r\nx-named: 2\r\nConnection: x-other\r\nX-Other: 3\r\n"
    b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\n"
)
SECRET = b"never-to-be-logged"


class Slow(RawServer):
    """Answers in two parts, the second when it is let go; on `/hop` with what is for the next hop alone, and on
    `/malformed` with a head that is none."""

    def __init__(self):
        self.go = threading.Event()
        super().__init__()

    def serve(self, connection):
        lines = connection.makefile("rb")
        while head := read_head(lines):
            if b"/malformed" in head[0]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=" + SECRET + b"\r\nno field\x00\r\n\r\n")
                return
            if b"/hop" in head[0]:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + HOP + b"X-Stays: 1\r\n\r\nabcd")
                continue
            connection.sendall(HEAD + b"ab")
            self.go.wait(30)
            connection.sendall(b"cd")


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


@LISTENERS
def test_what_is_for_the_next_hop_ends_there(tmp_path, slow, listener):
    """RFC 9110 section 7.6.1; but for the length, which is the answer's whatever `Connection` says."""
    with served.running(tmp_path / "gate", slow) as gate:
        port, tls = served.ports(gate)[listener]
        answer = ask_all(port, b"GET /hop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", tls)
        head, _, body = answer.partition(b"\r\n\r\n")
        names = sorted(line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:])
        assert names == [b"connection", b"content-length", b"date", b"x-request-id", b"x-stays"], head
        assert head.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in head and body == b"abcd"
        with Http2(port, tls) as connection:
            stream = connection.request(path=b"/hop")
            assert connection.answer(stream) == 200 and connection.bodies[stream] == b"abcd"
            assert stream not in connection.reset


def test_an_answer_out_of_form_is_not_logged(tmp_path, slow):
    with served.running(tmp_path / "gate", slow, log={"level": "debug"}) as gate:
        port, tls = served.ports(gate)["plain"]
        with connect(port, tls) as connection:
            connection.sendall(b"GET /malformed HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 502 ")
    assert SECRET.decode() not in gate.log.read_text()

"""WebSockets whose frames are out of form (RFC 6455 section 5): they are their two ends' affair, and nobody else's."""

import base64
import hashlib
import threading
import time

import pytest

import served
from portcullis import wait_until
from wire import RawServer, ask_all, connect, read_head

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n"
)
MASK = b"\1\2\3\4"
REQUEST = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
# A stream ends within a second of its reason; machines that test are slow at times.
SOON = 3

# What a server sends, and whether a frame has ended with it, as far as frames can be told apart.
FRAMES = {
    "in form": (b"\x81\x05hello", True),
    "masked": (b"\x81\x85" + MASK + b"hello", True),
    "with reserved bits": (b"\xf1\x05hello", True),
    "of an unknown kind": (b"\x83\x05hello\x8f\x00", True),
    "a ping that is too long": (b"\x89\x7e\x00\x7e" + b"a" * 126, True),
    "a ping in two parts": (b"\x09\x01a\x80\x01b", True),
    "a part of nothing": (b"\x80\x05hello", True),
    "a text in a text": (b"\x01\x01a\x81\x01b", True),
    "no UTF-8": (b"\x81\x02\xff\xfe", True),
    "a length that could be shorter": (b"\x81\x7e\x00\x05hello\x81\x7f" + bytes(7) + b"\x05hello", True),
    "a length below nothing": (b"\x82\x7f" + b"\xff" * 8 + b"hello", False),
    "the longest length": (b"\x82\x7f\x7f" + b"\xff" * 7 + b"hello", False),
    "half a head": (b"\x82", False),
    "half a length": (b"\x82\x7f\0\0", False),
    "half a payload": (b"\x81\x05he", False),
    "a close of one octet": (b"\x88\x01a", True),
    "a close with a status that is none": (b"\x88\x02\x00\x01", True),
    "more behind a close": (b"\x88\x02\x03\xe8\x81\x04more", True),
    "two closes": (b"\x88\x02\x03\xe8\x88\x02\x03\xe8", True),
    "no frames but an answer": (ANSWER, False),
    "no frames but a page": (b"<html>hello</html>\r\n\r\n", False),
}  # fmt: skip

# What a caller sends.
SENT = {
    "in form": b"\x81\x85" + MASK + b"hello", "unmasked": b"\x81\x05hello", "with reserved bits": b"\xf1\x80" + MASK,
    "of an unknown kind": b"\x83\x80" + MASK, "a length below nothing": b"\x82\xff" + b"\xff" * 8 + MASK, "half a head": b"\x82",
    "a request": REQUEST, "an answer": ANSWER, "zeroes": bytes(100),
    "more behind a close": b"\x88\x80" + MASK + b"\x81\x85" + MASK + b"hello",
}  # fmt: skip


class Origin(RawServer):
    """Sends frames by the number in a WebSocket's path once it is upgraded, and keeps what comes; all else it answers."""

    def __init__(self):
        self.frames = {f"/socket/{at}".encode(): octets for at, (octets, _) in enumerate(FRAMES.values())}
        # By path, of the last connection for it.
        self.got, self.ended = {}, {}
        self.connections = 0
        super().__init__()

    def serve(self, connection):
        self.connections += 1
        lines = connection.makefile("rb")
        while head := read_head(lines):
            path = head[0].split()[1]
            if not path.startswith(b"/socket/"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell")
                continue
            self.got[path], self.ended[path] = b"", threading.Event()
            connection.sendall(accepted(head) + self.frames.get(path, b""))
            self.listen(path, lines)
            return

    def listen(self, path, lines):
        try:
            while octets := lines.read1():
                self.got[path] += octets
                # Its other end can tell it from all others.
                if octets.endswith(b"whose?"):
                    lines.raw._sock.sendall(path)
        finally:
            self.ended[path].set()


def accepted(head):
    key = next(line.split(b": ")[1] for line in head if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    fields = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept
    return b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n\r\n"


@pytest.fixture(scope="module")
def origin():
    origin = Origin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origin, issuer):
    bearer = {"authenticate": {"bearer": {"issuers": ["remote"]}}, "authorize": "authenticated"}
    routes = [
        {"match": {"path": "/socket/{number}"}, **bearer, "upstream": {"to": "origin", "websocket": True}},
        {"match": {"path": "/well"}, **served.OPEN},
    ]  # fmt: skip
    issuers = {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}}
    with served.running(
        tmp_path_factory.mktemp("sockets") / "gate", origin, routes, issuers=issuers, tokens={"leeway_seconds": 0}
    ) as gate:
        yield gate


class Socket:
    """A caller's end, octet by octet."""

    def __init__(self, gate, token, number, before=b""):
        port, tls = served.ports(gate)["plain"]
        self.path = f"/socket/{number}".encode()
        self.connection = connect(port, tls)
        self.connection.settimeout(SOON + 10)
        self.connection.sendall(UPGRADE % (self.path, b"Authorization: Bearer " + token.encode() + b"\r\n") + before)
        self.data = b""
        self.until(lambda: b"\r\n\r\n" in self.data)
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    def until(self, check):
        """Reads until this is true, or to the end; whether it is true."""
        while not check():
            try:
                more = self.connection.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return check()
            self.data += more
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def well(gate):
    port, tls = served.ports(gate)["plain"]
    return ask_all(port, b"GET /well HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", tls).endswith(b"\r\n\r\nwell")


def test_a_socket_whose_server_speaks_at_once_is_open(gate, origin, issuer):
    """However soon that is: the gate may not be done yet with the request."""
    token = issuer.token()
    for _ in range(100):
        with Socket(gate, token, 0) as socket:
            assert socket.until(lambda: len(socket.data) >= len(b"\x81\x05hello"))


def test_frames_of_a_server_reach_its_caller_alone(gate, origin, issuer):
    token = issuer.token()
    with Socket(gate, token, "other") as other:
        for at, (name, (octets, _)) in enumerate(FRAMES.items()):
            before = origin.connections
            with Socket(gate, token, at) as socket:
                assert socket.until(lambda: len(socket.data) >= len(octets)), name
                assert socket.data == octets, name
            assert origin.ended[socket.path].wait(10), name
            assert well(gate) and well(gate), name
            assert origin.connections <= before + 2 and not origin.got[socket.path], name
        # In the end the other one has got nothing but what is its own.
        other.connection.sendall(b"whose?")
        assert other.until(lambda: len(other.data) >= len(other.path)) and other.data == other.path


def test_frames_of_a_caller_reach_his_server_alone(gate, origin, issuer):
    token = issuer.token()
    with Socket(gate, token, "other") as other:
        for at, (name, octets) in enumerate(SENT.items(), 1000):
            for early in (False, True):
                with Socket(gate, token, at, before=octets if early else b"") as socket:
                    if not early:
                        socket.connection.sendall(octets)
                    wait_until(lambda: origin.got[socket.path] == octets, name)
                assert origin.ended[socket.path].wait(10), name
                assert well(gate), name
        assert origin.got[other.path] == b""


def test_they_end_with_their_permission(gate, origin, issuer):
    """With a close frame of the gate's own only between two frames, and none behind the server's."""
    over = int(time.time()) + 4
    token = issuer.token(exp=over)
    sockets = {name: Socket(gate, token, at) for at, name in enumerate(FRAMES)}
    assert time.time() < over, "the machine is too slow for a token that lives so shortly"
    for name, socket in sockets.items():
        octets, has_ended = FRAMES[name]
        assert not socket.until(lambda: False)
        assert time.time() < over + SOON, name
        is_closed = octets[:1] == b"\x88"
        reason = b"\x88\x0f\x03\xf0token_expired" if has_ended and not is_closed else b""
        assert socket.data == octets + reason, name
        socket.connection.close()
        assert origin.ended[socket.path].wait(10), name
    assert well(gate)

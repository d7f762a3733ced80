"""Where one message ends and the next begins, whoever answers early or says too much; and headers that would speak for the
gate."""

import re
import socket
import threading

import pytest

import served
from portcullis import wait_until
from wire import DATA, END_HEADERS, END_STREAM, HEADERS, Http2, RawServer, ask_all, connect, fields, frame, head_end, rest

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Origin(RawServer):
    """Answers each head by its path as soon as it is there, and keeps what came on each connection."""

    answers = {
        b"/early": b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
        b"/no-content": b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL,
        b"/no-content-with-length": b"HTTP/1.1 204 No Content\r\nContent-Length: 43\r\n\r\n" + EVIL,
        b"/not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 43\r\n\r\n" + EVIL,
        b"/too-long": OK + EVIL,
        b"/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
        b"/both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
        b"/head": b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n" + EVIL,
        b"/switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + EVIL,
    }

    def __init__(self):
        self.connections = []
        super().__init__()

    def serve(self, connection):
        kept = bytearray()
        self.connections.append(kept)
        head = b""
        while data := connection.recv(65536):
            kept += data
            head += data
            while (end := head_end(head)) is not None:
                asked, head = re.search(rb"[A-Z]+ (\S+) HTTP/1.1\r\n", head[:end]), head[end:]
                if asked:  # And no end of a chunked body.
                    connection.sendall(self.answers.get(asked[1], OK))

    def take(self):
        """What came since it was last asked, by connection; those stay open."""
        taken = [bytes(kept) for kept in self.connections]
        for kept, seen in zip(self.connections, taken, strict=False):
            del kept[: len(seen)]
        return [seen for seen in taken if seen]


@pytest.fixture(scope="module")
def origin():
    origin = Origin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origin):
    """Some route sets `x-user` from tokens, so none may come with one."""
    bearer = {"authenticate": {"bearer": {"issuers": ["remote"]}}, "authorize": "authenticated"}
    me = {"match": {"path": "/me"}, **bearer, "upstream": {"to": "origin", "headers": {"x-user": "{claims.sub}"}}}
    issuer = {"kind": "oidc", "issuer": "http://127.0.0.1:9", "jwks_uri": "http://127.0.0.1:9/keys", "audiences": ["a"]}
    gate = served.serve(tmp_path_factory.mktemp("messages"), origin, [*served.everything(), me], issuers={"remote": issuer})
    yield gate
    gate.stop()


def request(path=b"/pets", method=b"GET", more=b"", body=b""):
    return method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n" + body


CLOSE = b"Connection: close\r\n"
LISTENERS = pytest.mark.parametrize("listener", ["plain", "tls"])
SMUGGLED = request(b"/smuggled", more=CLOSE)


# After an answer


@LISTENERS
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_what_follows_an_early_answer_is_no_request(gate, origin, listener, framing):
    """The origin answers before the body is there; what is sent of it then is not read as a request."""
    origin.take()
    port, tls = served.ports(gate)[listener]
    more = b"Content-Length: 1000\r\n" if framing == "length" else b"Transfer-Encoding: chunked\r\n"
    first = b"0123456789" if framing == "length" else b"3e8\r\n0123456789"
    last = SMUGGLED.ljust(990, b"\n") + (b"" if framing == "length" else b"\r\n0\r\n\r\n")
    with connect(port, tls, ["http/1.1"]) as connection:
        connection.sendall(request(b"/early", b"POST", more + CLOSE, first))
        answers = connection.recv(65536)
        try:
            connection.sendall(last + SMUGGLED)
        except OSError:
            pass  # It is closed already.
        answers += rest(connection)
    assert answers.startswith(b"HTTP/1.1 413 ") and answers.count(b"HTTP/1.1 ") == 1
    heads = [kept for kept in origin.take() if kept.startswith(b"GET /smuggled")]
    assert heads == []
    assert ask_all(port, request(more=CLOSE), tls).endswith(b"\r\n\r\nok"), "the origin's connection is another"


@LISTENERS
@pytest.mark.parametrize("method", [b"TRACE", b"GET"])
def test_a_refused_body_is_no_request(gate, origin, listener, method):
    origin.take()
    port, tls = served.ports(gate)[listener]
    target = b"/pets/../a" if method == b"GET" else b"/pets"
    length = b"Content-Length: %d\r\n" % len(SMUGGLED)
    answers = ask_all(port, request(target, method, length, SMUGGLED) + SMUGGLED, tls)
    assert answers.count(b"HTTP/1.1 ") == 1 and answers.startswith(b"HTTP/1.1 40")
    assert origin.take() == []


@LISTENERS
def test_a_refusal_is_not_taken_back_while_the_body_comes(gate, origin, listener):
    """Some clients of HTTP/2 take a stream that is reset while they send for a failure, and lose the answer."""
    port, tls = served.ports(gate)[listener]
    with Http2(port, tls) as connection:
        stream = connection.request(method=b"TRACE", path=b"/pets", end=False)
        assert connection.answer(stream) == 405
        connection.ping()
        assert connection.reset == {}
        connection.send(frame(DATA, END_STREAM, stream, b"{}"))
        assert connection.answer(connection.request(path=b"/pets")) == 200
        assert connection.reset == {} and not connection.closed


@LISTENERS
def test_a_refusal_without_a_body_ends_at_once(gate, listener):
    """Whatever its caller goes on to send."""
    port, tls = served.ports(gate)[listener]
    with Http2(port, tls) as connection:
        stream = connection.request(method=b"HEAD", path=b"/me", end=False)
        assert connection.answer(stream) == 401
        connection.send(frame(DATA, END_STREAM, stream, b"{}"))
        assert connection.answer(connection.request(path=b"/pets")) == 200
        assert stream in connection.ended and connection.reset == {}


TOO_MUCH = {
    "204": (b"GET", b"/no-content"), "204 with a length": (b"GET", b"/no-content-with-length"),
    "304": (b"GET", b"/not-modified"), "more than its length": (b"GET", b"/too-long"),
    "more than its chunks": (b"GET", b"/chunked"), "length and chunks": (b"GET", b"/both"),
    "a body for HEAD": (b"HEAD", b"/head"), "another protocol": (b"GET", b"/switching"),
}  # fmt: skip


@LISTENERS
@pytest.mark.parametrize(
    "head", [b"GET /a HTTP/1.1\nHost: a\n\n", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n"]
)
def test_nothing_follows_what_has_two_readings(gate, origin, listener, head):
    """RFC 9112 section 2.2: who could not say where a request ends does not read another after it."""
    port, tls = served.ports(gate)[listener]
    origin.take()
    with connect(port, tls, ["http/1.1"]) as connection:
        connection.sendall(head)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        connection.sendall(b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1" not in rest(connection)
    assert origin.take() == []


@LISTENERS
@pytest.mark.parametrize("more", [{}, {"more": b"Content-Length: 1\r\n", "body": b"a"}], ids=["alone", "with a body"])
@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_an_upstream_says_beyond_its_answer_is_no_answer(gate, listener, case, more):
    method, path = TOO_MUCH[case]
    port, tls = served.ports(gate)[listener]
    for _ in range(3):
        answers = ask_all(port, request(path, method, **more) + request(more=CLOSE), tls)
        assert b"evil" not in answers and b" 101 " not in answers
        # On a connection of its own, whichever of the origin's it gets.
        assert ask_all(port, request(more=CLOSE), tls).endswith(b"\r\n\r\nok")


@LISTENERS
@pytest.mark.parametrize("case", TOO_MUCH)
def test_nor_over_http_2(gate, listener, case):
    method, path = TOO_MUCH[case]
    port, tls = served.ports(gate)[listener]
    with Http2(port, tls) as connection:
        connection.answer(connection.request(method=method, path=path))
        for _ in range(3):
            stream = connection.request(path=b"/pets")
            assert connection.answer(stream) == 200 and connection.bodies[stream] == b"ok"
        assert b"evil" not in b"".join(connection.bodies.values())


def test_the_origin_does_say_too_much(origin):
    """Each case is able to fail: whoever reads on takes what follows for the next answer."""
    for method, path in TOO_MUCH.values():
        with socket.create_connection(("127.0.0.1", origin.port)) as connection:
            connection.sendall(request(path, method))
            answer = b""
            while not answer.endswith(EVIL):
                assert (more := connection.recv(65536))
                answer += more


# Protocols that nobody asked for


@LISTENERS
@pytest.mark.parametrize(
    "more",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Upgrade: TLS/1.0\r\n",
    ],
    ids=["h2c", "websocket", "tls"],
)
def test_nothing_is_upgraded(gate, origin, listener, more):
    origin.take()
    port, tls = served.ports(gate)[listener]
    with connect(port, tls, ["http/1.1"]) as connection:
        connection.sendall(request(more=more))
        answer = b""
        while not answer.endswith(b"\r\n\r\nok"):
            assert (more := connection.recv(65536))
            answer += more
        assert answer.startswith(b"HTTP/1.1 200 ") and b"upgrade" not in answer.lower()
        connection.sendall(request(more=CLOSE))
        assert rest(connection).startswith(b"HTTP/1.1 200 "), "it is HTTP/1.1 as before"
    seen = b"".join(origin.take()).lower()
    assert b"get /pets" in seen and b"upgrade" not in seen and b"http2-settings" not in seen


@LISTENERS
def test_no_tunnel_is_opened_over_http_2(gate, origin, listener):
    origin.take()
    port, tls = served.ports(gate)[listener]
    tunnels = [
        [(b":method", b"CONNECT"), (b":authority", b"a:443")],
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":path", b"/pets"), (b":authority", b"a")],
    ]
    for pairs in tunnels:
        with Http2(port, tls) as connection:
            connection.stream += 2
            connection.send(frame(HEADERS, END_HEADERS, connection.stream, fields(pairs)))
            connection.until(lambda: connection.closed or connection.reset or connection.statuses or connection.farewell is not None)
            assert connection.statuses.get(1) in (None, 405)
    assert origin.take() == []


# Headers that speak for the gate, or of another request than this

IDENTITY = [b"X-User", b"x-user", b"X_USER", b"x.user", b"X.User", b"x~user", b"X-Amzn-Oidc-Identity", b"x_amzn_oidc_data", b"X-Portcullis-Principal"]
@LISTENERS
def test_a_request_that_does_not_wait_is_not_answered(gate, origin, listener):
    """Pipelined with the one before it: the connection ends, and nothing of it goes on."""
    origin.take()
    port, tls = served.ports(gate)[listener]
    answers = ask_all(port, request(b"/one") + request(b"/two", more=CLOSE), tls)
    assert answers.startswith(b"HTTP/1.1 200 ") and answers.count(b"HTTP/1.1 ") == 1
    seen = b"".join(origin.take())
    assert seen.count(b"GET /one ") == 1 and b"/two" not in seen


OVERRIDES = [
    b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"x_http_method_override", b"X.HTTP.Method",
    b"X-Original-URL", b"X-Rewrite-URL", b"X_Original_URL", b"X-Original-Method", b"X-Forwarded-Method", b"X-Forwarded-Uri",
    b"X-Forwarded-Prefix", b"X-Forwarded-Scheme", b"X-Real-IP", b"Forwarded", b"True-Client-IP", b"X-Original-Host",
]  # fmt: skip


def assert_unseen(origin, at_least=1):
    seen = b"".join(origin.take())
    assert seen.count(b"GET /pets") + seen.count(b"POST /pets") >= at_least and b"forged" not in seen.lower()


@LISTENERS
@pytest.mark.parametrize("name", IDENTITY + OVERRIDES)
def test_headers_that_would_decide_do_not_go_on(gate, origin, listener, name):
    origin.take()
    port, tls = served.ports(gate)[listener]
    ways = [
        name + b": forged\r\n",
        name + b": forged\r\n" + name.upper() + b": forged\r\n",
        b"Connection: " + name + b"\r\n" + name + b": forged\r\n",
        b"Connection: keep-alive, " + name.lower() + b"\r\n" + name + b": forged\r\n",
    ]
    for way in ways:
        answer = ask_all(port, request(more=way + (b"" if b"onnection" in way else CLOSE)) + request(more=CLOSE), tls)
        assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    taken = b"HTTP/1.1 200 " in answer
    with Http2(port, tls) as connection:
        status = connection.answer(connection.request([(name.lower(), b"forged")] * 2, path=b"/pets"))
        assert status in (200, 400)
    assert_unseen(origin, at_least=taken)


@LISTENERS
@pytest.mark.parametrize("name", [*IDENTITY, b"X-HTTP-Method-Override", b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization"])
def test_trailers_do_not_go_on(gate, origin, listener, name):
    origin.take()
    port, tls = served.ports(gate)[listener]
    chunked = b"Transfer-Encoding: chunked\r\nTrailer: " + name + b"\r\n"
    answer = ask_all(port, request(b"/pets", b"POST", chunked + CLOSE, b"1\r\na\r\n0\r\n" + name + b": forged\r\n\r\n"), tls)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert_unseen(origin)
    with Http2(port, tls) as connection:
        stream = connection.request(method=b"POST", path=b"/pets", end=False)
        connection.send(frame(DATA, 0, stream, b"a"))
        connection.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, fields([(name.lower(), b"forged")])))
        assert connection.answer(stream) in (200, 400, None)
    assert b"forged" not in b"".join(origin.take()).lower()


def test_a_method_that_is_overridden_is_decided_as_it_is(tmp_path, origin):
    """A route for another method than the one that the header names."""
    routes = [{"match": {"path": "/pets", "methods": ["GET"]}, **served.OPEN}]
    gate = served.serve(tmp_path / "methods", origin, routes)
    try:
        port, _ = served.ports(gate)["plain"]
        origin.take()
        for name in OVERRIDES[:5]:
            post = request(method=b"POST", more=name + b": GET\r\nContent-Length: 0\r\n" + CLOSE)
            assert ask_all(port, post).startswith(b"HTTP/1.1 40")
        assert origin.take() == []
    finally:
        gate.stop()


def test_a_naive_proxy_hands_them_on(origin):
    """The headers' cases are able to fail."""
    server = socket.create_server(("127.0.0.1", 0))

    def hand_on():
        connection, _ = server.accept()
        with connection, socket.create_connection(("127.0.0.1", origin.port)) as upstream:
            upstream.sendall(connection.recv(65536))
            connection.sendall(upstream.recv(65536))

    for name in IDENTITY + OVERRIDES:
        origin.take()
        thread = threading.Thread(target=hand_on)
        thread.start()
        ask_all(server.getsockname()[1], request(more=name + b": forged\r\n"))
        thread.join()
        assert b"forged" in b"".join(origin.take())
    server.close()

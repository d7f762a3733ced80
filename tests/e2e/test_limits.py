"""Limits of heads, bodies, connections and streams, each with a caller who is over it and one who is not."""

import os
import time

import pytest

import served
from portcullis import wait_until
from wire import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Http2, RawServer, ask_all, connect, fields, frame,
    head_end, pseudo_fields, rest,
)  # fmt: skip

LISTENERS = pytest.mark.parametrize("listener", ["plain", "tls"])
CLOSE = b"Connection: close\r\n"


def request(path=b"/pets", method=b"GET", more=CLOSE, body=b""):
    return method + b" " + path + b" HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n" + body


class Silent(RawServer):
    """Answers what it is told to, and keeps silent about all else."""

    def serve(self, connection):
        head = b""
        while data := connection.recv(65536):
            head += data
            while (end := head_end(head)) is not None:
                answers, head = head.startswith(b"GET /answered "), head[end:]
                if answers:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture(scope="module")
def silent():
    origin = Silent()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origin):
    """With the limits as they are when nobody says anything."""
    with served.running(tmp_path_factory.mktemp("limits"), origin) as gate:
        yield gate


@pytest.fixture(scope="module")
def small(tmp_path_factory, origin):
    limits = {
        "header_fields": 10, "header_bytes": 2000, "target_bytes": 500, "header_seconds": 1, "body_bytes": 1000,
        "requests_per_connection": 3, "http2_streams": 8, "http2_resets": 20,
    }  # fmt: skip
    routes = [*served.everything(), {"match": {"path": "/large"}, **served.OPEN, "body_bytes": 5000}]
    with served.running(tmp_path_factory.mktemp("small"), origin, routes, limits=limits) as gate:
        yield gate


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


# Heads


def heads(fields, head, target):
    """Heads at a limit and beyond it, with the status beyond; a field counts its `: ` and line end, and `Host` is one."""
    rest_of_head = head - len("/pets") - len("host: a\r\n") - len("x-a: \r\n")
    path = lambda size: b"/" + b"a" * (size - 1)  # noqa: E731
    return [
        ({"path": path(target)}, 200), ({"path": path(target + 1)}, 414),
        ({"pairs": [(b"x-a", b"b")] * (fields - 1)}, 200), ({"pairs": [(b"x-a", b"b")] * fields}, 431),
        ({"pairs": [(b"x-a", b"b" * rest_of_head)]}, 200), ({"pairs": [(b"x-a", b"b" * (rest_of_head + 1))]}, 431),
    ]  # fmt: skip


@LISTENERS
@pytest.mark.parametrize("over", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("limits", ["usual", "small"])
def test_heads_are_bounded(gate, small, listener, over, case, limits):
    tested, bounds = (gate, (100, 65536, 16384)) if limits == "usual" else (small, (10, 2000, 500))
    port, tls = served.ports(tested)[listener]
    asked, expected = heads(*bounds)[case]
    path, pairs = asked.get("path", b"/pets"), asked.get("pairs", [])
    if over == "HTTP/1.1":
        more = b"".join(b"%s: %s\r\n" % pair for pair in pairs)
        with connect(port, tls, ["http/1.1"]) as connection:
            connection.sendall(request(path, more=more))
            assert status(connection.recv(65536)) == expected
        return
    with Http2(port, tls) as connection:
        connection.stream = 1
        block = fields([*pseudo_fields(path=path), *pairs])
        parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        for at, part in enumerate(parts):
            flags = (END_HEADERS if at == len(parts) - 1 else 0) | (END_STREAM if at == 0 else 0)
            connection.send(frame(CONTINUATION if at else HEADERS, flags, 1, part))
        assert connection.answer(1) == expected


@LISTENERS
def test_a_head_has_so_long(small, listener):
    """From its first byte to its last, on a connection that has just been made and on one that has served a request."""
    port, tls = served.ports(small)[listener]
    for before in (b"", request(more=b"")):
        with connect(port, tls, ["http/1.1"]) as connection:
            if before:
                connection.sendall(before)
                answer = b""
                while not answer.endswith(b"\r\n\r\nok"):
                    assert (more := connection.recv(65536))
                    answer += more
                # A quiet connection may be quiet for longer than a head may take.
                time.sleep(1.5)
            began = time.monotonic()
            assert drip(connection, b"GET /pets HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 400) == b""
            assert 0.5 < time.monotonic() - began < 4
    with connect(port, tls, ["http/1.1"]) as connection:
        connection.sendall(request()[:-1])
        time.sleep(0.3)
        connection.sendall(b"\n")
        assert status(rest(connection)) == 200, "who is only a little slow is served"


def drip(connection, data):
    """Sends a byte now and then until the other side closes, and gives what it said."""
    connection.settimeout(0.05)
    for octet in data:
        try:
            connection.sendall(bytes([octet]))
            return connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return b""
    raise AssertionError("it was taken to its end")


# Bodies


@LISTENERS
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("path, limit", [(b"/pets", 1000), (b"/large", 5000)])
def test_bodies_are_bounded(small, origin, listener, framing, path, limit):
    port, tls = served.ports(small)[listener]
    for size, expected in [(limit, 200), (limit + 1, 413)]:
        origin.take()
        body = b"a" * size
        more = b"Content-Length: %d\r\n" % size
        if framing == "chunks":
            more, body = b"Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        answer = ask_all(port, request(path, b"POST", more + CLOSE, body), tls)
        # The answer comes before the body: what is left of it must not be taken for the next one's.
        wait_until(lambda: not origin.unfinished, "the end of the body")
        got = origin.take()
        if expected == 200:
            assert status(answer) == 200
            continue
        # The origin answers heads; what it has of a body that is too long never comes to its end.
        assert status(answer) == 413 or framing == "chunks"
        assert got == b"" or (framing == "chunks" and b"0\r\n\r\n" not in got)


def test_a_body_of_unknown_length_is_bounded_before_its_answer(tmp_path, silent):
    with served.running(tmp_path / "silent", silent, limits={"body_bytes": 1000}) as gate:
        for port, tls in served.ports(gate).values():
            chunked = request(method=b"POST", more=b"Transfer-Encoding: chunked\r\n", body=b"3e9\r\n" + b"a" * 1001 + b"\r\n0\r\n\r\n")
            answer = ask_all(port, chunked, tls)
            assert status(answer) == 413 and b'"body_too_large"' in answer
            with Http2(port, tls) as connection:
                stream = connection.request(method=b"POST", end=False)
                connection.send(frame(DATA, 0, stream, b"a" * 1000) + frame(DATA, END_STREAM, stream, b"a"))
                assert connection.answer(stream) == 413
                stream = connection.request([(b"content-length", b"1001")], method=b"POST", end=False)
                assert connection.answer(stream) == 413


# Connections and streams


@LISTENERS
def test_a_connection_has_so_many_requests(small, listener):
    port, tls = served.ports(small)[listener]
    with connect(port, tls, ["http/1.1"]) as connection:
        answers = b""
        for number in range(3):
            connection.sendall(request(more=b""))
            wanted = number + 1
            while answers.count(b"\r\n\r\nok") < wanted:
                assert (more := connection.recv(65536))
                answers += more
        assert answers.lower().count(b"connection: close") == 1
        assert rest(connection) == b""
    with Http2(port, tls) as connection:
        streams = [connection.request() for _ in range(3)]
        assert [connection.answer(stream) for stream in streams] == [200] * 3
        assert connection.until(lambda: connection.farewell is not None)
        connection.until(lambda: connection.closed)
        assert connection.closed


@LISTENERS
def test_streams_are_bounded(small, listener):
    """Eight may be open at once: others are refused before they are served, and the connection goes on."""
    port, tls = served.ports(small)[listener]
    with Http2(port, tls) as connection:
        streams = [connection.request(method=b"POST", end=False) for _ in range(9)]
        assert connection.until(lambda: streams[-1] in connection.reset)
        assert connection.reset[streams[-1]] == 7, "REFUSED_STREAM"


@LISTENERS
def test_streams_that_are_broken_off_end_the_connection(tmp_path, silent, listener):
    with served.running(tmp_path / "resets", silent, limits={"http2_resets": 20, "http2_streams": 8}) as gate:
        port, tls = served.ports(gate)[listener]
        with Http2(port, tls) as connection:
            for _ in range(20):
                break_off(connection)
            stream = connection.request(path=b"/answered")
            assert connection.answer(stream) == 200, "so many may be"
            for _ in range(200):
                break_off(connection)
                if connection.closed:
                    break
            connection.until(lambda: connection.closed)
            assert connection.closed
        counted = 'portcullis_connections_ended_total{why="resets"} '
        wait_until(lambda: counted + "1\n" in gate.metrics() or counted + "0" not in gate.metrics(), "it is counted")
        with Http2(port, tls) as connection:
            assert connection.answer(connection.request(path=b"/answered")) == 200, "others are served"


def break_off(connection):
    """Begins a request and resets it once it is under way."""
    stream = connection.request()
    connection.ping()
    connection.send(frame(RST_STREAM, 0, stream, (8).to_bytes(4, "big")))
    connection.ping()


@LISTENERS
@pytest.mark.parametrize("octets", [0, 1, 1000])
def test_a_head_without_end_ends_the_connection(gate, listener, octets):
    """CONTINUATION frames that never come to an end (CVE-2024-27316)."""
    port, tls = served.ports(gate)[listener]
    with Http2(port, tls) as connection:
        block = fields(pseudo_fields())
        connection.send(frame(HEADERS, END_STREAM, 1, block))
        sent = 0
        one = frame(CONTINUATION, 0, 1, fields([(b"x-a", b"a" * octets)]) if octets else b"")
        while not connection.closed and sent < 64 * 1024 * 1024:
            connection.send(one * 100)
            sent += len(one) * 100
        assert connection.closed, sent
    assert status(ask_all(*[port, request()], tls)) == 200


# Descriptors


def test_streams_do_not_exhaust_descriptors(tmp_path, silent):
    """8 connections of 128 streams each, none of which is ever answered, and descriptors for fewer than these."""
    with served.running(tmp_path / "descriptors", silent, open_files=512) as gate:
        port, _ = served.ports(gate)["plain"]
        held = [Http2(port) for _ in range(8)]
        # 30 of 100 descriptors, of which a client has a quarter.
        share = 512 * 30 // 100 // 4
        for connection in held:
            for _ in range(128):
                connection.request()
            connection.until(lambda c=connection: len(c.statuses) >= 128 - share)
            assert set(connection.statuses.values()) == {503}
        problem = next(body for body in held[-1].bodies.values())
        assert b'"code":"overloaded"' in problem
        assert 'portcullis_requests_refused_total{why="client"} 0\n' not in gate.metrics()
        assert len(os.listdir(f"/proc/{gate.process.pid}/fd")) < 0.6 * 512
        for source in ("127.0.0.2", "127.0.0.3"):
            answer = ask_all(port, request(b"/answered"), source=source)
            assert status(answer) == 200, "others have their share"
        for connection in held:
            connection.socket.close()
        wait_until(lambda: status(ask_all(port, request(b"/answered"))) == 200, "there is room again")


def test_one_client_has_its_share_of_requests(tmp_path, silent):
    with served.running(tmp_path / "requests", silent, limits={"requests": 4, "requests_per_client": 2}) as gate:
        port, _ = served.ports(gate)["plain"]
        served_at = lambda source: status(ask_all(port, request(b"/answered"), source=source))  # noqa: E731
        held = []
        for source, other in [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.3")]:
            assert served_at(source) == served_at(other) == 200
            # An answer is there a little before its request is over.
            before = f'portcullis_upstream_connections{{upstream="origin"}} {len(held)}\n'
            wait_until(lambda: before in gate.metrics(), "those that are answered are over")  # noqa: B023
            held += [connect(port, source=source, before=request()) for _ in range(2)]
            in_use = f'portcullis_upstream_connections{{upstream="origin"}} {len(held)}\n'
            wait_until(lambda: in_use in gate.metrics(), "they are under way")  # noqa: B023
            assert served_at(source) == 503
            assert served_at(other) == (200 if len(held) < 4 else 503)
        for connection in held:
            connection.close()
        wait_until(lambda: served_at("127.0.0.3") == 200, "there is room again")

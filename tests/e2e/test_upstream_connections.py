"""Connections to upstreams: kept for the next request, and given up where they can be trusted no more."""

import socket
import threading

import pytest

import served
from portcullis import wait_until
from wire import Http2, RawServer, ask_all, connect, read_head, skip_body

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe first part"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class Origin(RawServer):
    """Answers, tells how many connections it has seen and what was asked, and does by the path what it should not."""

    def __init__(self):
        self.connections, self.ended, self.asked = 0, 0, []
        self.hang, self.go, self.said, self.left = (threading.Event() for _ in range(4))
        super().__init__()

    def serve(self, connection):
        self.connections += 1
        lines = connection.makefile("rb")
        while head := read_head(lines):
            skip_body(head, lines)
            method, path, _ = head[0].split()
            self.asked.append((method, path))
            if path == b"/lost" and self.asked.count((method, path)) == 1:
                break
            if path == b"/hang":
                self.hang.set()
                connection.recv(1)
                break
            connection.sendall(CUT if path == b"/cut" else OK)
            if path == b"/last":
                break
            if path == b"/quiet":
                connection.shutdown(socket.SHUT_WR)
                break
            if path == b"/more":
                self.go.wait(30)
                connection.sendall(EVIL)
                self.said.set()
            if path == b"/cut":
                break
        if path != b"/quiet":
            lines.close()
            connection.close()
        elif connection.recv(1) == b"":
            self.left.set()
        self.ended += 1


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.stop()


@pytest.fixture
def gate(tmp_path, origin):
    with served.running(tmp_path / "gate", origin) as gate:
        yield gate


def request(path=b"/", method=b"GET", more=b"\r\n"):
    return method + b" " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + more


def ask(gate, *args, **more):
    port, tls = served.ports(gate)["plain"]
    return ask_all(port, request(*args, **more), tls)


def test_a_connection_serves_one_request_after_another(gate, origin):
    for _ in range(5):
        assert ask(gate).endswith(b"\r\n\r\nok")
    assert origin.connections == 1


def test_a_connection_that_the_upstream_ended_is_not_used(gate, origin):
    for ended in range(1, 4):
        assert ask(gate, b"/last").endswith(b"\r\n\r\nok")
        wait_until(lambda: origin.ended == ended, "the connection's end")
    assert ask(gate, method=b"POST", more=b"Content-Length: 0\r\n\r\n").endswith(b"\r\n\r\nok")
    assert origin.connections == 4


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST"])
def test_what_is_lost_on_a_kept_connection_is_sent_again_where_that_is_safe(gate, origin, method):
    """RFC 9112 section 9.3.1: what may have been done already is not asked for twice."""
    assert ask(gate).endswith(b"\r\n\r\nok")
    answer = ask(gate, b"/lost", method, b"Content-Length: 0\r\n\r\n")
    is_sent_again = method != b"POST"
    assert answer.startswith(b"HTTP/1.1 200 " if is_sent_again else b"HTTP/1.1 502 ")
    assert origin.asked.count((method, b"/lost")) == 1 + is_sent_again
    assert origin.connections == 1 + is_sent_again


def test_what_is_lost_on_a_new_connection_is_not_sent_again(gate, origin):
    assert ask(gate, b"/lost").startswith(b"HTTP/1.1 502 ")
    assert origin.asked == [(b"GET", b"/lost")]


def test_what_nobody_asked_for_is_nobodys_answer(gate, origin):
    assert ask(gate, b"/more").endswith(b"\r\n\r\nok")
    origin.go.set()
    assert origin.said.wait(10)
    for _ in range(3):
        assert ask(gate).endswith(b"\r\n\r\nok")
    assert b"evil" not in ask(gate)


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_what_came_before_an_answer_broke_off_is_handed_on(gate, listener):
    """So that its caller sees that it is no whole answer, and does not take it for none."""
    port, tls = served.ports(gate)[listener]
    for _ in range(20):
        assert ask_all(port, request(b"/cut"), tls).endswith(b"\r\n\r\nthe first part")
    with Http2(port, tls) as connection:
        stream = connection.request(path=b"/cut")
        # A reset overtakes what is not sent yet, and says by itself that the answer is not whole.
        assert connection.answer(stream) in (200, None)
        assert b"the first part".startswith(connection.bodies.get(stream, b""))
        assert stream in connection.reset and stream not in connection.ended


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_requests_over_http_2_share_connections(gate, origin, listener):
    port, tls = served.ports(gate)[listener]
    with Http2(port, tls) as connection:
        for method, body in [(b"GET", b"ok"), (b"POST", b"ok"), (b"HEAD", b"")] * 2:
            stream = connection.request(method=method, path=b"/")
            assert connection.answer(stream) == 200
            assert connection.bodies.get(stream, b"") == body and connection.reset == {}
    # After HEAD the origin sends what a body would be.
    assert origin.connections == 2


def test_a_server_that_is_down_is_passed_over(tmp_path, origin):
    upstreams = {"origin": {"servers": [origin.url, "http://127.0.0.1:9"]}}
    with served.running(tmp_path / "gate", origin, upstreams=upstreams) as gate:
        for _ in range(4):
            assert ask(gate, method=b"POST", more=b"Content-Length: 0\r\n\r\n").endswith(b"\r\n\r\nok")
        assert origin.connections == 1


def test_a_request_ends_with_its_caller(gate, origin):
    port, tls = served.ports(gate)["plain"]
    with connect(port, tls) as connection:
        connection.sendall(request(b"/hang"))
        assert origin.hang.wait(10)
    wait_until(lambda: origin.ended == 1, "the connection's end")
    assert ask(gate).endswith(b"\r\n\r\nok")


def test_a_kept_connection_is_closed_once_its_upstream_has_ended_it(gate, origin):
    """Without another request that would find it so."""
    assert ask(gate, b"/quiet").endswith(b"\r\n\r\nok")
    assert origin.left.wait(20)

"""Requests with two readings, as bytes on the wire: refused, and nothing of them reaches the origin."""

import pytest

import served
from portcullis import wait_until
from wire import NaiveProxy, RawOrigin, ask, ask_all, ask_h2, connect, h2_request, rest, status


@pytest.fixture(scope="module")
def ports(tmp_path_factory, origin):
    """The gate's ports by kind: everything is open, so that admission alone stands between a caller and the origin."""
    with served.running(tmp_path_factory.mktemp("admission"), origin) as gate:
        yield served.ports(gate)


@pytest.fixture(scope="module")
def naive_origin():
    """Its own: what it hands on after its answer must not be taken for what the gate did."""
    origin = RawOrigin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def naive(naive_origin):
    proxy = NaiveProxy(naive_origin)
    yield proxy
    proxy.stop()


def get(target=b"/pets", host=b"Host: a\r\n", more=b"", version=b"HTTP/1.1", method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + host + more + b"\r\n"


def post(more, body=b""):
    return get(more=more, method=b"POST") + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"

TARGETS = {
    "encoded slash": b"/pets%2f1",
    "encoded slash in capitals": b"/pets%2F1",
    "encoded backslash": b"/pets%5c1",
    "backslash": b"/pets\\1",
    "dot segment": b"/pets/./1",
    "two dots": b"/pets/../admin",
    "two dots at the end": b"/pets/..",
    "two encoded dots": b"/pets/%2e%2e/admin",
    "one encoded dot": b"/pets/.%2e/admin",
    "dots before a parameter": b"/pets/..;/admin",
    "parameter of a segment": b"/pets;a=b",
    "encoded semicolon": b"/pets%3ba=b",
    "two slashes": b"/pets//1",
    "two slashes at the start": b"//pets",
    "encoded twice": b"/pets%252f1",
    "dots encoded twice": b"/pets/%252e%252e/admin",
    "encoded NUL": b"/pets%00",
    "encoded line end": b"/pets%0d%0aX-A:%20b",
    "encoded tab": b"/pets%09",
    "octets that are no UTF-8": b"/pets%ff",
    "an overlong slash": b"/pets%c0%af1",
    "half an escape": b"/pets%2",
    "an escape that is none": b"/pets%zz",
    "percent alone": b"/pets%",
    "fragment": b"/pets#a",
    "no leading slash": b"pets",
    "asterisk": b"*",
    "nothing": b"",
    "raw octets above ASCII": b"/pets\xff",
    "a control byte": b"/pets\x01",
    "a DEL": b"/pets\x7f",
    "a tab": b"/pets\t1",
    "a NUL": b"/pets\x001",
    "a space": b"/pets 1",
    "a space at the end": b"/pets ",
    "a version within": b"/pets HTTP/1.1",
    "a space and a carriage return": b"/pets 1\r2",
    "a space in the query": b"/pets?a=b c",
    "a control byte in the query": b"/pets?a=\x01",
    "a NUL in the query": b"/pets?a=\0",
    "another host's absolute form": b"http://b/pets",
    "absolute form with user": b"http://u@a/pets",
    "absolute form of another scheme": b"ftp://a/pets",
    "absolute form without host": b"http:///pets",
}

HEADS = {
    "no host": get(target=b"/pets/of/everybody", host=b""),
    "two hosts": get(host=b"Host: a\r\nHost: b\r\n"),
    "the same host twice": get(host=b"Host: a\r\nHost: a\r\n"),
    "an empty host": get(host=b"Host: \r\n"),
    "a host with a space": get(host=b"Host: a b\r\n"),
    "a host with a path": get(host=b"Host: a/b\r\n"),
    "a host with user": get(host=b"Host: u@a\r\n"),
    "a host with a comma": get(host=b"Host: a,b\r\n"),
    "a port that is none": get(host=b"Host: a:b\r\n"),
    "a port beyond the last": get(host=b"Host: a:65536\r\n"),
    "a host with a control byte": get(host=b"Host: a\x01\r\n"),
    "white space before a colon": get(more=b"X-A : b\r\n"),
    "white space before the host's colon": get(host=b"Host : a\r\n"),
    "a name with a space": get(more=b"X A: b\r\n"),
    "no name": get(more=b": b\r\n"),
    "no colon": get(more=b"X-A\r\n"),
    "a control byte in a name": get(more=b"X-\x01A: b\r\n"),
    "a NUL in a value": get(more=b"X-A: b\0c\r\n"),
    "a control byte in a value": get(more=b"X-A: b\x01c\r\n"),
    "CR in a value": get(more=b"X-A: b\rX-B: c\r\n"),
    "a folded value": get(more=b"X-A: b\r\n c\r\n"),
    "a value folded by a tab": get(more=b"X-A: b\r\n\tc\r\n"),
    "white space before the first field": get(host=b" X-A: b\r\nHost: a\r\n"),
    "line feeds alone": b"GET /pets HTTP/1.1\nHost: a\n\n",
    "one line feed alone": b"GET /pets HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "carriage returns alone": b"GET /pets HTTP/1.1\rHost: a\r\r\n\r\n",
    "no version": b"GET /pets/of/everybody\r\nHost: a\r\n\r\n",
    "a version to come": get(version=b"HTTP/1.2x"),
    "version 2 in words": get(version=b"HTTP/2.0"),
    "version in small letters": get(version=b"http/1.1"),
    "two spaces": b"GET  /pets HTTP/1.1\r\nHost: a\r\n\r\n",
    "white space after the version": b"GET /pets HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a method that is no token": get(method=b"G@T("),
    "no method": b" /pets HTTP/1.1\r\nHost: a\r\n\r\n",
    "an expectation nobody knows": get(more=b"Expect: banana\r\n"),
    "a connection that takes the host for itself": get(more=b"Connection: close, Host\r\n"),
    "a connection that takes the client's address": get(more=b"Connection: X-Forwarded-For\r\n"),
    "a connection's option that is no token": get(more=b'Connection: "close"\r\n'),
    "a connection with many options": get(more=b"Connection: " + b", ".join([b"x-a"] * 10) + b"\r\n"),
    "a tunnel": get(target=b"a:443", method=b"CONNECT"),
    "a tunnel to a path": get(method=b"CONNECT"),
    "a request for its own reflection": get(method=b"TRACE"),
    "the same by another name": get(method=b"TRACK"),
    "a method in small letters": get(method=b"get"),
    "a method with a small letter": get(method=b"DELETe"),
    "the preface of HTTP/2, and no HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n",
}

FRAMES = {
    "two lengths": post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"),
    "one length twice": post(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"a"),
    "a list of lengths": post(b"Content-Length: 1, 1\r\n", b"a"),
    "a length with a sign": post(b"Content-Length: +1\r\n", b"a"),
    "a length below nothing": post(b"Content-Length: -1\r\n", b"a"),
    "a length in hexadecimal": post(b"Content-Length: 0x1\r\n", b"a"),
    "a length with a fraction": post(b"Content-Length: 1.0\r\n", b"a"),
    "an empty length": post(b"Content-Length: \r\n", b"a"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551617\r\n", b"a"),
    "length and chunks": post(b"Content-Length: 1\r\n" + CHUNKED, b"1\r\na\r\n0\r\n\r\n"),
    "chunks and length": post(CHUNKED + b"Content-Length: 1\r\n", b"1\r\na\r\n0\r\n\r\n"),
    "another coding": post(b"Transfer-Encoding: gzip\r\n", b"a"),
    "identity": post(b"Transfer-Encoding: identity\r\n", b"a"),
    "a coding before chunks": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "a coding after chunks": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "chunks twice": post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "two fields of chunks": post(CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "a coding that begins alike": post(b"Transfer-Encoding: chunkedx\r\n", b"0\r\n\r\n"),
    "a vertical tab before the coding": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "a coding in quotes": post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "an empty coding": post(b"Transfer-Encoding: \r\n", b"0\r\n\r\n"),
    "white space before the coding's colon": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "chunks in HTTP/1.0": get(method=b"POST", version=b"HTTP/1.0", more=CHUNKED) + b"0\r\n\r\n",
}

# Chunked bodies that are out of form (RFC 9112 section 7.1), each with what would be an end to a lenient reader.
CHUNKS = {
    "an empty size": b"\r\n\r\n",
    "an empty size after a chunk": b"1\r\na\r\n\r\n\r\n",
    "a size below nothing": b"-1\r\na\r\n0\r\n\r\n",
    "a size with a sign": b"+1\r\na\r\n0\r\n\r\n",
    "a size with a prefix": b"0x1\r\na\r\n0\r\n\r\n",
    "a size with a fraction": b"1.0\r\na\r\n0\r\n\r\n",
    "a size of other letters": b"g\r\na\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000001\r\na\r\n0\r\n\r\n",
    "a size as large as can be": b"ffffffffffffffff\r\na\r\n0\r\n\r\n",
    "a size with many zeros": b"00000000000000001\r\na\r\n0\r\n\r\n",
    "white space before a size": b" 1\r\na\r\n0\r\n\r\n",
    "white space after a size": b"1 \r\na\r\n0\r\n\r\n",
    "a tab after a size": b"1\t\r\na\r\n0\r\n\r\n",
    "two sizes": b"1,1\r\na\r\n0\r\n\r\n",
    "a size in quotes": b'"1"\r\na\r\n0\r\n\r\n',
    "a line feed after a size": b"1\na\r\n0\r\n\r\n",
    "a carriage return after a size": b"1\ra\r\n0\r\n\r\n",
    "two carriage returns after a size": b"1\r\r\na\r\n0\r\n\r\n",
    "an extension without a size": b";a=b\r\na\r\n0\r\n\r\n",
    "a line feed in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "a carriage return in an extension": b"1;a\rb\r\na\r\n0\r\n\r\n",
    "a NUL in an extension": b"1;\0\r\na\r\n0\r\n\r\n",
    "an extension without end": b"1;" + b"a" * 9000 + b"\r\na\r\n0\r\n\r\n",
    "white space before an extension": b"1 ;a\r\na\r\n0\r\n\r\n",
    "more data than the size": b"1\r\nab\r\n0\r\n\r\n",
    "no end of data": b"1\r\na0\r\n\r\n",
    "a line feed after data": b"1\r\na\n0\r\n\r\n",
    "a line feed after the last size": b"0\n\r\n\r\n",
    "a line feed at the end": b"0\r\n\n\r\n\r\n",
    "data after the last size": b"0\r\na\r\n\r\n",
    "a trailer without a name": b"0\r\n: b\r\n\r\n",
    "white space before a trailer": b"0\r\n X-A: b\r\n\r\n",
    "white space before a trailer's colon": b"0\r\nX-A : b\r\n\r\n",
    "a line feed after a trailer": b"0\r\nX-A: b\n\r\n\r\n",
    "a folded trailer": b"0\r\nX-A: b\r\n c\r\n\r\n",
    "a NUL in a trailer": b"0\r\nX-A: b\0\r\n\r\n",
    "trailers without end": b"0\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n",
}

FRAMES |= {f"chunks: {name}": post(CHUNKED, body) for name, body in CHUNKS.items()}

CASES = {name: get(target=target) for name, target in TARGETS.items()} | HEADS | FRAMES

# Refused by admission, and not by the proxy below, which would have a permit in hand by then.
CONNECTIONS = [case for case in HEADS if case.startswith("a connection")]

# What each listener takes, so that a refusal is the case's and not the suite's.
TAKEN = {
    "a plain request": get(),
    "an escape that is needed": get(target=b"/pets/a%20b"),
    "a dot within a name": get(target=b"/pets/a.b..c"),
    "a query of anything": get(target=b"/pets?a=/../%2f;b//"),
    "absolute form of the same host": get(target=b"http://a/pets"),
    "a length": post(b"Content-Length: 1\r\n", b"a"),
    "chunks": post(CHUNKED, b"1\r\na\r\n0\r\n\r\n"),
    "the coding in capitals": post(b"Transfer-Encoding: Chunked\r\n", b"1\r\na\r\n0\r\n\r\n"),
    "an expectation that is known": post(b"Expect: 100-continue\r\nContent-Length: 0\r\n"),
    "an empty value": get(more=b"X-A:\r\n"),
    "chunks with extensions": post(CHUNKED, b'1;a;b="c d"\r\na\r\n0;e\r\n\r\n'),
    "chunks with trailers": post(CHUNKED, b"1\r\na\r\n0\r\nX-A: b\r\n\r\n"),
    "a size with zeros": post(CHUNKED, b"0001\r\na\r\n000\r\n\r\n"),
}

# Another status is the right one: the version or the method is not supported.
OTHER_STATUS = {
    "version 2 in words": {505},
    "a version to come": {505},
    "a tunnel": {405},
    "a tunnel to a path": {405},
    "a request for its own reflection": {405},
    "the same by another name": {405},
    "a method in small letters": {405},
    "a method with a small letter": {405},
    "the preface of HTTP/2, and no HTTP/2": {505},
}


# What is wrong with them is not there when their heads are read.
LATE = {"chunks: an extension without end", "chunks: trailers without end"}


def assert_nothing(origin, case):
    """No request reached the origin; of what broke later no more than a head, which is no request without its end."""
    got = origin.take()
    assert got == b"" or case in LATE
    assert got.count(b"\r\n\r\n") <= 1 and b"/second" not in got


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", CASES)
def test_what_has_two_readings_is_refused(ports, origin, listener, case):
    origin.take()
    port, tls = ports[listener]
    # The origin answers heads, so its answer may be there before what is wrong.
    others = {200} if case in LATE else OTHER_STATUS.get(case, set())
    if case not in LATE:
        assert ask(port, CASES[case], tls) in {400} | others
    else:
        assert status(ask_all(port, CASES[case], tls)) in {400} | others
        wait_until(origin.is_settled, "all that was handed on before the break")
    assert_nothing(origin, case)


@pytest.mark.parametrize("case", CONNECTIONS)
def test_a_connection_is_refused_for_what_it_is(ports, case):
    assert b'"code":"connection_invalid"' in ask_all(ports["plain"][0], CASES[case] + get(more=b"Connection: close\r\n"))


@pytest.mark.parametrize("case", FRAMES)
def test_what_follows_a_body_without_an_end_is_no_request(ports, origin, case):
    origin.take()
    answers = ask_all(ports["plain"][0], FRAMES[case] + get(b"/second"))
    assert answers.count(b"HTTP/1.1 ") <= 1
    assert_nothing(origin, case)


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", CHUNKS)
def test_a_chunk_that_comes_late_ends_the_message(ports, origin, listener, case):
    """Head and first chunk are on their way; the body that breaks after them never comes to an end."""
    origin.take()
    port, tls = ports[listener]
    with connect(port, tls, ["http/1.1"]) as connection:
        connection.sendall(post(CHUNKED, b"1\r\na\r\n"))
        wait_until(lambda: b"\r\n\r\n1\r\na" in origin.peek(), "the body has begun")
        connection.sendall(CHUNKS[case] + get(b"/second"))
        answers = rest(connection)
    got = origin.take()
    assert answers.count(b"HTTP/1.1 ") <= 1
    assert b"0\r\n\r\n" not in got and b"/second" not in got


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", TAKEN)
def test_what_has_one_reading_is_taken(ports, origin, listener, case):
    origin.take()
    port, tls = ports[listener]
    assert ask(port, TAKEN[case], tls) in {200, 100}
    assert origin.take() != b""


@pytest.mark.parametrize("case", CASES)
def test_a_naive_proxy_hands_it_on(naive, naive_origin, case):
    """Each case is able to fail."""
    naive_origin.take()
    ask(naive.port, CASES[case])
    assert naive_origin.take() != b""


PSEUDO = {b":method": b"GET", b":scheme": b"http", b":authority": b"a", b":path": b"/pets"}


def h2(*more, body=None, **changed):
    """A request with pseudo-header fields changed (`None` leaves one out) and others after them."""
    pseudo = PSEUDO | {b":" + name.encode(): value for name, value in changed.items()}
    pairs = [(name, value) for name, value in pseudo.items() if value is not None]
    return h2_request(pairs + list(more), body)


# Without a fragment, which the parser takes away before anybody reads it.
H2_TARGETS = {name: target for name, target in TARGETS.items() if name != "fragment"}

H2_CASES = {f"path: {name}": h2(path=target) for name, target in H2_TARGETS.items()} | {
    "no path": h2(path=None),
    "no method": h2(method=None),
    "no scheme": h2(scheme=None),
    "no authority": h2(authority=None),
    "two paths": h2_request([*PSEUDO.items(), (b":path", b"/admin")]),
    "two authorities": h2_request([*PSEUDO.items(), (b":authority", b"b")]),
    "a pseudo-header after others": h2_request([(b":method", b"GET"), (b"x-a", b"b"), (b":path", b"/pets"), (b":scheme", b"http"), (b":authority", b"a")]),
    "a pseudo-header nobody knows": h2((b":x", b"b")),
    "a response's pseudo-header": h2((b":status", b"200")),
    "an empty authority": h2(authority=b""),
    "an authority with user": h2(authority=b"u@a"),
    "an authority with a path": h2(authority=b"a/b"),
    "another host": h2((b"host", b"b")),
    "two hosts": h2((b"host", b"a"), (b"host", b"a")),
    "a name in capitals": h2((b"X-A", b"b")),
    "a name with a space": h2((b"x a", b"b")),
    "a name with a colon": h2((b"x:a", b"b")),
    "a name with a line end": h2((b"x-a: b\r\nx-b", b"c")),
    "an empty name": h2((b"", b"b")),
    "a line end in a value": h2((b"x-a", b"b\r\nx-b: c")),
    "a line feed in a value": h2((b"x-a", b"b\nx-b: c")),
    "a NUL in a value": h2((b"x-a", b"b\0c")),
    "a blank before a value": h2((b"x-a", b" b")),
    "a tab after a value": h2((b"x-a", b"b\t")),
    "a line end in a path": h2(path=b"/pets HTTP/1.1\r\nx-a: b\r\n\r\nGET /admin"),
    "a line end in a method": h2(method=b"GET /admin HTTP/1.1\r\nx-a: b\r\n\r\nGET"),
    "a line end in an authority": h2(authority=b"a\r\nx-a: b"),
    "a method that is no token": h2(method=b"G@T("),
    "a transfer coding": h2((b"transfer-encoding", b"chunked"), method=b"POST", body=b"0\r\n\r\n"),
    "a connection's header": h2((b"connection", b"x-a")),
    "keep-alive": h2((b"keep-alive", b"timeout=5")),
    "a proxy's connection": h2((b"proxy-connection", b"keep-alive")),
    "an upgrade": h2((b"upgrade", b"h2c")),
    "te of another kind": h2((b"te", b"gzip")),
    "two lengths": h2((b"content-length", b"1"), (b"content-length", b"2"), method=b"POST", body=b"a"),
    "a length with a sign": h2((b"content-length", b"+1"), method=b"POST", body=b"a"),
    "an expectation nobody knows": h2((b"expect", b"banana")),
    "a tunnel": h2(method=b"CONNECT", path=None, scheme=None, authority=b"a:443"),
    "a tunnel for another protocol": h2((b":protocol", b"websocket"), method=b"CONNECT"),
    "a request for its own reflection": h2(method=b"TRACE"),
    "a method in small letters": h2(method=b"get"),
    "a method with a small letter": h2(method=b"DELETe"),
}  # fmt: skip


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", H2_CASES)
def test_what_has_two_readings_is_refused_over_http_2(ports, origin, listener, case):
    origin.take()
    port, tls = ports[listener]
    answer = ask_h2(port, H2_CASES[case], tls)
    assert answer != 200
    assert answer is None or answer == 400 or case in OTHER_STATUS
    assert origin.take() == b""


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_what_has_one_reading_is_taken_over_http_2(ports, origin, listener):
    origin.take()
    port, tls = ports[listener]
    for request in [h2(), h2((b"te", b"trailers")), h2((b"host", b"a")), h2((b"content-length", b"1"), method=b"POST", body=b"a")]:
        assert ask_h2(port, request, tls) == 200
        assert origin.take().startswith((b"GET /pets HTTP/1.1\r\n", b"POST /pets HTTP/1.1\r\n"))


@pytest.mark.parametrize("case", H2_CASES)
def test_a_naive_proxy_hands_it_on_over_http_2(naive, naive_origin, case):
    """Each case is able to fail."""
    naive_origin.take()
    ask(naive.port, H2_CASES[case])
    assert naive_origin.take() != b""

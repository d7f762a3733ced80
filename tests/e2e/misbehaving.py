"""Upstreams that misbehave over HTTP/1.1: what they answer, octet by octet, and what a caller may be told of it."""

import itertools
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from wire import RawServer, read_head, skip_body

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

# What an origin does besides sending octets.
CLOSE, RESET = "close", "reset"


@dataclass(frozen=True)
class Answer:
    """An answer that is handed on: whole, or only up to where it breaks off."""

    status: int = 200
    body: bytes = b"abcd"
    is_whole: bool = True


@dataclass(frozen=True)
class Refusal:
    code: str = "upstream_invalid"
    status: int = 502


INVALID = (Refusal(),)
BREAKS = (Answer(body=b"abcd", is_whole=False),)
PASSES = (Answer(),)


@dataclass
class Case:
    """What an origin does with a request, and each of the things that its caller may be told."""

    name: str
    steps: list[Any]
    told: tuple = INVALID
    method: bytes = b"GET"
    # The connection may serve another request: nothing was wrong with how its answer ended.
    may_go_on: bool = False
    # Asked again, it answers well.
    once: bool = False
    # It says that it has not begun with the request (RFC 9113 section 8.7), which may be sent again whatever it is.
    is_unprocessed: bool = False

    @property
    def path(self):
        return "/" + "".join(letter if letter.isalnum() else "-" for letter in self.name)

    def __str__(self):
        return self.name


class Misbehaving(RawServer):
    """Answers `/well` well, and what is at a case's path as the case says, after the body."""

    def __init__(self, cases):
        self.cases = {case.path.encode(): case for case in cases}
        self.numbers = itertools.count()
        # Which connection each request came on.
        self.asked = []
        super().__init__()

    def serve(self, connection):
        number = next(self.numbers)
        with connection.makefile("rb") as lines:
            while head := read_head(lines):
                skip_body(head, lines)
                path = head[0].split()[1]
                self.asked.append((path.decode(), number))
                for step in self.cases[path].steps if path in self.cases else [WELL]:
                    if not self.take(step, connection):
                        return

    def take(self, step, connection):
        """Takes a step of an answer; whether there may be another one."""
        if step == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if step in (CLOSE, RESET):
            return False
        for octets in [step] if isinstance(step, bytes) else step():
            connection.sendall(octets)
        return True

    def times(self, path):
        """How often it was asked for this."""
        return sum(asked == path for asked, _ in list(self.asked))

    def on(self, path):
        """The connections on which it was asked for this."""
        return {number for asked, number in list(self.asked) if asked == path}


def endless(octets):
    """The same again and again, for as long as anybody takes it."""
    return lambda: itertools.repeat(octets)


def dripping(octets):
    """The same again and again, slowly."""

    def drip():
        while True:
            yield octets
            time.sleep(0.1)

    return drip


def head(*fields, first=b"HTTP/1.1 200 OK"):
    return b"".join(line + b"\r\n" for line in (first, *fields)) + b"\r\n"


def with_field(field):
    return head(b"Content-Length: 4", field) + b"abcd"


LENGTH = head(b"Content-Length: 8")
CHUNKS = head(b"Transfer-Encoding: chunked")
NONE = (Answer(body=b""),)

CASES = [
    # What ends before it is whole
    Case("closes at once", [CLOSE]),
    Case("resets at once", [RESET]),
    Case("closes in the first line", [b"HTTP/1.1 20", CLOSE]),
    Case("closes in the head", [b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE]),
    Case("resets in the head", [b"HTTP/1.1 200 OK\r\nContent-Le", RESET]),
    Case("closes after an interim answer", [b"HTTP/1.1 103 Early Hints\r\n\r\n", CLOSE]),
    Case("resets after an interim answer", [b"HTTP/1.1 103 Early Hints\r\n\r\n", RESET]),
    Case("closes behind the head", [LENGTH, CLOSE], (Answer(body=b"", is_whole=False),)),
    Case("closes in a body", [LENGTH + b"abcd", CLOSE], BREAKS),
    Case("resets in a body", [LENGTH + b"abcd", RESET], BREAKS),
    Case("closes in chunks", [CHUNKS + b"4\r\nabcd\r\n", CLOSE], BREAKS),
    Case("resets in chunks", [CHUNKS + b"4\r\nabcd\r\n", RESET], BREAKS),
    Case("closes in a chunk", [CHUNKS + b"8\r\nabcd", CLOSE], BREAKS),
    Case("closes in a chunk's size", [CHUNKS + b"4\r\nabcd\r\n1", CLOSE], BREAKS),
    Case("closes behind the last chunk", [CHUNKS + b"4\r\nabcd\r\n0\r\n", CLOSE], BREAKS + PASSES),
    Case("closes where that is the end", [head() + b"abcd", CLOSE], PASSES),
    Case("resets where a close is the end", [head() + b"abcd", RESET], BREAKS),
    # What is no answer
    Case("nothing but zeroes", [bytes(1000)]),
    Case("an alert of TLS", [b"\x15\x03\x01\x00\x02\x02\x28", CLOSE]),
    Case("a greeting of SSH", [b"SSH-2.0-OpenSSH_9.2\r\n", CLOSE]),
    Case("a greeting of SMTP", [b"220 mail.example.com ESMTP\r\n"]),
    Case("frames of HTTP 2", [b"\0\0\0\x04\0\0\0\0\0", CLOSE]),
    Case("a page alone", [b"<html><body>hello</body></html>", CLOSE]),
    Case("a page with lines", [b"<html>\r\n\r\n<body>hello</body></html>\r\n\r\n", CLOSE]),
    Case("a request", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]),
    Case("version 2 in a line", [head(b"Content-Length: 4", first=b"HTTP/2 200 OK") + b"abcd"]),
    Case("version 1.2", [head(b"Content-Length: 4", first=b"HTTP/1.2 200 OK") + b"abcd"]),
    Case("small letters", [head(b"Content-Length: 4", first=b"http/1.1 200 OK") + b"abcd"]),
    *(
        Case(f"status {status}", [head(b"Content-Length: 4", first=b"HTTP/1.1 " + status.encode() + b" No") + b"abcd"])
        for status in ("000", "099", "99", "1000", "abc", "-20", "2 0", "20a", "")
    ),
    *(
        Case(f"status {status}", [head(b"Content-Length: 4", first=b"HTTP/1.1 %d No" % status) + b"abcd"],
             (Answer(status), *INVALID), may_go_on=True)
        for status in (600, 999)
    ),
    # Heads out of form, or out of bounds
    *(
        Case(name, [with_field(field)])
        for name, field in {
            "a NUL in a value": b"X-A: a\0b", "a control in a value": b"X-A: a\x01b", "a delete in a value": b"X-A: a\x7fb",
            "a CR in a value": b"X-A: a\rb", "a NUL in a name": b"X\0A: a", "a blank in a name": b"X A: a",
            "a name without a colon": b"X-A", "a field without a name": b": a", "a control in a name": b"X\x01A: a",
            "over a mebibyte": b"X-A: " + b"a" * 1_200_000, "three hundred fields": b"\r\n".join(b"X-%d: a" % at for at in range(300)),
        }.items()
    ),
    Case("a head without end", [b"HTTP/1.1 200 OK\r\n", endless(b"X-A: " + b"a" * 60_000 + b"\r\n")]),
    Case("a line without end", [b"HTTP/1.1 200 OK\r\nX-A: ", endless(b"a" * 60_000)]),
    # How long its body is
    *(
        Case(f"length {length!r}", [head(b"Content-Length: " + length) + b"abcd"])
        for length in (b"-4", b"+4", b"4a", b"0x4", b"", b"4 4", b"4.0", b"18446744073709551616", b"4, 5", b"9" * 400)
    ),
    Case("two lengths", [head(b"Content-Length: 4", b"Content-Length: 5") + b"abcd"]),
    Case("two lengths, one of them none", [head(b"Content-Length: 4", b"Content-Length: x") + b"abcd"]),
    *(
        Case(f"coding {coding!r}", [head(b"Transfer-Encoding: " + coding) + b"4\r\nabcd\r\n0\r\n\r\n"])
        for coding in (b"gzip", b"identity", b"chunked, identity", b"xchunked", b"chunked;a=b", b"")
    ),
    Case("a length and chunks", [head(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"4\r\nabcd\r\n0\r\n\r\n"],
         PASSES + INVALID, may_go_on=True),
    Case("a length and chunks that differ", [head(b"Content-Length: 1", b"Transfer-Encoding: chunked") + b"4\r\nabcd\r\n0\r\n\r\n"],
         PASSES + INVALID, may_go_on=True),
    *(
        Case(f"chunk size {size[:20]!r}", [CHUNKS + b"4\r\nabcd\r\n" + size + b"\r\nabcd\r\n0\r\n\r\n"], BREAKS)
        for size in (b"ZZ", b"-4", b"+4", b"0x4", b" 4", b"4 4", b"1" * 17, b"f" * 16, b"4\n", b"4;" + b"a" * 100_000)
    ),
    Case("a chunk that is longer than it says", [CHUNKS + b"4\r\nabcd\r\n4\r\nabcdabcd\r\n0\r\n\r\n"],
         (Answer(body=b"abcd", is_whole=False), Answer(body=b"abcdabcd", is_whole=False))),
    Case("a chunk that is shorter than it says", [CHUNKS + b"4\r\nabcd\r\n8\r\nabcd\r\n0\r\n\r\n"],
         (Answer(body=b"abcd", is_whole=False), Answer(body=b"abcdabcd\r\n0\r", is_whole=False))),
    # More than an answer
    Case("two answers", [WELL.replace(b"well", b"abcd") + EVIL], PASSES),
    Case("more than its length", [WELL.replace(b"well", b"abcd") + b"efgh"], PASSES),
    Case("more than its chunks", [CHUNKS + b"4\r\nabcd\r\n0\r\n\r\n" + EVIL], PASSES),
    Case("204 with a body", [head(first=b"HTTP/1.1 204 No Content") + EVIL], (Answer(204, b""),)),
    Case("204 with a length", [head(b"Content-Length: 43", first=b"HTTP/1.1 204 No Content") + EVIL], (Answer(204, b""),)),
    Case("204 with chunks", [head(b"Transfer-Encoding: chunked", first=b"HTTP/1.1 204 No Content") + b"4\r\nabcd\r\n0\r\n\r\n"],
         (Answer(204, b""),)),
    Case("304 with a body", [head(b"Content-Length: 43", first=b"HTTP/1.1 304 Not Modified") + EVIL], (Answer(304, b""),)),
    Case("HEAD with a body", [head(b"Content-Length: 43") + EVIL], NONE, method=b"HEAD"),
    Case("HEAD with chunks", [CHUNKS + b"4\r\nabcd\r\n0\r\n\r\n"], NONE, method=b"HEAD"),
    # Interim answers, and another protocol
    Case("103 without end", [endless(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")]),
    Case("102 without end", [endless(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)]),
    Case("100 without end", [endless(b"HTTP/1.1 100 Continue\r\n\r\n")]),
    Case("100 unasked", [b"HTTP/1.1 100 Continue\r\n\r\n" + WELL.replace(b"well", b"abcd")], PASSES, may_go_on=True),
    Case("101 unasked", [head(b"Connection: upgrade", b"Upgrade: websocket", first=b"HTTP/1.1 101 Switching Protocols") + EVIL]),
    Case("101 without a word", [head(first=b"HTTP/1.1 101 Switching Protocols")]),
    # What is out of form and harmless, or may be refused
    Case("trailers", [CHUNKS + b"4\r\nabcd\r\n0\r\nX-Evil: evil\r\nContent-Length: 9\r\n\r\n"], PASSES, may_go_on=True),
    Case("trailers out of form", [CHUNKS + b"4\r\nabcd\r\n0\r\nno trailer\0\r\n\r\n"], PASSES + BREAKS, may_go_on=True),
    Case("trailers without end", [CHUNKS + b"4\r\nabcd\r\n0\r\n", endless(b"X-A: " + b"a" * 60_000 + b"\r\n")], PASSES + BREAKS),
    Case("line feeds alone", [b"HTTP/1.1 200 OK\nContent-Length: 4\n\nabcd"], PASSES + INVALID, may_go_on=True),
    Case("a blank before the colon", [b"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nabcd"], PASSES + INVALID, may_go_on=True),
    Case("a folded field", [with_field(b"X-A: a\r\n b")], PASSES + INVALID, may_go_on=True),
    Case("empty lines first", [b"\r\n\r\n" + WELL.replace(b"well", b"abcd")], PASSES + INVALID, may_go_on=True),
    Case("a blank first", [b" " + WELL]),
    Case("no reason", [head(b"Content-Length: 4", first=b"HTTP/1.1 200") + b"abcd"], PASSES, may_go_on=True),
    Case("a control in the reason", [head(b"Content-Length: 4", first=b"HTTP/1.1 200 O\x01K") + b"abcd"], PASSES + INVALID, may_go_on=True),
    Case("a close that does not come", [head(b"Content-Length: 4", b"Connection: close") + b"abcd"], PASSES),
    Case("version 1.0 and open", [head(b"Content-Length: 4", first=b"HTTP/1.0 200 OK") + b"abcd"], PASSES),
    Case("version 1.0 in chunks", [head(b"Transfer-Encoding: chunked", b"Connection: keep-alive", first=b"HTTP/1.0 200 OK")
         + b"4\r\nabcd\r\n0\r\n\r\n"], PASSES + INVALID),
]  # fmt: skip

# Slower than the route's `timeouts` allow: the connection stays open, and nothing or little more comes.
TIMEOUT = (Refusal("upstream_timeout", 504),)
DRIPS = (Answer(body=b"a" * 1000, is_whole=False),)
SLOW = [
    Case("never answers", [], TIMEOUT),
    Case("stops in a head", [b"HTTP/1.1 200 OK\r\nContent-Le"], TIMEOUT),
    Case("stops after an interim answer", [b"HTTP/1.1 103 Early Hints\r\n\r\n"], TIMEOUT),
    Case("drips a head", [b"HTTP/1.1 200 OK\r\n", dripping(b"X-A: a\r\n")], TIMEOUT),
    Case("drips interim answers", [dripping(b"HTTP/1.1 103 Early Hints\r\n\r\n")], INVALID + TIMEOUT),
    Case("stops in a body", [LENGTH + b"abcd"], BREAKS),
    Case("stops in a chunk", [CHUNKS + b"8\r\nabcd"], BREAKS),
    Case("drips a body", [head(b"Content-Length: 1000"), dripping(b"a")], DRIPS),
    Case("drips chunks", [CHUNKS, dripping(b"1\r\na\r\n")], DRIPS),
]

# In order, and closed after a second without a request.
KEPT = Case("kept for a second", [head(b"Content-Length: 4", b"Connection: keep-alive", b"Keep-Alive: timeout=1") + b"abcd"], PASSES)

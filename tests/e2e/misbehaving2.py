"""Upstreams that misbehave over HTTP/2: what they answer, frame by frame, and what a caller may be told of it."""

import itertools
import struct

from hpack import Decoder
from misbehaving import BREAKS, CLOSE, DRIPS, INVALID, PASSES, RESET, TIMEOUT, Answer, Case, Misbehaving, dripping
from wire import (
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, fields, frame, frames,
)  # fmt: skip

MAX_CONCURRENT_STREAMS = 3


class Misbehaving2(Misbehaving):
    """As its other version does, once it has greeted who connects."""

    def __init__(self, cases, greeting=()):
        self.greeting = greeting
        super().__init__(cases)

    def serve(self, connection):
        number = next(self.numbers)
        for step in self.greeting:
            if not self.take(step, connection):
                return
        data, decoder, paths = b"", Decoder(), {}
        while len(data) < len(PREFACE):
            data += self.more(connection)
        data = data[len(PREFACE) :]
        # One request at a time, as what one does to its connection others are not to see.
        connection.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", MAX_CONCURRENT_STREAMS, 1)))
        while True:
            for kind, flags, stream, payload in frames(data):
                data = data[9 + len(payload) :]
                if kind == HEADERS:
                    paths[stream] = dict(decoder.decode(payload))[":path"]
                if kind == SETTINGS and not flags & ACK:
                    connection.sendall(frame(SETTINGS, ACK, 0))
                if kind in (HEADERS, DATA) and flags & END_STREAM:
                    path = paths[stream]
                    self.asked.append((path, number))
                    case = self.cases.get(path.encode())
                    is_well = not case or (case.once and self.times(path) > 1)
                    for step in WELL if is_well else case.steps:
                        if not self.take(step, connection, stream):
                            return
            data += self.more(connection)

    def more(self, connection):
        data = connection.recv(65536)
        if not data:
            raise OSError("the gate has left")
        return data

    def take(self, step, connection, stream=0):
        return super().take(step(stream) if callable(step) else step, connection)


def head(*pairs, status=b"200", end=False, flags=END_HEADERS):
    block = fields([(b":status", status), *pairs] if status else pairs)
    return lambda stream: frame(HEADERS, flags | (END_STREAM if end else 0), stream, block)


def block(octets):
    """A head that is these octets."""
    return lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, octets)


def data(octets, end=False, flags=0):
    return lambda stream: frame(DATA, flags | (END_STREAM if end else 0), stream, octets)


def reset(code):
    return lambda stream: frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last, code=0):
    """A word of farewell behind this stream, or behind the one at hand."""
    return lambda stream: frame(GOAWAY, 0, 0, struct.pack(">II", stream if last is None else last, code))


def raw(kind, flags, payload, on=None):
    return lambda stream: frame(kind, flags, stream if on is None else on, payload)


def endless(step):
    return lambda stream: (lambda: itertools.repeat(step(stream)))


WELL = [head((b"content-length", b"4")), data(b"well", end=True)]
EVIL = [head((b"content-length", b"4")), data(b"evil", end=True)]
ABCD = [head((b"content-length", b"4")), data(b"abcd", end=True)]
HALF = [head((b"content-length", b"8")), data(b"abcd")]
OPEN = [head(), data(b"abcd")]
NOTHING = (Answer(body=b"", is_whole=False),)
# RFC 9113 section 7, and one that is not there.
CODES = [*range(14), 0xFF]

CASES = [
    # What ends before it is whole
    Case("closes at once", [CLOSE]),
    Case("resets the connection at once", [RESET]),
    Case("closes in a frame's head", [lambda stream: b"\0\0", CLOSE]),
    Case("closes in a head", [lambda stream: head()(stream)[:-1], CLOSE]),
    Case("closes behind a head", [head(), CLOSE], NOTHING),
    Case("closes in a body", [*HALF, CLOSE], BREAKS),
    Case("closes in a body without a length", [*OPEN, CLOSE], BREAKS),
    Case("resets the connection in a body", [*OPEN, RESET], BREAKS),
    *(Case(f"resets with {code}", [reset(code)], may_go_on=True, is_unprocessed=code == 7) for code in CODES),
    *(Case(f"resets with {code} in a body", [*OPEN, reset(code)], BREAKS, may_go_on=True) for code in CODES),
    *(Case(f"resets with {code} after the answer", [*ABCD, reset(code)], PASSES, may_go_on=True) for code in (0, 2)),
    Case("goes away before it answers", [goaway(0), CLOSE], is_unprocessed=True),
    Case("goes away before it answers and stays", [goaway(0)], is_unprocessed=True),
    Case("goes away with a fault", [goaway(0, 1), CLOSE]),
    Case("goes away and answers", [goaway(None), *ABCD], PASSES),
    Case("goes away in a body and finishes it", [*HALF, goaway(None), data(b"efgh", end=True)], (Answer(body=b"abcdefgh"),)),
    Case("goes away in a body and closes", [*HALF, goaway(None), CLOSE], BREAKS),
    Case("goes away in a body that it does not know", [*OPEN, goaway(0)], BREAKS),
    Case("goes away in a body for a fault", [*OPEN, goaway(None, 2), CLOSE], BREAKS),
    # Frames that may not be
    Case("a head in too long a frame", [head((b"x", b"a" * 70_000))]),
    Case("too long a frame of data", [head(), data(b"a" * 70_000, end=True)], NOTHING),
    Case("the longest frame", [lambda stream: b"\xff\xff\xff\0\0" + struct.pack(">I", stream), endless(lambda _: b"a" * 65536)]),
    Case("data before a head", [data(b"abcd", end=True)]),
    Case("data on no stream", [raw(DATA, 0, b"abcd", on=0)]),
    Case("a head on no stream", [raw(HEADERS, END_HEADERS, fields([(b":status", b"200")]), on=0)]),
    Case("a head on a stream that nobody began", [raw(HEADERS, END_HEADERS, fields([(b":status", b"200")]), on=99)]),
    Case("data on a stream that nobody began", [raw(DATA, 0, b"abcd", on=99)]),
    Case("a reset of a stream that nobody began", [raw(RST_STREAM, 0, bytes(4), on=99)]),
    Case("a push", [raw(PUSH_PROMISE, END_HEADERS, struct.pack(">I", 2) + fields([(b":method", b"GET")]))]),
    Case("a continuation of nothing", [raw(CONTINUATION, END_HEADERS, b"")]),
    Case("a head that something else interrupts", [head(flags=0), raw(PING, 0, bytes(8), on=0)]),
    Case("a head without end", [head(flags=0), endless(lambda stream: frame(CONTINUATION, 0, stream, fields([(b"x", b"a" * 16_000)])))]),
    Case("a head of empty pieces without end", [head(flags=0), endless(lambda stream: frame(CONTINUATION, 0, stream) * 1000)]),
    Case("padding that is longer than the frame", [head(), data(b"\xffabcd", flags=8)], NOTHING),
    Case("a reset of another length", [raw(RST_STREAM, 0, b"\0")]),
    Case("a ping of another length", [raw(PING, 0, b"\0", on=0)]),
    Case("settings of another length", [raw(SETTINGS, 0, b"\0", on=0)]),
    Case("settings of a stream", [raw(SETTINGS, 0, b"")]),
    Case("acknowledged settings that say something", [raw(SETTINGS, ACK, bytes(6), on=0)]),
    Case("a window that is too large", [raw(SETTINGS, 0, struct.pack(">HI", 4, 2**31), on=0)]),
    Case("frames that are too small", [raw(SETTINGS, 0, struct.pack(">HI", 5, 16_383), on=0)]),
    Case("a window that grows by nothing", [raw(WINDOW_UPDATE, 0, bytes(4), on=0)]),
    Case("a window that grows too much", [raw(WINDOW_UPDATE, 0, struct.pack(">I", 2**31 - 1), on=0)]),
    # Heads out of form
    *(
        Case(f"compressed badly, {octets.hex()}", [block(octets)])
        for octets in (b"\x80", b"\xff\xff\xff\xff\xff\xff\xff", b"\xbf", b"\x40\x85", b"\x40\x81\xff\x00", b"\x88\x3f\xe1\xff\x03", b"\x88\x20")
    ),
    *(
        Case(name, [lambda stream, pairs=pairs: frame(HEADERS, END_HEADERS | END_STREAM, stream, fields(pairs))], may_go_on=True)
        for name, pairs in {
            "no status": [(b"x", b"a")], "an empty head": [], "two statuses": [(b":status", b"200"), (b":status", b"500")],
            "a status that is none": [(b":status", b"abc")], "status 99": [(b":status", b"99")], "status 1000": [(b":status", b"1000")],
            "a status of nothing": [(b":status", b"")], "a status behind a field": [(b"x", b"a"), (b":status", b"200")],
            "a request": [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")],
            "an unknown pseudo field": [(b":status", b"200"), (b":x", b"a")],
            "a name in capitals": [(b":status", b"200"), (b"X-A", b"a")], "a name with a blank": [(b":status", b"200"), (b"x a", b"a")],
            "no name": [(b":status", b"200"), (b"", b"a")], "a NUL in a value": [(b":status", b"200"), (b"x", b"a\0b")],
            "two lines in a value": [(b":status", b"200"), (b"x", b"a\r\nx-evil: evil")],
            "a line feed in a value": [(b":status", b"200"), (b"x", b"a\nx-evil: evil")],
            "a connection field": [(b":status", b"200"), (b"connection", b"close")],
            "a coding": [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
            "two lengths": [(b":status", b"200"), (b"content-length", b"0"), (b"content-length", b"4")],
            "a length below nothing": [(b":status", b"200"), (b"content-length", b"-4")],
            "101": [(b":status", b"101")],
        }.items()
    ),
    # Bodies that are not as long as they say
    Case("less than its length", [head((b"content-length", b"8")), data(b"abcd", end=True)], BREAKS + INVALID, may_go_on=True),
    Case("more than its length", [head((b"content-length", b"2")), data(b"abcd", end=True)],
         (Answer(body=b"", is_whole=False), Answer(body=b"ab", is_whole=False), *INVALID), may_go_on=True),
    Case("a length without a body", [head((b"content-length", b"8"), end=True)], (*NOTHING, *INVALID), may_go_on=True),
    Case("an answer behind its end", [*ABCD, *EVIL], PASSES, may_go_on=True),
    Case("data behind its end", [*ABCD, data(b"evil", end=True)], PASSES, may_go_on=True),
    Case("204 with a body", [head(status=b"204"), data(b"evil", end=True)], (Answer(204, b""), Answer(204, b"", False), *INVALID), may_go_on=True),
    Case("HEAD with a body", [head((b"content-length", b"4")), data(b"evil", end=True)], (Answer(body=b""), Answer(body=b"", is_whole=False)),
         method=b"HEAD", may_go_on=True),
    # What is in order
    Case("trailers", [head(), data(b"abcd"), head((b"x-end", b"1"), status=None, end=True)], PASSES, may_go_on=True),
    Case("trailers with a status", [head(), data(b"abcd"), head(end=True)], PASSES + BREAKS, may_go_on=True),
    Case("trailers without an end", [head(), data(b"abcd"), head((b"x", b"a"), status=None)], BREAKS, may_go_on=True),
    Case("103 first", [head(status=b"103"), *ABCD], PASSES, may_go_on=True),
    Case("an unknown frame", [raw(0xBE, 0xFF, b"what?"), *ABCD], PASSES, may_go_on=True),
    Case("a priority", [raw(2, 0, bytes(5)), *ABCD], PASSES, may_go_on=True),
    Case("padding", [head(), data(b"\x03abcd\0\0\0", end=True, flags=8)], PASSES, may_go_on=True),
]  # fmt: skip

SLOW = [
    Case("never answers", [], TIMEOUT),
    Case("stops in a head", [head(flags=0)], TIMEOUT),
    Case("stops after an interim answer", [head(status=b"103")], TIMEOUT),
    Case("drips a head", [head(flags=0), lambda stream: dripping(frame(CONTINUATION, 0, stream, fields([(b"x", b"a")])))], TIMEOUT),
    Case("drips interim answers", [lambda stream: dripping(head(status=b"103")(stream))], INVALID + TIMEOUT),
    Case("drips pings", [lambda stream: dripping(frame(PING, 0, 0, bytes(8)))], TIMEOUT),
    Case("stops in a body", HALF, BREAKS),
    Case("drips a body", [head(), lambda stream: dripping(frame(DATA, 0, stream, b"a"))], DRIPS),
    Case("drips nothing", [*OPEN, lambda stream: dripping(frame(DATA, 0, stream))], BREAKS),
]

# What a server says who has not begun with a request, and would with another.
ONCE = [
    Case("refuses a stream once", [reset(7)], once=True),
    Case("goes away once", [goaway(0)], once=True),
    Case("goes away and closes once", [goaway(0), CLOSE], once=True),
]

# What is done instead of speaking HTTP/2.
GREETINGS = {
    "closes": [CLOSE], "resets": [RESET], "speaks-http-1": [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", CLOSE],
    "speaks-ssh": [b"SSH-2.0-OpenSSH_9.2\r\n", CLOSE], "goes-away": [frame(SETTINGS, 0, 0) + frame(GOAWAY, 0, 0, bytes(8)), CLOSE],
}  # fmt: skip

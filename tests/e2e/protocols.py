"""What the protocols do that pass the gate: for each its origin, and its caller, who calls `middle` in the middle of it and is
told whether to go on."""

import base64
import contextlib
import hashlib
import json
import ssl
import struct
import threading

import grpc
import websockets.exceptions
from websockets.sync.client import connect as connect_socket

import ends
from line import PATIENCE, Broken

FINISHES, ENDS = "finishes", "ends"
FIRST, LAST = b"the first half;" * 1000, b"the second half;" * 1000


class Refused(Exception):
    """The gate's own answer, in the form of the protocol."""


class Over(Exception):
    """A stream that the gate ended in the protocol's own way."""


class Cue:
    """One exchange as its test directs it: what the origin does in the middle, and when."""

    def __init__(self):
        self.seen, self.go = threading.Event(), threading.Event()
        # How the origin ends the exchange in its middle.
        self.end = None

    def middle(self, exchange):
        assert self.go.wait(PATIENCE), "nobody lets it on"
        if self.end:
            exchange.cut(reset=self.end == "reset")
            raise Broken("as it was told")


class Stage:
    """Where a caller plays: the way to a gate, and whose word counts for its certificate."""

    def __init__(self, port, version, tls, roots):
        self.port, self.version, self.tls, self.roots = port, version, tls, roots

    def open(self):
        return ends.call(self.port, self.version, self.tls)

    def channel(self):
        target = f"localhost:{self.port}"
        # Else calls would share connections.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if not self.tls:
            return grpc.insecure_channel(target, options)
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(self.roots), options)


def bearer(token):
    return [("authorization", f"Bearer {token}")] if token else []


def answered(exchange):
    """Reads a head, and raises what the gate itself answers."""
    status = exchange.head()
    if status >= 400:
        problem = json.loads(exchange.rest())
        assert exchange.field("content-type") == "application/problem+json" and problem["status"] == status
        raise Refused(status, problem["code"])


class Protocol:
    # Whether an answer has begun by the middle: what dies there can only break off.
    has_begun = False

    def without_permission(self, origin):
        """What it may do once it is permitted no more."""
        return {FINISHES}

    def over(self, told):
        """Whether its caller was told in its own way that it has ended."""
        return False


class Stream(Protocol):
    has_begun = True

    def without_permission(self, origin):
        return {ENDS}


class Get(Protocol):
    """A request without a body."""

    has_begun = True
    expected = FIRST + LAST
    fields, method = [], "GET"

    def serve(self, exchange, cue):
        exchange.answer(200, length=len(FIRST + LAST))
        exchange.send(FIRST)
        cue.middle(exchange)
        exchange.send(LAST)
        exchange.finish()

    def ask(self, stage, path, token, middle):
        with contextlib.closing(stage.open()) as exchange:
            exchange.ask(self.method, path, [*self.fields, *bearer(token)])
            answered(exchange)
            content = exchange.exactly(len(FIRST))
            middle()
            return content + exchange.rest()


class Poll(Get):
    """An answer that is long in coming, with nothing before it."""

    has_begun = False

    def serve(self, exchange, cue):
        cue.middle(exchange)
        exchange.answer(200)
        exchange.send(FIRST + LAST)
        exchange.finish()

    def ask(self, stage, path, token, middle):
        with contextlib.closing(stage.open()) as exchange:
            exchange.ask(self.method, path, bearer(token))
            middle()
            answered(exchange)
            return exchange.rest()


class Upload(Protocol):
    """A body whose length is told, echoed once it is there."""

    expected = FIRST + LAST
    length = len(FIRST + LAST)
    fields = []

    def serve(self, exchange, cue):
        content = exchange.exactly(len(FIRST))
        cue.middle(exchange)
        content += exchange.rest()
        exchange.answer(200, length=len(content))
        exchange.send(content)
        exchange.finish()

    def ask(self, stage, path, token, middle):
        with contextlib.closing(stage.open()) as exchange:
            exchange.ask("POST", path, [*self.fields, *bearer(token)], self.length)
            if self.goes_on(exchange, stage):
                self.send(exchange, middle)
            answered(exchange)
            return exchange.rest()

    def goes_on(self, exchange, stage):
        return True

    def send(self, exchange, middle):
        # Who is refused need not take all of the body.
        with contextlib.suppress(Broken):
            exchange.send(FIRST)
            middle()
            exchange.send(LAST)
            exchange.finish()


class Chunks(Upload):
    """A body whose length nobody knows before its end."""

    length = "unknown"


class Expect(Chunks):
    """A body that waits until it is asked for (RFC 9110 section 10.1.1)."""

    fields = [("expect", "100-continue")]

    def serve(self, exchange, cue):
        assert exchange.field("expect") == "100-continue"
        exchange.inform(100)
        super().serve(exchange, cue)

    def goes_on(self, exchange, stage):
        # Nobody tells callers on HTTP/2 (`test_callers_on_http_2_are_told_to_go_on`), who go on by themselves after a while.
        return stage.version == "2" or exchange.await_interim() == 100


class Early(Protocol):
    """An answer that is whole before the body is: the body's end is neither awaited nor needed."""

    has_begun = True
    expected = FIRST + LAST

    def serve(self, exchange, cue):
        exchange.answer(200)
        exchange.send(FIRST)
        cue.middle(exchange)
        exchange.send(LAST)
        exchange.finish()
        exchange.rest()

    def ask(self, stage, path, token, middle):
        with contextlib.closing(stage.open()) as exchange:
            exchange.ask("POST", path, bearer(token), "unknown")
            with contextlib.suppress(Broken):
                exchange.send(FIRST)
            answered(exchange)
            content = exchange.exactly(len(FIRST))
            middle()
            return content + exchange.rest()


class Events(Stream):
    """Server-sent events."""

    expected = b"data: first\n\ndata: last\n\n"

    def serve(self, exchange, cue):
        exchange.answer(200, [("content-type", "text/event-stream")])
        exchange.send(b"data: first\n\n")
        cue.middle(exchange)
        exchange.send(b"data: last\n\n")
        exchange.finish()

    def ask(self, stage, path, token, middle):
        with contextlib.closing(stage.open()) as exchange:
            exchange.ask("GET", path, bearer(token))
            answered(exchange)
            content = exchange.exactly(len(b"data: first\n\n"))
            middle()
            content += exchange.rest()
        if content != self.expected:
            # It has ended, and did not break off.
            raise Over(content)
        return content

    def over(self, told):
        return told.args == (b"data: first\n\n",)


def message(data, flags=0):
    """As gRPC frames it."""
    return struct.pack(">BI", flags, len(data)) + data


class Calls(Stream):
    """Calls of gRPC."""


    def refused(self, error):
        """As the gate tells it: its code is in the message."""
        code, details = error.code(), error.details() or ""
        word = details.split(":")[0]
        if code in GRPC and word.replace("_", "").isalpha() and ": " in details:
            return Refused(GRPC[code], word)
        return Broken(f"{code} {details}")

    def over(self, told):
        return told.args == (401, "token_expired")


GRPC = {grpc.StatusCode.UNAUTHENTICATED: 401, grpc.StatusCode.PERMISSION_DENIED: 403, grpc.StatusCode.UNAVAILABLE: 502}


class Unary(Calls):
    """One message each way; nothing of the answer is there in the middle."""

    has_begun = False
    expected = FIRST + LAST

    def without_permission(self, origin):
        # Where the settings do not say what the origin speaks, it is a stream once it is answered, which may be in one piece.
        return {ENDS} if origin == "h2c" else {ENDS, FINISHES}

    def serve(self, exchange, cue):
        content = exchange.rest()
        cue.middle(exchange)
        exchange.answer(200, [("content-type", "application/grpc")])
        exchange.send(content)
        exchange.finish([("grpc-status", "0")])

    def ask(self, stage, path, token, middle):
        with stage.channel() as channel:
            call = channel.unary_unary(path).future(FIRST + LAST, metadata=bearer(token), timeout=PATIENCE)
            middle()
            try:
                return call.result()
            except grpc.RpcError as error:
                raise self.refused(error) from None


class Both(Calls):
    """A call that goes on both ways."""

    expected = [b"first", b"last"]

    def serve(self, exchange, cue):
        exchange.answer(200, [("content-type", "application/grpc")])
        exchange.send(exchange.exactly(len(message(b"first"))))
        cue.middle(exchange)
        exchange.send(exchange.rest())
        exchange.finish([("grpc-status", "0")])

    def ask(self, stage, path, token, middle):
        more = threading.Event()

        def messages():
            yield b"first"
            more.wait(PATIENCE)
            yield b"last"

        try:
            with stage.channel() as channel:
                answers = channel.stream_stream(path)(messages(), metadata=bearer(token), timeout=PATIENCE)
                content = [next(answers)]
                if middle():
                    more.set()
                return content + list(answers)
        except grpc.RpcError as error:
            raise self.refused(error) from None
        finally:
            more.set()


class Web(Stream):
    """gRPC-Web: the trailers are in the body."""

    kind = "application/grpc-web+proto"
    expected = message(b"first") + message(b"last") + message(b"grpc-status: 0\r\n", 0x80)

    def serve(self, exchange, cue):
        asked = exchange.rest()
        assert asked == message(b"hello"), asked
        exchange.answer(200, [("content-type", self.kind)])
        exchange.send(message(b"first"))
        cue.middle(exchange)
        exchange.send(message(b"last") + message(b"grpc-status: 0\r\n", 0x80))
        exchange.finish()

    def ask(self, stage, path, token, middle):
        with contextlib.closing(stage.open()) as exchange:
            exchange.ask("POST", path, [("content-type", self.kind), *bearer(token)], len(message(b"hello")))
            exchange.send(message(b"hello"))
            exchange.finish()
            assert exchange.head() == 200
            if status := exchange.field("grpc-status"):
                assert exchange.field("content-type") == self.kind
                raise Refused({"16": 401, "7": 403, "14": 502}[status], exchange.field("grpc-message").split(":")[0])
            content = exchange.exactly(len(message(b"first")))
            middle()
            content += exchange.rest()
        if content == message(b"first"):
            # Without trailers, which its caller waits for.
            raise Over(content)
        return content

    def over(self, told):
        return told.args == (message(b"first"),)


class Socket(Stream):
    """WebSocket."""

    expected = ["first", "last"]

    def serve(self, exchange, cue):
        key = exchange.field("sec-websocket-key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
        exchange.answer(101, [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", accept)], None)
        exchange.line.send(b"\x81\x05" + unmasked(exchange))
        cue.middle(exchange)
        exchange.line.send(b"\x81\x04" + unmasked(exchange) + b"\x88\x02\x03\xe8")
        unmasked(exchange)
        # And no other request behind it.
        exchange.left = "close"

    def ask(self, stage, path, token, middle):
        scheme, context = ("wss", insecure()) if stage.tls else ("ws", None)
        headers = dict(bearer(token))
        try:
            with connect_socket(
                f"{scheme}://localhost:{stage.port}{path}", additional_headers=headers, ssl=context, open_timeout=PATIENCE
            ) as socket:
                socket.send("first")
                content = [socket.recv(PATIENCE)]
                if middle():
                    socket.send("last")
                content.append(socket.recv(PATIENCE))
                try:
                    socket.recv(PATIENCE)
                except websockets.exceptions.ConnectionClosedOK:
                    return content
                raise Broken("more than was sent")
        except websockets.exceptions.InvalidStatus as refused:
            response = refused.response
            raise Refused(response.status_code, json.loads(response.body)["code"]) from None
        except websockets.exceptions.ConnectionClosed as closed:
            if closed.rcvd is None:
                raise Broken(str(closed)) from None
            raise Over(closed.rcvd.code, closed.rcvd.reason) from None

    def over(self, told):
        return told.args == (1008, "token_expired")


def unmasked(exchange):
    """The payload of a short frame of a caller."""
    data = b""
    while len(data) < 2 or len(data) < 6 + (data[1] & 0x7F):
        data += exchange.raw()
    mask, payload = data[2:6], data[6:]
    return bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))


def insecure():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# What is spoken to callers and to origins, and which protocols go that way.
CALLERS = {"h1": ("1", False), "h2": ("2", True), "h2c": ("2", False), "h1-tls": ("1", True)}
ORIGINS = {"h1": ("1", False), "h2c": ("2", False), "h1-tls": ("1", True), "h2": ("2", True)}
USUAL = ["h1", "h2", "h2c"]
PROTOCOLS = {
    "GET": (Get(), USUAL, ORIGINS),
    "long polling": (Poll(), USUAL, ORIGINS),
    "body with a length": (Upload(), USUAL, ORIGINS),
    "chunked upload": (Chunks(), USUAL, ORIGINS),
    "100-continue": (Expect(), USUAL, ORIGINS),
    "early answer": (Early(), USUAL, ORIGINS),
    "server-sent events": (Events(), USUAL, ORIGINS),
    "gRPC-Web": (Web(), USUAL, ORIGINS),
    "gRPC unary": (Unary(), ["h2", "h2c"], ["h2", "h2c"]),
    "gRPC streaming": (Both(), ["h2", "h2c"], ["h2", "h2c"]),
    "WebSocket": (Socket(), ["h1", "h1-tls"], ["h1", "h1-tls"]),
}  # fmt: skip

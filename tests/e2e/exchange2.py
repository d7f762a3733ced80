"""Requests and their answers over HTTP/2, from either end, with flow control as those have it who read slowly."""

import contextlib
import struct
import threading

from hpack import Decoder
from line import PATIENCE, Broken, Message
from wire import (
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, fields, frame, frames,
)  # fmt: skip

INITIAL_WINDOW_SIZE = 4
# What a stream may be sent that nobody reads. A connection may be sent all of it, so that one stream does not stop the others.
WINDOW = 65535
PIECE = 16384


class Connection:
    """Read by the thread that runs it; streams are had by any."""

    def __init__(self, line, serve=None):
        self.line, self.serve = line, serve
        self.streams = {}
        self.decoder = Decoder()
        self.changed = threading.Condition()
        # What may be sent: of the connection, and of streams that begin.
        self.window, self.initial = 65535, 65535
        self.failure = None
        self.farewell = None
        start = b"" if serve else PREFACE
        settings = frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW))
        more = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535))
        line.send(start + settings + more)

    def run(self):
        """Reads until the end."""
        try:
            data = self._preface() if self.serve else b""
            while True:
                for kind, flags, stream, payload in frames(data):
                    data = data[9 + len(payload) :]
                    self._take(kind, flags, stream, payload)
                more = self.line.recv()
                if not more:
                    raise Broken("the connection ended")
                data += more
        except (Broken, TimeoutError) as error:
            with self.changed:
                self.failure = str(error)
                self.changed.notify_all()
        finally:
            self.line.close()

    def open(self):
        """A stream of the caller's."""
        with self.changed:
            stream = Exchange(self, 2 * len(self.streams) + 1)
            self.streams[stream.number] = stream
        return stream

    def _preface(self):
        data = b""
        while len(data) < len(PREFACE):
            more = self.line.recv()
            if not more:
                raise Broken("the connection ended")
            data += more
        assert data.startswith(PREFACE), data
        return data[len(PREFACE) :]

    def _take(self, kind, flags, number, payload):
        if kind == SETTINGS and not flags & ACK:
            self.line.send(frame(SETTINGS, ACK, 0))
        if kind == PING and not flags & ACK:
            self.line.send(frame(PING, ACK, 0, payload))
        began = None
        with self.changed:
            if kind == HEADERS and self.serve and number not in self.streams:
                began = self.streams[number] = Exchange(self, number)
            stream = self.streams.get(number)
            if kind == SETTINGS and not flags & ACK:
                self._settle(payload)
            elif kind == WINDOW_UPDATE and number == 0:
                self.window += int.from_bytes(payload)
            elif kind == GOAWAY:
                self.farewell = int.from_bytes(payload[4:8])
            elif kind == HEADERS:
                assert flags & END_HEADERS, "a head in several frames"
                stream.take_head(self.decoder.decode(payload))
            elif stream:
                stream.take(kind, payload)
            if stream and kind in (HEADERS, DATA) and flags & END_STREAM:
                stream.ended = True
            self.changed.notify_all()
        if began:
            threading.Thread(target=self.serve, args=(began,), daemon=True).start()

    def _settle(self, payload):
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == INITIAL_WINDOW_SIZE:
                for stream in self.streams.values():
                    stream.window += value - self.initial
                self.initial = value


class Exchange(Message):
    """A stream."""

    def __init__(self, connection, number):
        super().__init__()
        self.connection, self.number = connection, number
        self.window = connection.initial
        self.heads, self.data = [], bytearray()
        self.ended, self.reset = False, None
        self.sent = 0

    # Callers

    def ask(self, method, path, fields=(), length=None, host="a"):
        """Sends a head; of a body with this length, with none that is known (`"unknown"`), or without a body."""
        self.method = method
        pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", host)]
        self._head([*pseudo, *fields], length)

    def head(self):
        """The status of the answer, which may be known."""
        while not self.status:
            self.await_interim()
        return self.status

    def await_interim(self):
        """The status of the interim answer that comes next; nothing where another one does."""
        self.fields = self._await(lambda: self.heads).pop(0)
        status = int(self.field(":status"))
        if status < 200:
            self.inform_of(status)
            return status
        self.status = status
        return None

    # Origins

    def accept(self):
        """Takes the request that began the stream."""
        self.fields = self._await(lambda: self.heads).pop(0)
        self.method, self.path = self.field(":method"), self.field(":path")

    def inform(self, status, fields=()):
        self._write(HEADERS, END_HEADERS, encoded([(":status", str(status)), *fields]))

    def answer(self, status, fields=(), length="unknown"):
        self._head([(":status", str(status)), *fields], length)

    # Both

    def send(self, data):
        for at in range(0, len(data), PIECE):
            self._send(data[at : at + PIECE])

    def _send(self, data):
        while data:
            with self.connection.changed:
                self._await(lambda: self.connection.window > 0 and self.window > 0)
                if self.reset is not None:
                    raise Broken(f"reset with {self.reset}")
                size = min(len(data), self.window, self.connection.window)
                self.window -= size
                self.connection.window -= size
            self._write(DATA, 0, data[:size])
            self.sent += size
            data = data[size:]

    def finish(self, trailers=()):
        if trailers:
            self._write(HEADERS, END_HEADERS | END_STREAM, encoded(trailers))
        else:
            self._write(DATA, END_STREAM, b"")

    def read(self):
        """A piece of the body; nothing at its end."""
        with self.connection.changed:
            self._await(lambda: self.data or self.ended)
            piece, self.data = bytes(self.data), bytearray()
        if piece and not self.ended:
            with contextlib.suppress(Broken):  # What came before the end is there all the same.
                self._write(WINDOW_UPDATE, 0, struct.pack(">I", len(piece)))
        if not piece and self.heads:
            self.trailers = self.heads.pop(0)
        return piece

    def cut(self, reset=False):
        """Resets the stream, or ends the connection."""
        if reset:
            self._write(RST_STREAM, 0, struct.pack(">I", 2))
        else:
            self.connection.line.cut()

    def close(self):
        """Leaves, as a caller who has the connection for himself."""
        self.connection.line.cut()

    # What comes

    def take_head(self, pairs):
        self.heads.append(pairs)

    def take(self, kind, payload):
        if kind == DATA:
            self.data += payload
        elif kind == RST_STREAM:
            self.reset = int.from_bytes(payload)
        elif kind == WINDOW_UPDATE:
            self.window += int.from_bytes(payload)

    def _await(self, check):
        """Waits until this is true, unless the stream or the connection breaks off before."""
        with self.connection.changed:
            known = self.connection.changed.wait_for(
                lambda: check() or self.reset is not None or self.connection.failure, PATIENCE
            )
            if not known:
                raise TimeoutError("the other side is stuck")
            if result := check():
                return result
            raise Broken(f"reset with {self.reset}" if self.reset is not None else self.connection.failure)

    # How it is written

    def _head(self, pairs, length):
        pairs = pairs if length in (None, "unknown") else [*pairs, ("content-length", str(length))]
        end = END_STREAM if length is None else 0
        self._write(HEADERS, END_HEADERS | end, encoded(pairs))

    def _write(self, kind, flags, payload):
        self.connection.line.send(frame(kind, flags, self.number, payload))


def encoded(pairs):
    return fields([(name.encode(), value.encode("latin-1")) for name, value in pairs])

"""Bytes that no library would send, an origin that keeps every byte it got, and a proxy that understands nothing."""

import contextlib
import io
import socket
import ssl
import struct
import threading
from collections import defaultdict

from hpack import Decoder

# How long a side may be silent before it is taken to have nothing more to say.
QUIET = 5
# A socket's state in `/proc/net/tcp`.
CLOSE_WAIT = "08"


class RawServer:
    """Serves each connection in a thread of its own, on a port of the kernel's choice."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self.serve(connection)
            except (OSError, ValueError, OverflowError):
                pass  # The other side went away, or what it sent is no length.

    def stop(self):
        self.socket.close()


class RawOrigin(RawServer):
    """Keeps what it gets and answers every head, once it has it and before the body."""

    def __init__(self):
        self.got = b""
        # Requests that are answered, and whose bodies have not come to their ends.
        self.unfinished = 0
        self.lock = threading.Lock()
        super().__init__()

    def serve(self, connection):
        lines = io.BufferedReader(Kept(connection, self.keep))
        while head := read_head(lines):
            with self.request():
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                skip_body(head, lines)

    @contextlib.contextmanager
    def request(self):
        with self.lock:
            self.unfinished += 1
        try:
            yield
        finally:
            with self.lock:
                self.unfinished -= 1

    def is_settled(self):
        """Whether nothing waits to be accepted or read, and no connection that the other side has ended is still open here.

        The kernel's word (proc(5), `/proc/net/tcp`): what was sent before somebody else was answered is in its queues by then.
        """
        end = f":{self.port:04X}"
        with open("/proc/net/tcp") as table:
            sockets = [line.split() for line in table]
        ours = [fields for fields in sockets if fields[1].endswith(end)]
        return all(fields[3] != CLOSE_WAIT and fields[4].endswith(":00000000") for fields in ours)

    def keep(self, data):
        with self.lock:
            self.got += data

    def peek(self):
        with self.lock:
            return self.got

    def take(self):
        """What came since it was last asked."""
        with self.lock:
            got, self.got = self.got, b""
        return got


class Kept(io.RawIOBase):
    """What comes on a connection, each piece told to `keep` before anybody reads it."""

    def __init__(self, connection, keep):
        self.connection, self.keep = connection, keep

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.connection.recv_into(buffer)
        self.keep(bytes(buffer[:count]))
        return count


def read_head(lines):
    """The lines of a head up to the empty one, or nothing where none comes to its end."""
    head = []
    while line := lines.readline():
        if line.strip():
            head.append(line.strip())
        elif head:
            return head
    return []


def skip_body(head, lines):
    """Reads what belongs to the head, so that the end of a body is not taken for that of another head."""
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head[1:])}
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while size := int(lines.readline().split(b";")[0] or b"0", 16):
            lines.read(size + 2)
        while lines.readline().strip():
            pass
    else:
        lines.read(int(fields.get(b"content-length", b"0")))


class NaiveProxy(RawServer):
    """Hands on whatever looks like the end of a head, as it came. What it lets through a gate must refuse."""

    def __init__(self, origin):
        self.origin = origin
        super().__init__()

    def serve(self, connection):
        connection.settimeout(QUIET)
        data = connection.recv(65536)
        while data and head_end(data) is None:
            more = connection.recv(65536)
            if not more:
                break
            data += more
        if data.startswith(PREFACE):
            data = translated(data)
        with socket.create_connection(("127.0.0.1", self.origin.port), timeout=QUIET) as upstream:
            upstream.sendall(data)
            connection.sendall(upstream.recv(65536))


def head_end(data):
    ends = [data.find(mark) + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if mark in data]
    return min(ends, default=None)


def connect(port, tls=False, alpn=(), source="", before=b"", certificate=None):
    """A connection, from another of this host's addresses if one is given; `before` is sent before TLS, in which a
    certificate is shown from a file that has its key too."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=QUIET, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(before)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(list(alpn))
        if certificate:
            context.load_cert_chain(certificate)
        connection = context.wrap_socket(connection, server_hostname="localhost")
    return connection


def status(data):
    """The status of the first answer, or `None` where the connection was closed without one."""
    line = data.split(b"\r\n", 1)[0].split(b" ")
    return int(line[1]) if len(line) > 1 and line[0].startswith(b"HTTP/1") else None


def ask_all(port, request, tls=False, **more):
    """Everything that is answered until the connection ends, over HTTP/1.1."""
    with connect(port, tls, ["http/1.1"], **more) as connection:
        connection.sendall(request)
        return rest(connection)


def rest(connection):
    """All that is left to read."""
    data = b""
    try:
        while more := connection.recv(65536):
            data += more
    except (ConnectionResetError, ssl.SSLEOFError):
        pass
    return data


def ask(port, request, tls=False):
    """The status of the answer to these bytes, over HTTP/1.1."""
    with connect(port, tls, ["http/1.1"]) as connection:
        connection.sendall(request)
        data = b""
        try:
            while head_end(data) is None and (more := connection.recv(65536)):
                data += more
        except ConnectionResetError:
            pass
    return status(data)


# HTTP/2, RFC 9113, with header fields as literals that are neither indexed nor compressed (RFC 7541 section 6.2.2).

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value):
    """An integer with a prefix of 7 bits (RFC 7541 section 5.1)."""
    if value < 127:
        return bytes([value])
    value -= 127
    out = b"\x7f"
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def fields(pairs):
    return b"".join(b"\0" + number(len(name)) + name + number(len(value)) + value for name, value in pairs)


def h2_request(pairs, body=None):
    flags = END_HEADERS | (END_STREAM if body is None else 0)
    request = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, flags, 1, fields(pairs))
    return request if body is None else request + frame(DATA, END_STREAM, 1, body)


def ask_h2(port, request, tls=False):
    """The status of the answer on the first stream; `None` where the stream or the connection was ended instead."""
    with connect(port, tls, ["h2"]) as connection:
        connection.sendall(request)
        data = b""
        try:
            while more := connection.recv(65536):
                data += more
                for kind, _, stream, payload in frames(data):
                    if kind == HEADERS and stream == 1:
                        return int(dict(Decoder().decode(payload))[":status"])
                    if kind == GOAWAY or (kind == RST_STREAM and stream == 1):
                        return None
        except ConnectionResetError:
            pass
    return None


class Http2:
    """A connection on which the test says every frame itself."""

    def __init__(self, port, tls=False, **more):
        self.socket = connect(port, tls, ["h2"], **more)
        self.data = b""
        self.stream = -1
        self.statuses, self.ended, self.reset, self.bodies = {}, set(), {}, {}
        self.decoder, self.block = Decoder(), b""
        # How much may be sent on each stream, and with 0 on all of them (RFC 9113 section 6.9.2).
        self.windows = defaultdict(lambda: 65535)
        self.farewell = None
        self.closed = False
        self.pongs = 0
        self.send(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True

    def request(self, pairs=(), end=True, **pseudo):
        """Begins a stream and gives its number."""
        self.stream += 2
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send(frame(HEADERS, flags, self.stream, fields([*pseudo_fields(**pseudo), *pairs])))
        return self.stream

    def fill(self, stream, check):
        """Sends of a body what is taken of it, until the check holds or the connection ends; whether it held."""
        room = lambda: min(self.windows[0], self.windows[stream], 16384)  # noqa: E731
        while not check() and not self.closed:
            if (size := room()) > 0:
                self.send(frame(DATA, 0, stream, b"x" * size))
                self.windows[0] -= size
                self.windows[stream] -= size
            else:
                self.until(lambda: room() > 0 or check())
        return check()

    def ping(self):
        """Waits until all that was sent is read."""
        wanted = self.pongs + 1
        self.send(frame(PING, 0, 0, b"12345678"))
        self.until(lambda: self.pongs >= wanted)

    def until(self, check):
        """Reads until the check holds, or the connection ends; whether it held."""
        while not check():
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return check()
            self.data += data
            self._take()
        return True

    def answer(self, stream):
        """The status of a stream's whole answer; `None` where it has none."""
        self.until(lambda: stream in self.ended or stream in self.reset)
        return self.statuses.get(stream)

    def _take(self):
        taken = 0
        for kind, flags, stream, payload in frames(self.data):
            taken += 9 + len(payload)
            if kind in (HEADERS, CONTINUATION):
                self.block += payload
                if flags & END_HEADERS:
                    # Trailers have none.
                    for name, value in self.decoder.decode(self.block):
                        if name == ":status":
                            self.statuses[stream] = int(value)
                    self.block = b""
            elif kind == DATA:
                self.bodies[stream] = self.bodies.get(stream, b"") + payload
                if payload:
                    # Room for as much on the connection; a stream has what it began with.
                    self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
            elif kind == RST_STREAM:
                self.reset[stream] = int.from_bytes(payload, "big")
            elif kind == WINDOW_UPDATE:
                self.windows[stream] += int.from_bytes(payload, "big")
            elif kind == GOAWAY:
                self.farewell = int.from_bytes(payload[4:8], "big")
            elif kind == PING and flags & ACK:
                self.pongs += 1
            elif kind == PING:
                self.send(frame(PING, ACK, 0, payload))
            elif kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                self.ended.add(stream)
        self.data = self.data[taken:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def pseudo_fields(method=b"GET", path=b"/", authority=b"a"):
    return [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", authority)]


def frames(data):
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if len(data) < 9 + length:
            return
        yield data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]
        data = data[9 + length :]


def translated(data):
    """The request of `h2_request` as HTTP/1.1, told off field by field."""
    pairs, body = [], b""
    for kind, _, _, payload in frames(data[len(PREFACE) :]):
        if kind == HEADERS:
            pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in Decoder().decode(payload)]
        elif kind == DATA:
            body += payload
    pseudo = {name: value for name, value in pairs if name.startswith(b":")}
    first = lambda name, other: pseudo.get(name, other)  # noqa: E731
    lines = [first(b":method", b"GET") + b" " + first(b":path", b"/") + b" HTTP/1.1", b"host: " + first(b":authority", b"a")]
    lines += [name + b": " + value for name, value in pairs if not name.startswith(b":")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

"""A request and its answer over HTTP/1.1, from either end."""

from line import Broken, Message

REASONS = {100: "Continue", 101: "Switching Protocols", 103: "Early Hints", 200: "OK"}


class Exchange(Message):
    """One after another may be had on a line."""

    def __init__(self, line, buffer=b""):
        super().__init__()
        self.line = line
        self.sent_before = line.sent
        self.buffer = bytearray(buffer)
        # Octets of the body that are to come, or how its end is known.
        self.left = 0
        self.is_chunked = False
        self.sends_chunks = False

    # Callers

    def ask(self, method, path, fields=(), length=None, host="a"):
        """Sends a head; of a body with this length, with none that is known (`"unknown"`), or without a body."""
        self.method = method
        self._head(f"{method} {path} HTTP/1.1", [("host", host), *fields], length)

    def head(self):
        """The status of the answer, which may be known."""
        while not self.status:
            if self.await_interim() == 101:
                self.status = 101
        has_none = self.method == "HEAD" or self.status in (101, 204, 304)
        self._expect("close", none=has_none)
        return self.status

    def await_interim(self):
        """The status of the interim answer that comes next; nothing where another one does."""
        status = int(self._lines().split()[1])
        if status < 200:
            self.inform_of(status)
            return status
        self.status = status
        return None

    # Origins

    def accept(self):
        """Waits for a request; whether there is one."""
        try:
            first = self._lines()
        except (Broken, TimeoutError):
            return False
        self.method, self.path, _ = first.split(" ")
        self._expect(0)
        return True

    def inform(self, status, fields=()):
        """Sends an interim answer."""
        self._head(f"HTTP/1.1 {status} {REASONS[status]}", fields, None)

    def answer(self, status, fields=(), length="unknown"):
        self._head(f"HTTP/1.1 {status} {REASONS.get(status, 'Other')}", fields, length)

    # Both

    def send(self, data):
        if self.sends_chunks and data:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.line.send(data)

    def finish(self, trailers=()):
        if self.sends_chunks:
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            self.line.send(f"0\r\n{lines}\r\n".encode())

    def read(self):
        """A piece of the body; nothing at its end."""
        if self.left == "close":
            data, self.buffer = self.buffer or self.line.recv(), bytearray()
            return bytes(data)
        if self.is_chunked and self.left == 0:
            self._chunk()
        if not self.left:
            return b""
        if not self.buffer:
            self._fill()
        piece = bytes(self.buffer[: self.left])
        del self.buffer[: len(piece)]
        self.left -= len(piece)
        if self.is_chunked and self.left == 0:
            self._empty_line()
        return piece

    def raw(self):
        """What comes, as it comes: behind an upgrade."""
        if not self.buffer:
            self._fill()
        data, self.buffer = bytes(self.buffer), bytearray()
        return data

    @property
    def sent(self):
        return self.line.sent - self.sent_before

    def cut(self, reset=False):
        self.line.cut(reset)

    def close(self):
        self.line.close()

    # How it is written

    def _head(self, first, fields, length):
        fields = list(fields)
        self.sends_chunks = length == "unknown"
        if self.sends_chunks:
            fields.append(("transfer-encoding", "chunked"))
        elif length is not None:
            fields.append(("content-length", str(length)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.line.send(f"{first}\r\n{lines}\r\n".encode("latin-1"))

    def _lines(self):
        """The first line of a head; the others are its fields."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self._fill()
        first, *lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        pairs = (line.partition(":") for line in lines)
        self.fields = [(name.lower(), value.strip()) for name, _, value in pairs]
        return first

    def _expect(self, otherwise, none=False):
        self.is_chunked = not none and self.field("transfer-encoding") == "chunked"
        length = self.field("content-length")
        if none or self.is_chunked:
            self.left = 0
        else:
            self.left = otherwise if length is None else int(length)

    def _chunk(self):
        self.left = int(self._line(), 16)
        if self.left:
            return
        self.is_chunked = False
        while line := self._line():
            name, _, value = line.partition(":")
            self.trailers.append((name.lower(), value.strip()))

    def _empty_line(self):
        line = self._line()
        assert line == "", f"a chunk goes on with {line!r}"

    def _line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._fill()
        line = bytes(self.buffer[:end]).decode("latin-1")
        del self.buffer[: end + 2]
        return line

    def _fill(self):
        data = self.line.recv()
        if not data:
            raise Broken("the connection ended")
        self.buffer += data

"""A connection that one thread reads while another one writes, over TLS too, and either end of an HTTP message on it."""

import select
import socket
import ssl
import struct
import threading

# How long anybody waits for the other side before it is taken for stuck.
PATIENCE = 30
MOST_INTERIM = 10_000


class Broken(Exception):
    """What was coming broke off before its end."""


class Line:
    """A socket that never blocks: `ssl` stands no two threads in it at once, and none is in it here while it waits."""

    def __init__(self, connection):
        connection.setblocking(False)
        self.socket = connection
        self.using, self.writing = threading.Lock(), threading.Lock()
        # Octets that the kernel has taken.
        self.sent = 0

    def recv(self):
        """What is there; nothing at the end."""
        return self._try(lambda: self.socket.recv(65536), select.POLLIN)

    def send(self, data):
        """All of it, and nothing of another thread's in between."""
        left = memoryview(data)
        with self.writing:
            while left:
                count = self._try(lambda: self.socket.send(left[:16384]), select.POLLOUT)
                left, self.sent = left[count:], self.sent + count

    def _try(self, step, event):
        while True:
            try:
                with self.using:
                    return step()
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            except BlockingIOError:
                pass
            except (OSError, ValueError) as error:
                raise Broken(str(error)) from None
            self._wait(event)

    def _wait(self, event):
        poll = select.poll()
        try:
            poll.register(self.socket, event)
        except ValueError as error:
            raise Broken(str(error)) from None
        if not poll.poll(PATIENCE * 1000):
            raise TimeoutError("the other side is stuck")

    def cut(self, reset=False):
        """Ends it for the other side, with a reset once it is closed here; who reads it here sees its end."""
        try:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        except OSError:
            pass  # It has ended.

    def close(self):
        self.socket.close()


class Message:
    """What either end of a request and its answer has, whichever version of HTTP it is in.

    An end reads `fields`, pairs of texts whose names are small, and then the body by `read`; an answer's end may have
    `trailers`, and interim answers before it are in `interim`.
    """

    def __init__(self):
        self.fields, self.trailers, self.interim = [], [], []
        self.method = self.path = self.status = None

    def field(self, name):
        """The values of all fields of the name."""
        values = [value for known, value in self.fields if known == name]
        return ", ".join(values) if values else None

    def inform_of(self, status):
        self.interim.append((status, self.fields))
        assert len(self.interim) < MOST_INTERIM, "interim answers without end"

    def rest(self):
        """All that is left of the body."""
        data = bytearray()
        while piece := self.read():
            data += piece
        return bytes(data)

    def exactly(self, length):
        """So much of the body, or more where a piece has more; what comes later waits."""
        data = b""
        while len(data) < length:
            piece = self.read()
            if not piece:
                raise Broken(f"it ended after {data!r}")
            data += piece
        return data

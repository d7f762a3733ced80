"""Both ends of the gate's traffic, in any version of HTTP, with TLS or without."""

import threading

import exchange1
import exchange2
from line import Broken, Line
from wire import RawServer, connect


class Server(RawServer):
    """Gives each request to `handle`, which reads and answers it step by step."""

    def __init__(self, handle, version="1", tls=None):
        self.handle, self.version, self.tls = handle, version, tls
        if tls:
            tls.set_alpn_protocols(["h2"] if version == "2" else ["http/1.1"])
        super().__init__()
        if tls:
            self.url = f"https://localhost:{self.port}"

    def serve(self, connection):
        if not self.tls:
            return self._talk(Line(connection))
        connection.settimeout(20)
        with self.tls.wrap_socket(connection, server_side=True) as secured:
            self._talk(Line(secured))

    def _talk(self, line):
        if self.version == "2":
            return exchange2.Connection(line, self._handle2).run()
        exchange = exchange1.Exchange(line)
        while exchange.accept():
            try:
                self.handle(exchange)
            except (Broken, TimeoutError):
                return
            # As the next request would be read from where this one's body goes on.
            if exchange.left:
                return
            exchange = exchange1.Exchange(line, exchange.buffer)

    def _handle2(self, exchange):
        try:
            exchange.accept()
            self.handle(exchange)
        except (Broken, TimeoutError):
            pass  # Whoever asked has gone, or was sent away.


def call(port, version="1", tls=False):
    """A caller's end of an exchange, on a connection of its own."""
    alpn = ["h2"] if version == "2" else ["http/1.1"]
    line = Line(connect(port, tls, alpn))
    if version == "1":
        return exchange1.Exchange(line)
    connection = exchange2.Connection(line)
    threading.Thread(target=connection.run, daemon=True).start()
    return connection.open()

"""Whole answers with their header fields, of either version of HTTP, to requests that a test says to the octet."""

from types import SimpleNamespace

import http2
from wire import ask_all

VERSIONS = ["1.1", "2"]


def ask(gate, version, path, method="GET", host="a", fields=(), body=None, port=None, tls=False, source=""):
    """An answer of the gate; repeated header fields are joined, their names in lower case."""
    if version == "2":
        assert not tls and not source
        status, pairs, content = http2.ask(gate.url + path, method, [("Host", host), *fields], body)
        return answer(status, pairs, content)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields)]
    lines += ["Connection: close"] + ([f"Content-Length: {len(body)}"] if body is not None else [])
    request = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
    return parsed(ask_all(port or int(gate.listen.rsplit(":", 1)[1]), request, tls, source=source))


def parsed(data):
    """The answer in these octets of HTTP/1.1, which has a length or none."""
    head, _, content = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    return answer(int(line.split()[1]), [tuple(line.split(": ", 1)) for line in lines], content)


def answer(status, pairs, content):
    headers = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return SimpleNamespace(status=status, headers=headers, content=content)

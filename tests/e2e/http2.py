"""Whole answers over HTTP/2, with all their header fields: curl decodes them."""

import json
import subprocess

from requests.structures import CaseInsensitiveDict


def ask(url, method="GET", fields=(), body=None):
    """Status, header fields in their order, and body, over HTTP/2 without TLS."""
    command = ["curl", "-sS", "-i", "-m", "20", "--http2-prior-knowledge", *(["--head"] if method == "HEAD" else ["-X", method])]
    for name, value in fields:
        # So curl says a field without a value.
        command += ["-H", f"{name}: {value}" if value else f"{name};"]
    if body is not None:
        command += ["-H", "Content-Type:", "--data-binary", "@-"]
    done = subprocess.run([*command, url], input=body or b"", capture_output=True)
    assert done.returncode == 0, done.stderr
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    version, status = line.split()[:2]
    assert version == "HTTP/2"
    return int(status), [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines], content


class Answer:
    """As `requests` has an answer."""

    def __init__(self, url, method="GET", headers=None):
        self.status_code, fields, self.content = ask(url, method, (headers or {}).items())
        self.headers = CaseInsensitiveDict()
        for name, value in fields:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.text = self.content.decode()

    def json(self):
        return json.loads(self.content)

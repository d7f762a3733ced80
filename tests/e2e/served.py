"""Gates with settings of a test's own, on a plain listener and one with TLS."""

import subprocess
from contextlib import contextmanager

import yaml

from portcullis import Portcullis
from test_gate import CERTIFICATE

OPEN = {"authenticate": "none", "authorize": "none", "upstream": {"to": "origin"}}


def everything(**more):
    """Routes that take every path, with nothing asked."""
    return [{"match": {"path": path}, **OPEN, **more} for path in ("/", "/{rest*}")]


def serve(folder, origin, routes=None, listener=None, open_files=None, env=None, plain=None, **more):
    """Runs a gate in front of an origin; `listener` is said of both listeners, `plain` of the one without TLS."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*CERTIFICATE, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True
    )
    (folder / "tls.key").chmod(0o600)
    tls = {"certificates": [{"cert": "tls.crt", "key": "tls.key"}]}
    settings = {
        "listeners": [
            {"address": "127.0.0.1:0", **(listener or {}), **(plain or {})},
            {"address": "127.0.0.1:0", "tls": tls, **(listener or {})},
        ],
        "admin": {"address": "127.0.0.1:0"},
        "upstreams": {"origin": {"servers": [origin.url]}} if origin else {},
        "routes": routes or everything(),
    } | more  # fmt: skip
    file = folder / "portcullis.yaml"
    file.write_text(yaml.safe_dump(settings))
    return Portcullis(folder, command=["serve", "--config", file], open_files=open_files, env=env)


@contextmanager
def running(*args, **more):
    """A gate as `serve` runs it, for a block; unless the block fails, it must end when it is told to."""
    gate = serve(*args, **more)
    try:
        yield gate
        gate.stop()
    finally:
        if gate.process.poll() is None:
            gate.kill()


def ports(gate):
    """Port and whether it speaks TLS, by kind."""
    plain, tls = (int(listen.rsplit(":", 1)[1]) for listen in gate.listeners)
    return {"plain": (plain, False), "tls": (tls, True)}

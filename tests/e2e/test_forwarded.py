"""`Forwarded` (RFC 7239) as the header that is believed: of the peers that the settings name, and of nobody else."""

import pytest

import served
from wire import Http2, RawOrigin, ask_all, status

# Both are addresses of this host; the gate believes one of them.
BALANCER, STRANGER = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def origin():
    origin = RawOrigin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def ports(tmp_path_factory, origin):
    once = [{"by": "client_ip", "requests": 1, "per_seconds": 3600}]
    routes = [
        *served.everything(),
        *({"match": {"path": f"/once/{way}"}, **served.OPEN, "rate_limits": once} for way in WAYS),
    ]
    more = {"trusted_peers": [f"{BALANCER}/32"], "trusted_header": "forwarded"}
    gate = served.serve(tmp_path_factory.mktemp("forwarded"), origin, routes, **more)
    yield served.ports(gate)
    gate.stop()


WAYS = ["plain-1", "plain-2", "tls-1", "tls-2"]


def send(ports, way, source, *fields, path="/"):
    """The answer's status."""
    listener, version = way.split("-")
    port, tls = ports[listener]
    if version == "2":
        with Http2(port, tls, source=source) as connection:
            pairs = [(name.lower().encode(), value.encode()) for name, value in fields]
            return connection.answer(connection.request(pairs, path=path.encode()))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n".encode()
    return status(ask_all(port, request, tls, source=source))


def told(ports, origin, way, source, *fields):
    """What the origin is told of the caller: all fields whose names have to do with it."""
    origin.take()
    assert send(ports, way, source, *fields) == 200
    lines = origin.take().decode().split("\r\n\r\n")[0].split("\r\n")[1:]
    pairs = [line.split(": ", 1) for line in lines]
    return sorted((name.lower(), value) for name, value in pairs if "forwarded" in name.lower() or "real-ip" in name.lower())


def forwarded(client, scheme):
    return sorted([("x-forwarded-for", client), ("x-forwarded-host", "a"), ("x-forwarded-proto", scheme)])


def scheme(way):
    return "https" if way.startswith("tls") else "http"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("fields", "client", "proto"),
    [
        ([("Forwarded", "for=203.0.113.9;proto=https;by=10.0.0.1")], "203.0.113.9", "https"),
        ([("Forwarded", "for=203.0.113.9;proto=http")], "203.0.113.9", "http"),
        ([("Forwarded", "For=198.51.100.1, for=203.0.113.9;proto=https")], "198.51.100.1, 203.0.113.9", "https"),
        ([("Forwarded", "for=198.51.100.1"), ("Forwarded", "for=203.0.113.9")], "198.51.100.1, 203.0.113.9", None),
        ([("Forwarded", 'for="[2001:db8::9]:4711"')], "2001:db8::9", None),
        ([("Forwarded", 'for="203.0.113.9:4711"')], "203.0.113.9", None),
        # Nothing vouches for what is before a hop that cannot be read.
        ([("Forwarded", "for=198.51.100.1, for=unknown")], None, None),
        ([("Forwarded", "for=198.51.100.1, for=_hidden, for=203.0.113.9")], "203.0.113.9", None),
        ([("Forwarded", 'for="198.51.100.1, for=203.0.113.9')], None, None),
        # The other header is whosever.
        ([("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "gopher")], "203.0.113.9", None),
        ([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "b")], None, None),
    ],
    ids=str,
)
def test_a_configured_peer_is_believed(ports, origin, way, fields, client, proto):
    hops = BALANCER if client is None else f"{client}, {BALANCER}"
    assert told(ports, origin, way, BALANCER, *fields) == forwarded(hops, proto or scheme(way))


@pytest.mark.parametrize("way", WAYS)
def test_nobody_else_is_believed(ports, origin, way):
    fields = [
        ("Forwarded", "for=203.0.113.9;proto=gopher;host=b"), ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Host", "b"),
        ("X-Forwarded-Proto", "gopher"), ("X-Real-Ip", "6.6.6.6"),
    ]  # fmt: skip
    assert told(ports, origin, way, STRANGER, *fields) == forwarded(STRANGER, scheme(way))


@pytest.mark.parametrize("way", WAYS)
def test_the_believed_address_is_the_client(ports, way):
    """Limits by address count whom the balancer names, and one who names others himself as one."""
    path = f"/once/{way}"
    by = lambda source, client: send(ports, way, source, ("Forwarded", f"for={client}"), path=path)  # noqa: E731
    assert [by(BALANCER, "203.0.113.1"), by(BALANCER, "203.0.113.2"), by(BALANCER, "203.0.113.1")] == [200, 200, 429]
    assert [by(STRANGER, "203.0.113.3"), by(STRANGER, "203.0.113.4")] == [200, 429]

"""Load balancers that hand bytes on and say whose they are."""

import socket
import struct
import threading

import pytest

import served
from origin import Origin
from portcullis import wait_until
from wire import Http2, ask_all, connect, rest

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BALANCER = {"proxy_protocol": {"from": ["127.0.0.1/32"]}}
GET = b"GET /pets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def v1(client="203.0.113.9", family="TCP4", to="10.0.0.1"):
    return f"PROXY {family} {client} {to} 33333 443\r\n".encode()


def v2(client="203.0.113.9", values=b"", command=0x21):
    if ":" in client:
        ends, kind = socket.inet_pton(socket.AF_INET6, client) + bytes(16), 0x21
    else:
        ends, kind = socket.inet_aton(client) + bytes(4), 0x11
    block = ends + struct.pack(">HH", 33333, 443) + values
    return SIGNATURE + struct.pack(">BBH", command, kind, len(block)) + block


# Headers, and the client that the upstream is told of.
TAKEN = {
    "version 1": (v1(), "203.0.113.9"),
    "version 1 over IPv6": (v1("2001:db8::9", "TCP6", "::1"), "2001:db8::9"),
    "version 1 without a client": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "version 2": (v2(), "203.0.113.9"),
    "version 2 over IPv6": (v2("2001:db8::9"), "2001:db8::9"),
    "version 2 with values": (v2(values=b"\x01\0\x02h2\x04\x0f\x00" + bytes(3840)), "203.0.113.9"),
    "version 2 of the balancer itself": (SIGNATURE + b"\x20\0\0\0", "127.0.0.1"),
    "an address in disguise": (v1("::ffff:203.0.113.9", "TCP6", "::1"), "203.0.113.9"),
}

REFUSED = {
    "nothing": b"",
    "no client": b"PROXY TCP4\r\n",
    "a name for an address": b"PROXY TCP4 localhost 10.0.0.1 1 2\r\n",
    "another family's address": b"PROXY TCP4 2001:db8::9 ::1 1 2\r\n",
    "a port that is none": b"PROXY TCP4 203.0.113.9 10.0.0.1 65536 2\r\n",
    "a line feed alone": b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2\n",
    "a line without end": b"PROXY UNKNOWN " + b"x" * 200,
    "small letters": v1().lower(),
    "white space first": b" " + v1(),
    "another version": SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
    "another command": v2(command=0x22),
    "datagrams": SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),
    "addresses cut off": SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
    "a value cut off": v2(values=b"\x04\0\x02x"),
    "a wrong checksum": v2(values=b"\x03\0\x04\0\0\0\0"),
    "values without end": v2(values=b"\x04\x20\x00" + bytes(8192)),
    "a header that follows another": v1() + v1("6.6.6.6"),
}


@pytest.fixture(scope="module")
def origin():
    origin = Origin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origin):
    gate = served.serve(
        tmp_path_factory.mktemp("proxied"), origin, listener=BALANCER, limits={"connections_per_client": 3},
        trusted_peers=["198.51.100.0/24"],
    )  # fmt: skip
    yield gate
    gate.stop()


def told(answer):
    """What the origin says it was told of the client."""
    return answer.decode().partition('["x-forwarded-for", "')[2].partition('"')[0]


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", TAKEN)
def test_the_client_is_whom_the_balancer_names(gate, listener, case):
    header, client = TAKEN[case]
    port, tls = served.ports(gate)[listener]
    answer = ask_all(port, GET, tls, before=header)
    assert answer.startswith(b"HTTP/1.1 200 ") and told(answer) == client


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", TAKEN)
def test_also_over_http_2(gate, listener, case):
    header, client = TAKEN[case]
    port, tls = served.ports(gate)[listener]
    with Http2(port, tls, before=header) as connection:
        for _ in range(2):
            stream = connection.request(path=b"/pets")
            assert connection.answer(stream) == 200
            assert told(connection.bodies[stream]) == client


@pytest.mark.parametrize("case", TAKEN)
def test_a_header_may_come_in_pieces(gate, case):
    header, client = TAKEN[case]
    port, _ = served.ports(gate)["plain"]
    with connect(port) as connection:
        for octet in (header + GET)[:-1]:
            connection.sendall(bytes([octet]))
        connection.sendall(GET[-1:])
        assert told(rest(connection)) == client


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("case", REFUSED)
def test_without_a_valid_header_the_connection_is_closed(gate, listener, case):
    port, _ = served.ports(gate)[listener]
    before = refusals(gate, "proxy_header")
    with connect(port) as connection:
        connection.sendall(REFUSED[case] + GET)
        answer = rest(connection)
    # What follows a header that is taken is HTTP, which this is not, or TLS.
    assert answer == b"" or (case == "a header that follows another" and answer.startswith((b"HTTP/1.1 400 ", b"\x15")))
    assert refusals(gate, "proxy_header") > before or case == "a header that follows another"


def test_a_header_must_come_soon(gate):
    port, _ = served.ports(gate)["plain"]
    with connect(port) as connection:
        connection.settimeout(9)
        connection.sendall(v1()[:-1])
        assert rest(connection) == b""


def test_nobody_else_may_connect(gate):
    port, tls = served.ports(gate)["plain"]
    before = refusals(gate, "sender")
    with connect(port, source="127.0.0.2") as connection:
        try:
            connection.sendall(v1() + GET)
            assert rest(connection) == b""
        except OSError:
            pass  # It was closed first.
    assert refusals(gate, "sender") == before + 1


def refusals(gate, why):
    text = gate.metrics()
    return int(text.partition(f'portcullis_connections_refused_total{{why="{why}"}} ')[2].split("\n")[0])


def test_each_client_has_its_share_of_connections(gate):
    port, _ = served.ports(gate)["plain"]
    held = [connect(port, before=v1("203.0.113.77")) for _ in range(3)]
    for connection in held:
        connection.sendall(GET[:-2])
    before = refusals(gate, "client")
    wait_until(lambda: ask_all(port, GET, before=v2("203.0.113.77")) == b"", "the share is taken")
    assert refusals(gate, "client") > before
    assert told(ask_all(port, GET, before=v1("203.0.113.78"))) == "203.0.113.78"
    for connection in held:
        connection.close()
    wait_until(lambda: told(ask_all(port, GET, before=v1("203.0.113.77"))), "there is room again")


def test_who_is_believed_is_whom_the_balancer_names(gate):
    """Not the balancer: what a stranger says of others is not believed, what a trusted peer behind it says is."""
    port, _ = served.ports(gate)["plain"]
    forwarded = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=7.7.7.7\r\n\r\n")
    assert told(ask_all(port, forwarded, before=v1())) == "203.0.113.9"
    answer = ask_all(port, forwarded, before=v2("198.51.100.7"))
    assert told(answer) == "6.6.6.6, 198.51.100.7" and b"7.7.7.7" not in answer


def test_a_naive_listener_takes_anything(origin):
    """The cases are able to fail: without the setting, headers are bytes like others."""
    server = socket.create_server(("127.0.0.1", 0))

    def hand_on():
        connection, _ = server.accept()
        with connection, socket.create_connection(("127.0.0.1", origin.port)) as upstream:
            data = b""
            while not data.endswith(GET):
                data += connection.recv(65536)
            upstream.sendall(data[data.find(b"GET ") :])
            connection.sendall(upstream.recv(65536))

    for header in REFUSED.values():
        thread = threading.Thread(target=hand_on)
        thread.start()
        assert ask_all(server.getsockname()[1], GET, before=header).startswith(b"HTTP/1.1 200")
        thread.join()
    server.close()

"""Upstreams: which server a request goes to, what becomes of servers that fail, and what is changed on the way."""

import contextlib
import json
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest
import requests

import ends
import served
from keyserver import Authority
from origin import Origin, Service, reply
from portcullis import run, wait_until
from wire import RawServer, read_head

OPEN = {"authenticate": "none", "authorize": "none"}


class Moody(Service):
    """Says its name, or answers with the status that it is told to; on `/wait` when it is let on."""

    def __init__(self, name="moody", port=0):
        self.name, self.status, self.health = name, 200, 200
        self.asked, self.under_way, self.most = Counter(), 0, 0
        self.lock, self.go = threading.Lock(), threading.Event()
        super().__init__(port)

    def handle(self, request):
        if request.path == "/healthz":
            return reply(request, {"host": request.headers["host"]}, self.health)
        request.rfile.read(int(request.headers.get("content-length", 0)))
        with self.lock:
            self.asked[request.path] += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        if request.path == "/wait":
            assert self.go.wait(30)
        with self.lock:
            self.under_way -= 1
        reply(request, {"origin": self.name}, self.status)


@pytest.fixture
def three():
    servers = [Moody(f"server-{number}") for number in range(3)]
    yield servers
    for server in servers:
        server.go.set()
        server.stop()


def gate_for(folder, servers, upstream=None, routes=None, **more):
    app = {"servers": [server.url for server in servers]} | (upstream or {})
    routes = routes or [{"match": {"path": "/{rest*}"}, **OPEN, "upstream": {"to": "app"}}]
    return served.running(folder / "gate", servers[0], routes=routes, upstreams={"app": app}, **more)


def who(gate, path="/", **more):
    answer = gate.get(path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["origin"]


def view(gate):
    return requests.get(f"{gate.admin_url}/upstreams", timeout=5).json()[0]


def states(gate):
    return [server["healthy"] for server in view(gate)["servers"]]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# Which server


def test_each_server_has_its_turn(tmp_path, three):
    with gate_for(tmp_path, three) as gate:
        assert Counter(who(gate) for _ in range(30)) == {server.name: 10 for server in three}


def test_the_one_with_the_fewest_requests_is_asked(tmp_path, three):
    with gate_for(tmp_path, three, {"balance": "least_connections"}) as gate, ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(gate.get, "/wait")
        wait_until(lambda: sum(server.under_way for server in three) == 2, "both wait")
        busy = {server.name for server in three if server.under_way}
        assert len(busy) == 2
        assert {who(gate) for _ in range(10)} == {server.name for server in three} - busy
        for server in three:
            server.go.set()


@pytest.mark.parametrize(
    "key,of",
    [
        ({"header": "X-Tenant"}, lambda key: {"headers": {"x-tenant": key}}),
        ({"cookie": "sid"}, lambda key: {"headers": {"cookie": f"a=b; sid={key}; asid=x"}}),
        ("path", lambda key: {"path": f"/{key}"}),
    ],
)
def test_a_key_always_leads_to_one_server(tmp_path, three, key, of):
    with gate_for(tmp_path, three, {"balance": {"hash": key}}) as gate:
        first = {number: who(gate, **of(f"k{number}")) for number in range(60)}
        assert set(first.values()) == {server.name for server in three}
        assert {number: who(gate, **of(f"k{number}")) for number in range(60)} == first
        if key != "path":
            assert len({who(gate) for _ in range(6)}) == 3, "without a key, each in turn"


def test_a_client_stays_with_its_server(tmp_path, three):
    with gate_for(tmp_path, three, {"balance": {"hash": "client_ip"}}, trusted_peers=["127.0.0.1/32"]) as gate:
        assert len({who(gate) for _ in range(9)}) == 1
        names = {who(gate, headers={"x-forwarded-for": f"192.0.2.{number}"}) for number in range(60)}
        assert len(names) == 3


# Servers that fail


def test_a_server_that_cannot_be_reached_costs_nobody_an_answer(tmp_path, three):
    """Also a request that may not be sent twice: it never got there."""
    gone = Moody("gone", closed_port())
    gone.stop()
    with gate_for(tmp_path, [gone, *three[:2]]) as gate:
        for body in (None, b"x" * 100) * 10:
            answer = requests.request("POST" if body else "GET", gate.url + "/", data=body, timeout=10)
            assert answer.status_code == 200
        assert not states(gate)[0], "after five failures it is left alone"
        assert "is left alone for a while" in json.dumps(gate.readyz().json()["degraded"])
        assert "portcullis_upstream_ejections_total" in gate.metrics()


def test_a_server_that_was_left_alone_is_asked_again(tmp_path, three):
    eject = {"failures": 2, "seconds": 1, "statuses": [503]}
    with gate_for(tmp_path, three, {"eject": eject}) as gate:
        three[0].status = 503
        for _ in range(12):
            gate.get("/")
        assert states(gate) == [False, True, True]
        three[0].status = 200
        assert 503 not in {gate.get("/").status_code for _ in range(12)}
        wait_until(lambda: three[0].name in {who(gate) for _ in range(3)}, "its turn again")
        wait_until(lambda: all(states(gate)), "all well")


def test_never_all_servers_are_left_alone(tmp_path, three):
    eject = {"failures": 1, "seconds": 60, "statuses": [503], "most_percent": 100}
    with gate_for(tmp_path, three[:1], {"eject": eject}) as gate:
        three[0].status = 503
        assert [gate.get("/").status_code for _ in range(4)] == [503] * 4
        three[0].status = 200
        assert who(gate) == three[0].name


def test_a_server_is_well_as_its_check_says(tmp_path, three):
    health = {"path": "/healthz", "every_seconds": 1, "fall": 1}
    with gate_for(tmp_path, three, {"health": health}) as gate:
        three[1].health = 500
        wait_until(lambda: states(gate) == [True, False, True], "ill")
        assert three[1].name not in {who(gate) for _ in range(9)}
        degraded = json.dumps(gate.readyz().json()["degraded"])
        assert "fails its health check: it answers 500" in degraded
        three[1].health = 204
        wait_until(lambda: all(states(gate)), "well")
        assert three[1].name in {who(gate) for _ in range(9)}


def test_a_check_that_is_not_answered_fails(tmp_path, three):
    class Silent(RawServer):
        def serve(self, connection):
            read_head(connection.makefile("rb"))
            connection.recv(1)

    silent = Silent()
    health = {"path": "/healthz", "every_seconds": 1, "timeout_seconds": 1, "fall": 1}
    with gate_for(tmp_path, [three[0], silent], {"health": health}) as gate:
        wait_until(lambda: states(gate) == [True, False], "ill")
        assert "does not answer within 1 s" in json.dumps(gate.readyz().json()["degraded"])
    silent.stop()


# Limits


def test_what_a_server_does_not_take_waits_or_is_refused(tmp_path, three):
    limits = {"connections": 2, "pending": 3, "pending_seconds": 30}
    server = three[0]
    with gate_for(tmp_path, [server], {"limits": limits}) as gate, ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(gate.get, "/wait") for _ in range(5)]
        wait_until(lambda: view(gate)["pending"] == 3 and server.under_way == 2, "three wait")
        refused = gate.get("/wait")
        assert (refused.status_code, refused.json()["code"]) == (503, "upstream_overloaded")
        assert int(refused.headers["retry-after"]) > 0
        server.go.set()
        assert [answer.result().status_code for answer in answers] == [200] * 5
        assert server.most == 2
        assert view(gate)["connections"] == view(gate)["pending"] == 0


def test_nobody_waits_for_ever(tmp_path, three):
    limits = {"connections": 1, "pending_seconds": 1}
    with gate_for(tmp_path, three[:1], {"limits": limits}) as gate, ThreadPoolExecutor(1) as pool:
        first = pool.submit(gate.get, "/wait")
        wait_until(lambda: three[0].under_way == 1, "one is under way")
        began = time.monotonic()
        assert gate.get("/").json()["code"] == "upstream_overloaded"
        assert 0.9 < time.monotonic() - began < 5
        three[0].go.set()
        assert first.result().status_code == 200


# How servers are reached


def test_a_unix_socket_is_a_server(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            reply(self, {"origin": "socket", "path": self.path, "body": len(body)})

        do_GET = do_POST

        def address_string(self):
            return "socket"

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        url = f"unix:{tmp_path}/app.sock"

    with Server(str(tmp_path / "app.sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with gate_for(tmp_path, [server], {"health": "/healthz"}) as gate:
            for _ in range(3):
                assert who(gate, "/pets") == "socket"
            assert requests.post(gate.url + "/", data=b"x" * 9, timeout=10).json()["body"] == 9
            addresses = view(gate)["servers"][0]["addresses"]
            assert [address["address"] for address in addresses] == [f"{tmp_path}/app.sock"]
        server.shutdown()


class Tls(Origin):
    """An origin with TLS."""

    def __init__(self, context):
        self.context = context
        super().__init__("tls")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.port}"


@pytest.fixture
def authority(tmp_path):
    (tmp_path / "pki").mkdir()
    return Authority(tmp_path / "pki")


def test_servers_are_verified_by_the_authority_and_name_that_settings_give(tmp_path, authority):
    origin = Tls(authority.server("right", names=["pets.internal"]))
    right = {"ca": str(authority.file), "name": "pets.internal"}
    with gate_for(tmp_path, [origin], {"tls": right, "health": "/healthz"}) as gate:
        assert who(gate) == "tls"
        assert requests.post(gate.url + "/", data=b"x" * 9, timeout=10).json()["body"] == 9
        assert states(gate) == [True]
    other = tmp_path / "other"
    other.mkdir()
    for number, wrong in enumerate([
        right | {"name": "dogs.internal"},
        right | {"ca": str(Authority(other).file)},
        {"name": "pets.internal"},
    ]):  # fmt: skip
        with gate_for(tmp_path / str(number), [origin], {"tls": wrong, "health": "/healthz"}) as gate:
            refused = gate.get("/")
            assert (refused.status_code, refused.json()["code"]) == (502, "upstream_unreachable"), wrong
            assert "pets.internal" not in refused.text
    origin.stop()


def test_two_upstreams_of_one_server_share_no_connection(tmp_path, authority):
    """One that trusts the wrong authority must not ride on what another has verified."""
    origin = Tls(authority.server("right", names=["pets.internal"]))
    other = tmp_path / "other"
    other.mkdir()
    upstreams = {
        "right": {"servers": [origin.url], "tls": {"name": "pets.internal", "ca": str(authority.file)}},
        "wrong": {"servers": [origin.url], "tls": {"name": "pets.internal", "ca": str(Authority(other).file)}},
    }
    routes = [{"match": {"path": f"/{name}"}, **OPEN, "upstream": {"to": name}} for name in upstreams]
    with served.running(tmp_path / "gate", origin, routes=routes, upstreams=upstreams) as gate:
        for _ in range(3):
            assert gate.get("/right").status_code == 200
            assert gate.get("/wrong").status_code == 502
    origin.stop()


def test_the_gate_shows_its_own_certificate(tmp_path, authority):
    context = authority.server("right", names=["pets.internal"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    origin = Tls(context)
    authority.server("gate", names=["gate.internal"])
    pem = tmp_path / "pki" / "gate.pem"
    pem.chmod(0o600)
    tls = {"ca": str(authority.file), "name": "pets.internal"}
    with gate_for(tmp_path, [origin], {"tls": tls | {"certificate": {"cert": str(pem), "key": str(pem)}}}) as gate:
        assert who(gate) == "tls"
        config = requests.get(f"{gate.admin_url}/config", timeout=5)
        assert config.json()["upstreams"][0]["tls"] == {"ca": True, "name": "pets.internal", "certificate": True}
        assert "PRIVATE" not in config.text
    with gate_for(tmp_path / "without", [origin], {"tls": tls}) as gate:
        assert gate.get("/").status_code == 502
    origin.stop()


def test_a_certificate_that_is_replaced_is_used(tmp_path, authority):
    """Also where the settings say the same as before."""
    other = tmp_path / "other"
    other.mkdir()
    stranger = Authority(other)
    origin = Tls(stranger.server("right", names=["pets.internal"]))
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    with gate_for(tmp_path, [origin], {"tls": {"ca": str(trusted), "name": "pets.internal"}}) as gate:
        assert gate.get("/").status_code == 502
        trusted.write_bytes(stranger.file.read_bytes())
        wait_until(lambda: gate.get("/").status_code == 200, "the new authority")
        trusted.write_text("nothing")
        wait_until(lambda: gate.readyz().json().get("degraded"), "the broken file is told")
        assert gate.get("/").status_code == 200


# What is changed


def forward(match, /, **upstream):
    return {"match": {"path": match}, **OPEN, "upstream": {"to": "app"} | upstream}


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.stop()


def test_paths_hosts_and_fields_are_rewritten(tmp_path, origin):
    routes = [
        forward("/api/{rest*}", path="/v2/{rest*}"),
        forward("/pets/{petId}/owner", path="/owners/by-pet/{petId}", host="owners.internal:8080"),
        forward(
            "/plain",
            remove=["Accept-Language", "x-debug"],
            answer={"headers": {"Strict-Transport-Security": "max-age=600", "server": "gate"}},
        ),
        forward("/bare", answer={"remove": ["Server"]}),
    ]
    with gate_for(tmp_path, [origin], routes=routes) as gate:
        for asked, expected in [
            ("/api/pets/1?a=b&c", "/v2/pets/1?a=b&c"),
            ("/api/", "/v2/"),
            ("/api/a%20b/%C3%A9", "/v2/a%20b/%C3%A9"),
            ("/pets/7/owner", "/owners/by-pet/7"),
        ]:
            for send in (gate.get, lambda path: requests.post(gate.url + path, data=b"x", timeout=10)):
                assert send(asked).json()["path"] == expected
        seen = dict(gate.get("/pets/7/owner").json()["headers"])
        assert seen["host"] == "owners.internal:8080"
        assert seen["x-forwarded-host"] == gate.listen
        answer = gate.get("/plain", headers={"accept-language": "de", "x-debug": "1", "x-other": "2"})
        seen = dict(answer.json()["headers"])
        assert "accept-language" not in seen and "x-debug" not in seen and seen["x-other"] == "2"
        # A server may read them as the same.
        for name in ("x_debug", "X.Debug"):
            answer = gate.get("/plain", headers={name: "1", "x_other": "2"})
            assert answer.status_code == 200, answer.text
            assert name.lower() not in dict(answer.json()["headers"]) and ["x_other", "2"] in answer.json()["headers"]
        assert answer.headers["strict-transport-security"] == "max-age=600"
        assert answer.headers["server"] == "gate"
        assert "server" not in gate.get("/bare").headers


def test_upstreams_are_told_of_the_request_as_it_was_asked(tmp_path, origin):
    """From the head that was decided on, whatever of it is rewritten, and whatever a caller says under these names."""
    told = {
        "x-pet": "pet {path.petId}", "x-rest": "{path.rest}",
        "x-asked": "{request.method} {request.scheme}://{request.host}{request.path}",
    }  # fmt: skip
    routes = [forward("/api/{petId}/{rest*}", path="/v2/{rest*}", host="pets.internal", headers=told)]
    with gate_for(tmp_path, [origin], routes=routes) as gate:
        lies = {"x-pet": "root", "X_Pet": "root", "X-Asked": "GET http://root/"}
        asked = {"headers": {"host": "API.example:8080"} | lies}
        for send in (gate.get, lambda path, **more: requests.post(gate.url + path, data=b"x", timeout=10, **more)):
            answer = send("/api/%37%20a/b%C3%A9/c?d=e", **asked).json()
            seen = {name: value for name, value in answer["headers"] if name in told}
            assert seen == {
                "x-pet": "pet 7%20a", "x-rest": "b%C3%A9/c",
                "x-asked": f"{answer['method']} http://api.example/api/7%20a/b%C3%A9/c",
            }, answer  # fmt: skip
            assert "x_pet" not in dict(answer["headers"])


def test_policies_see_the_path_that_was_asked_for(tmp_path, origin):
    """And records tell it."""
    routes = [forward("/api/{rest*}", path="/v2/{rest*}") | {"name": "api"}]
    with gate_for(tmp_path, [origin], routes=routes) as gate:
        gate.get("/api/pets")
        record = json.loads(wait_until(lambda: gate.lines, "a record")[0])
        assert record["path"] == "/api/pets"


# Patience


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("caller", ["1", "2"])
def test_a_body_may_take_longer_than_its_server_may_be_silent(tmp_path, caller, version):
    """Each piece of it begins that time anew; a server that has all of it and says nothing is late."""

    def handle(exchange):
        exchange.rest()
        if exchange.path == "/answered":
            exchange.answer(200, length=0)
            exchange.finish()
        else:
            exchange.read_on.wait(20)

    ended = threading.Event()

    def serve(exchange):
        exchange.read_on = ended
        handle(exchange)

    server = ends.Server(serve, version)
    patience = {"timeouts": {"silence_seconds": 1}}
    routes = [{"match": {"path": "/{rest*}"}, **OPEN, "upstream": {"to": "app", **patience}}]
    more = {"protocol": f"http{version}", "eject": {"failures": 1}}
    with gate_for(tmp_path, [server], more, routes, limits={"body_idle_seconds": 1}) as gate:

        def upload(path):
            with contextlib.closing(ends.call(served.ports(gate)["plain"][0], caller)) as exchange:
                exchange.ask("POST", path, length=20)
                for number in range(1, 21):
                    exchange.send(b"a")
                    sent = time.monotonic()
                    wait_until(lambda: time.monotonic() > sent + 0.25, f"piece {number} is a while ago")
                exchange.finish()
                done = time.monotonic()
                return exchange.head(), time.monotonic() - done

        assert upload("/answered")[0] == 200
        status, waited = upload("/silent")
        ended.set()
        assert status == 504 and 1.5 < waited < 6
    server.stop()


class Slow(RawServer):
    """Never answers, or drips its answer."""

    def serve(self, connection):
        lines = connection.makefile("rb")
        path = read_head(lines)[0].split()[1]
        if path == b"/drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"1\r\nx\r\n")
                time.sleep(0.1)
        connection.recv(1)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_route_waits_as_long_as_it_says(tmp_path, method):
    slow = Slow()
    routes = [
        forward("/silent", timeouts={"silence_seconds": 1}),
        forward("/never", timeouts={"total_seconds": 1}),
        forward("/drip", timeouts={"total_seconds": 1}),
    ]
    with gate_for(tmp_path, [slow], routes=routes) as gate:
        for path in ("/silent", "/never"):
            began = time.monotonic()
            answer = requests.request(method, gate.url + path, timeout=20)
            assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout"), path
            assert 0.9 < time.monotonic() - began < 5
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.request(method, gate.url + "/drip", timeout=20)
    slow.stop()


def test_what_makes_no_sense_is_told(tmp_path, three):
    folder = tmp_path / "bad"
    folder.mkdir()
    settings = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "upstreams": {
            "app": {
                "servers": ["unix:app.sock", "ftp://10.0.0.1"],
                "health": {"path": "healthz", "every_seconds": 0},
                "balance": {"hash": {"header": "a b"}},
                "slow_start_seconds": 5,
                "limits": {"pending": 3},
                "eject": {"most_percent": 101, "statuses": [200]},
                "tls": {"name": "a b", "ca": "none.pem"},
            },
        },
        "routes": [
            forward(
                "/a/{b*}",
                path="/c/{d}/{b}",
                host="a/b",
                remove=["content-length", "x-a", "X-A"],
                answer={"headers": {"connection": "x", "x": "a\nb"}},
                timeouts={"silence_seconds": 0},
            )
        ],
    }
    file = folder / "portcullis.yaml"
    file.write_text(json.dumps(settings))
    found = run("check", "--config", file)
    assert found.returncode != 0
    said = found.stdout + found.stderr
    for place in [
        "upstreams.app.servers[0]", "upstreams.app.servers[1]", "upstreams.app.health.path",
        "upstreams.app.health.every_seconds", "upstreams.app.balance.hash.header", "upstreams.app.slow_start_seconds",
        "upstreams.app.limits.pending", "upstreams.app.eject.most_percent", "upstreams.app.eject.statuses[0]",
        "upstreams.app.tls.name", "upstreams.app.tls.ca", "routes[0].upstream.path", "routes[0].upstream.host",
        "routes[0].upstream.remove[0]", "routes[0].upstream.remove[2]", "routes[0].upstream.answer.headers.connection",
        "routes[0].upstream.answer.headers.x", "routes[0].upstream.timeouts.silence_seconds",
    ]:  # fmt: skip
        assert place + ":" in said, place

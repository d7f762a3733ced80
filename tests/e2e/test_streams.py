"""Streams end with their permission, each in the way of its protocol, also when nothing is being sent."""

import base64
import hashlib
import http.client
import json
import signal
import threading
import time
from concurrent import futures

import grpc
import pytest
import requests
import websockets.exceptions
import yaml
from websockets.sync.client import connect
from websockets.sync.server import serve as serve_sockets

import served
from origin import Service
from portcullis import PASSWORD, unpad, wait_until
from wire import Http2, RawServer, ask, ask_all, read_head, status
from wire import connect as connect_raw

POLICY = """
@id("watchers")
permit (principal in Pets::Group::"us-east-1_PetStore1|readers", action, resource);
@id("watchers-elsewhere")
permit (principal in Pets::Group::"us-east-1_Remote001|readers", action, resource);
@id("by-the-clock")
forbid (principal, action == Pets::Action::"clocked", resource)
when { context.time > datetime("2999-01-01") };
"""
SCHEMA = """
namespace Pets {
  entity Group;
  entity User in [Group];
  entity Application;
  action "watch", "clocked" appliesTo { principal: User, resource: Application, context: { time: datetime } };
}
"""
# A stream ends within a second of its reason; machines that test are slow at times.
SOON = 3


class Events(Service):
    """Says one event, and then nothing until its caller has gone; on `/flood` it says one after another, and reads nothing."""

    def handle(self, request):
        request.send_response(200)
        request.send_header("content-type", "text/event-stream")
        request.send_header("transfer-encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"d\r\ndata: first\n\n\r\n")
        request.wfile.flush()
        request.connection.settimeout(60)
        request.close_connection = True
        if request.path != "/flood":
            request.rfile.read(1)
            return
        try:
            while True:
                request.wfile.write(b"d\r\ndata: other\n\n\r\n")
                time.sleep(0.01)
        except OSError:
            pass  # The gate has ended it.


class Sockets:
    """Echoes messages."""

    def __init__(self):
        self.seen = []
        self.server = serve_sockets(self.talk, "127.0.0.1", 0, max_size=None)
        self.url = f"http://127.0.0.1:{self.server.socket.getsockname()[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def talk(self, socket):
        self.seen.append(dict(socket.request.headers.raw_items()))
        try:
            for message in socket:
                socket.send(message)
        except websockets.exceptions.ConnectionClosed:
            pass

    def stop(self):
        self.server.shutdown()


class Calls(grpc.GenericRpcHandler):
    """Echoes what it is sent, one call both ways and one by one."""

    def __init__(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers([self])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.deadlines = []

    def service(self, details):
        if details.method.endswith("/Both"):
            return grpc.stream_stream_rpc_method_handler(self.both)
        return grpc.unary_unary_rpc_method_handler(self.one)

    def both(self, requests, context):
        yield from requests

    def one(self, request, context):
        self.deadlines.append(context.time_remaining())
        if request == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as it was asked")
        return request

    def stop(self):
        self.server.stop(None)


@pytest.fixture(scope="module")
def origins():
    found = {"events": Events(), "sockets": Sockets(), "calls": Calls()}
    yield found
    for origin in found.values():
        origin.stop()


def route(path, to, action="watch", **more):
    return {
        "name": path.strip("/").split("/")[0], "match": {"path": path},
        "authenticate": {"bearer": {"issuers": ["pool", "remote"], "from": ["header", {"query": "token"}]}},
        "authorize": {"policies": "pets", "action": action},
        "upstream": {"to": to} | more,
    }  # fmt: skip


@pytest.fixture
def gate(own, origins, issuer):
    """`dev` with routes to streams beside its own."""
    gate = own()
    gate.stop()
    (gate.data / "pets").mkdir()
    (gate.data / "pets/pets.cedar").write_text(POLICY)
    (gate.data / "pets/pets.cedarschema").write_text(SCHEMA)
    file = gate.data / "portcullis.yaml"
    settings = yaml.safe_load(file.read_text())
    name = next(name for name, issuer in settings["issuers"].items() if "embedded" in issuer)
    settings["issuers"]["pool"] = settings["issuers"].pop(name)
    settings["issuers"]["remote"] = {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}
    settings["policies"]["pets"] = {"path": "pets", "principal": "Pets::User", "group": "Pets::Group"}
    for one in settings["routes"]:
        if "bearer" in (one.get("authenticate") or {}):
            one["authenticate"]["bearer"]["issuers"] = ["pool"]
    settings["upstreams"] |= {
        "events": {"servers": [origins["events"].url]},
        "sockets": {"servers": [origins["sockets"].url]},
        "calls": {"servers": [origins["calls"].url], "protocol": "http2"},
    }
    cookie = route("/cookie", "sockets", websocket=True)
    cookie["authenticate"]["bearer"]["from"] = [{"cookie": "sid"}]
    cookie["cors"] = {"origins": ["https://app.example.com"], "credentials": True}
    settings["routes"] += [
        route("/events", "events"),
        route("/clocked", "events", action="clocked"),
        route("/flood", "events"),
        route("/socket", "sockets", websocket=True),
        route("/deaf", "sockets"),
        cookie,
        route("/pets.Calls/{method}", "calls"),
    ]
    settings["limits"] = {"drain_seconds": 3}
    file.write_text(yaml.safe_dump(settings))
    gate.start()
    gate.settings_file = file
    return gate


# Each opens a stream, and says how it ended: what the caller was told, and when.


class Socket:
    def __init__(self, gate, token):
        headers = {"authorization": f"Bearer {token}"}
        self.socket = connect(f"ws://{gate.listen}/socket", additional_headers=headers, legacy=True)
        self.socket.send("hello")
        assert self.socket.recv(10) == "hello"

    def end(self):
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            self.socket.recv(SOON + 10)
        assert closed.value.rcvd.code == 1008, closed.value
        return closed.value.rcvd.reason


class Sse:
    """Over HTTP/1.1."""

    path = "/events"

    def __init__(self, gate, token):
        self.connection = http.client.HTTPConnection(gate.listen, timeout=SOON + 10)
        self.connection.request("GET", self.path, headers={"authorization": f"Bearer {token}"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.readline() == b"data: first\n"

    def end(self):
        # An answer that breaks off raises `IncompleteRead`.
        assert self.answer.read() == b"\n"


class Sse2:
    """Over HTTP/2."""

    def __init__(self, gate, token):
        self.connection = Http2(int(gate.listen.rsplit(":", 1)[1]))
        self.connection.socket.settimeout(SOON + 10)
        field = (b"authorization", f"Bearer {token}".encode())
        self.stream = self.connection.request([field], path=b"/events", authority=gate.listen.encode())
        assert self.connection.until(lambda: b"first" in self.connection.bodies.get(self.stream, b""))

    def end(self):
        assert self.connection.until(lambda: self.stream in self.connection.ended)
        assert self.stream not in self.connection.reset


class Call:
    """A call that goes on both ways."""

    def __init__(self, gate, token):
        self.go = threading.Event()
        self.channel = grpc.insecure_channel(gate.listen)
        both = self.channel.stream_stream("/pets.Calls/Both")
        self.answers = both(self.ask(), metadata=[("authorization", f"Bearer {token}")])
        assert next(self.answers) == b"hello"

    def ask(self):
        yield b"hello"
        self.go.wait(60)

    def end(self):
        with pytest.raises(grpc.RpcError) as ended:
            next(self.answers)
        self.go.set()
        self.channel.close()
        assert ended.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
        return ended.value.details().split(":")[0], ended.value.code()


KINDS = {"websocket": Socket, "sse": Sse, "sse-h2": Sse2, "grpc": Call}


def user(gate, name):
    idp = gate.idp()
    idp.admin_create_user(UserPoolId=gate.pool, Username=name, MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=gate.pool, Username=name, Password=PASSWORD, Permanent=True)
    idp.admin_add_user_to_group(UserPoolId=gate.pool, Username=name, GroupName="readers")
    flow = {"USERNAME": name, "PASSWORD": PASSWORD}
    return idp.initiate_auth(ClientId=gate.client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=flow)["AuthenticationResult"]


def signed_out(gate, issuer):
    tokens = user(gate, "ada")
    return tokens["AccessToken"], lambda: gate.idp().global_sign_out(AccessToken=tokens["AccessToken"]), "token_revoked"


def disabled(gate, issuer):
    tokens = user(gate, "bob")
    return tokens["AccessToken"], lambda: gate.idp().admin_disable_user(UserPoolId=gate.pool, Username="bob"), "token_revoked"


def expired(gate, issuer):
    # The gate allows for clocks that differ by five seconds.
    over = time.time() - 5 + 2.5
    return issuer.token(exp=int(over) + 1), lambda: time.sleep(max(0, int(over) + 6 - time.time())), "token_expired"


def forbidden(gate, issuer):
    policies = gate.data / "pets/pets.cedar"
    forbid = '@id("closed") forbid (principal, action, resource);'
    return issuer.token(), lambda: policies.write_text(POLICY + forbid), "policy_denied"


def unrouted(gate, issuer):
    def change():
        text = gate.settings_file.read_text()
        settings = yaml.safe_load(text)
        settings["routes"] = [one for one in settings["routes"] if one.get("upstream", {}).get("to") not in ("events", "sockets", "calls")]
        gate.settings_file.write_text(yaml.safe_dump(settings))

    return issuer.token(), change, "route_not_found"


REASONS = [signed_out, disabled, expired, forbidden, unrouted]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.__name__)
def test_a_stream_ends_with_its_permission(gate, issuer, reason):
    token, change, code = reason(gate, issuer)
    other = issuer.token(sub="other")
    open_streams = {kind: stream(gate, token) for kind, stream in KINDS.items()}
    stays = Socket(gate, other)
    change()
    changed = time.monotonic()
    ended = {kind: stream.end() for kind, stream in open_streams.items()}
    took = time.monotonic() - changed
    assert took < SOON, took
    assert ended["websocket"] == code and ended["grpc"][0] == code
    if code == "route_not_found":
        return
    status = grpc.StatusCode.UNAUTHENTICATED if code.startswith("token") else grpc.StatusCode.PERMISSION_DENIED
    assert ended["grpc"][1] == status
    number = 5 if code == "policy_denied" else 4
    wait_until(lambda: f'streams_ended_total{{cause="permission"}} {number}' in gate.metrics(), "their count")
    wait_until(lambda: sum(f'"code":"{code}"' in line for line in gate.lines) == number, "their records")
    if code != "policy_denied":
        stays.socket.send("still")
        assert stays.socket.recv(5) == "still"


def test_a_policy_that_reads_the_time_is_asked_again_and_again(gate, issuer):
    class Clocked(Sse):
        path = "/clocked"

    stream = Clocked(gate, issuer.token())
    policies = gate.data / "pets/pets.cedar"
    soon = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 4))
    policies.write_text(POLICY.replace("2999-01-01", soon))
    wait_until(lambda: "portcullis_generation 2" in gate.metrics(), "the policies in force")
    begun = time.monotonic()
    stream.end()
    assert 1 < time.monotonic() - begun < 4 + SOON


# WebSocket


def test_operators_see_which_routes_let_websockets_through(gate):
    routes = requests.get(f"{gate.admin_url}/routes", timeout=5).json()
    assert {route["name"] for route in routes if route["websocket"]} == {"socket", "cookie"}


def test_a_websocket_is_one_stream_of_messages(gate, issuer, origins):
    origins["sockets"].seen.clear()
    with connect(f"ws://{gate.listen}/socket?token={issuer.token()}", subprotocols=["chat"], max_size=None) as socket:
        for message in ["", "a", "é" * 100, b"\0" * 70_000, b"x" * 10_000_000]:
            socket.send(message)
            assert socket.recv(20) == message
        assert socket.ping().wait(10)
    seen = {name.lower(): value for name, value in origins["sockets"].seen[0].items()}
    assert seen["connection"].lower() == "upgrade" and seen["upgrade"] == "websocket" and seen["x-request-id"]
    assert "authorization" not in seen


@pytest.mark.parametrize("ask", [{}, {"additional_headers": {"authorization": "Bearer no"}}])
def test_a_websocket_needs_a_permit(gate, ask, origins):
    origins["sockets"].seen.clear()
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(f"ws://{gate.listen}/socket", **ask)
    assert refused.value.response.status_code == 401
    assert not origins["sockets"].seen


def test_a_route_without_websocket_upgrades_nothing(gate, issuer):
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(f"ws://{gate.listen}/deaf", additional_headers={"authorization": f"Bearer {issuer.token()}"})
    assert refused.value.response.status_code == 426


def test_a_server_that_closes_is_heard(gate, issuer, origins):
    with connect(f"ws://{gate.listen}/socket?token={issuer.token()}") as socket:
        socket.close(4001, "enough")
    wait_until(lambda: 'portcullis_streams_open{route="socket"} 0' in gate.metrics(), "its end")
    assert 'streams_ended_total{cause="finished"} 1' in gate.metrics()


# gRPC


def unary(gate, token=None, path="/pets.Calls/One", request=b"hello", **more):
    with grpc.insecure_channel(gate.listen) as channel:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return channel.unary_unary(path)(request, metadata=metadata, **more)


def test_calls_are_answered_with_their_trailers(gate, issuer, origins):
    assert unary(gate, issuer.token()) == b"hello"
    assert unary(gate, issuer.token(), request=b"x" * 3_000_000, timeout=20) == b"x" * 3_000_000
    assert 15 < origins["calls"].deadlines[-1] <= 20, "the deadline goes on"
    with pytest.raises(grpc.RpcError) as failed:
        unary(gate, issuer.token(), request=b"fail")
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "as it was asked")


def test_refused_calls_have_a_status(gate, issuer, origins):
    for token, path, status, code in [
        (None, "/pets.Calls/One", grpc.StatusCode.UNAUTHENTICATED, "token_missing"),
        (issuer.token(exp=1), "/pets.Calls/One", grpc.StatusCode.UNAUTHENTICATED, "token_expired"),
        (issuer.token(**{"cognito:groups": []}), "/pets.Calls/One", grpc.StatusCode.PERMISSION_DENIED, "no_permit"),
        (issuer.token(), "/others/One", grpc.StatusCode.UNIMPLEMENTED, "route_not_found"),
    ]:
        with pytest.raises(grpc.RpcError) as refused:
            unary(gate, token, path)
        assert (refused.value.code(), refused.value.details().split(":")[0]) == (status, code)


def test_a_call_ends_at_its_deadline_though_its_caller_forgets_it(gate, issuer):
    connection = Http2(int(gate.listen.rsplit(":", 1)[1]))
    connection.socket.settimeout(SOON + 10)
    begun = time.monotonic()
    stream = connection.request([
        (b"authorization", f"Bearer {issuer.token()}".encode()), (b"content-type", b"application/grpc"),
        (b"te", b"trailers"), (b"grpc-timeout", b"700m"),
    ], end=False, method=b"POST", path=b"/pets.Calls/Both", authority=gate.listen.encode())  # fmt: skip
    assert connection.until(lambda: stream in connection.ended or stream in connection.reset)
    assert 0.6 < time.monotonic() - begun < SOON
    assert stream in connection.ended


@pytest.mark.parametrize("origin, may", [
    (None, True), ("http://{listen}", True), ("https://app.example.com", True), ("https://evil.example", False),
    ("https://{listen}", False), ("null", False),
])  # fmt: skip
def test_pages_of_other_origins_open_no_websocket_with_a_cookie(gate, issuer, origins, origin, may):
    origins["sockets"].seen.clear()
    origin = origin and origin.format(listen=gate.listen)
    options = {"additional_headers": {"cookie": f"sid={issuer.token()}"}, "origin": origin}
    if may:
        with connect(f"ws://{gate.listen}/cookie", **options) as socket:
            socket.send("hello")
            assert socket.recv(10) == "hello"
        # A token in the query is not sent by whoever does not know it.
        with connect(f"ws://{gate.listen}/socket?token={issuer.token()}", origin="https://evil.example"):
            pass
        return
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(f"ws://{gate.listen}/cookie", legacy=True, **options)
    assert refused.value.response.status_code == 403 and b"origin_refused" in refused.value.response.body
    assert not origins["sockets"].seen


UPGRADE = b"GET /raw HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


class Unwilling(RawServer):
    """Answers whatever it is told to, keeps what it gets, and whether that came before its answer."""

    def __init__(self):
        self.answer = b""
        self.got = b""
        self.answered = threading.Event()
        super().__init__()

    def serve(self, connection):
        lines = connection.makefile("rb")
        self.got = b"\r\n".join(read_head(lines))
        connection.sendall(self.answer)
        self.answered.set()
        connection.settimeout(1)
        try:
            while more := connection.recv(65536):
                self.got += more
        except TimeoutError:
            pass


@pytest.fixture
def unwilling(tmp_path):
    origin = Unwilling()
    upstream = {"to": "origin", "websocket": True}
    with served.running(tmp_path / "gate", origin, served.everything(upstream=upstream)) as gate:
        yield origin, gate
    origin.stop()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n\r\n",
])  # fmt: skip
def test_nothing_goes_on_behind_a_request_that_is_not_upgraded(unwilling, answer, tls):
    origin, gate = unwilling
    origin.answer = answer
    port, _ = served.ports(gate)["tls" if tls else "plain"]
    said = ask_all(port, UPGRADE + b"Connection: close\r\n\r\n" + SMUGGLED, tls)
    assert status(said) == (int(answer.split()[1]) if b"101" not in answer else 502)
    assert said.count(b"HTTP/1.1 ") == 1, said
    assert origin.answered.wait(10)
    assert b"admin" not in origin.got, origin.got


def test_upgrades_to_other_things_are_requests_like_others(unwilling):
    origin, gate = unwilling
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    port, tls = served.ports(gate)["plain"]
    for request in [
        UPGRADE.replace(b"websocket\r\nSec", b"h2c\r\nSec"), UPGRADE.replace(b"Connection: upgrade\r\n", b""),
        UPGRADE.replace(b"GET", b"PUT"), UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ]:  # fmt: skip
        assert ask(port, request + b"\r\n", tls) == 200
        assert b"upgrade" not in origin.got.lower(), origin.got


def test_a_drain_closes_streams_in_their_own_way(gate, issuer):
    socket, events, call, idle = (KINDS[kind](gate, issuer.token()) for kind in ("websocket", "sse", "grpc", "grpc"))
    gate.signal(signal.SIGTERM)
    stopped = time.monotonic()
    with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
        socket.socket.recv(SOON + 10)
    assert closed.value.rcvd.code == 1001
    assert time.monotonic() - stopped < 2
    # What has an end of its own may come to it, for as long as the grace lasts.
    call.go.set()
    with pytest.raises(StopIteration):
        next(call.answers)
    call.channel.close()
    events.end()
    assert 2.5 < time.monotonic() - stopped < 3 + SOON
    with pytest.raises(grpc.RpcError) as ended:
        next(idle.answers)
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE and "going_away" in ended.value.details()
    idle.go.set()
    idle.channel.close()
    assert gate.process.wait(20) == 0


def test_streams_that_are_cut_with_the_process_have_records(gate, issuer):
    events, call = Sse(gate, issuer.token()), Call(gate, issuer.token())
    gate.signal(signal.SIGTERM)
    wait_until(lambda: gate.readyz().status_code == 503, "the drain")
    gate.signal(signal.SIGTERM)
    assert gate.process.wait(10) == 0
    with pytest.raises(http.client.IncompleteRead):
        events.answer.read()
    call.go.set()
    call.channel.close()
    found = lambda: [json.loads(line) for line in gate.lines if '"code":"going_away"' in line]  # noqa: E731
    cut = {record["route"]: record for record in wait_until(lambda: len(found()) == 2 and found(), "both records")}
    assert {(record["outcome"], record["status"]) for record in cut.values()} == {("error", 200)}
    assert cut["events"]["bytes"] == len("data: first\n\n") and cut["events"]["principal"]
    # A message of gRPC has 5 octets before it.
    assert cut["pets.Calls"]["bytes"] == 5 + len("hello")


def test_events_end_while_their_caller_sends_what_nobody_reads(gate, issuer):
    """Nobody reads of the caller then, by which he would be told otherwise."""
    tokens = user(gate, "eve")
    with connect_raw(int(gate.listen.rsplit(":", 1)[1])) as connection:
        head = f"POST /flood HTTP/1.1\r\nHost: {gate.listen}\r\nAuthorization: Bearer {tokens['AccessToken']}\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.settimeout(20)
        said = b""
        while b"other" not in said:
            more = connection.recv(65536)
            assert more, said
            said += more

        def send():
            try:
                while True:
                    connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            except OSError:
                pass  # The gate has ended it.

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        gate.idp().global_sign_out(AccessToken=tokens["AccessToken"])
        out = time.monotonic()
        try:
            while more := connection.recv(65536):
                said = more
        except ConnectionResetError:
            pass
        assert time.monotonic() - out < SOON
    record = flood_record(gate)
    assert record["principal"] and record["bytes"] >= len("data: first\n\ndata: other\n\n")
    assert 'portcullis_streams_ended_total{cause="permission"} 1\n' in gate.metrics()
    assert 'portcullis_streams_open{route="flood"} 0\n' in gate.metrics()


def flood_record(gate, code="token_revoked"):
    """The record of a stream that nobody serves any more."""
    found = lambda: [json.loads(line) for line in gate.lines if f'"code":"{code}"' in line]  # noqa: E731
    (record,) = wait_until(found, "its record")
    assert (record["route"], record["status"], record["method"], record["path"]) == ("flood", 200, "POST", "/flood")
    return record


def test_events_end_over_http2_while_their_caller_sends_what_nobody_reads(gate, issuer):
    tokens = user(gate, "eve")
    connection = Http2(int(gate.listen.rsplit(":", 1)[1]))
    connection.socket.settimeout(SOON + 10)
    field = (b"authorization", f"Bearer {tokens['AccessToken']}".encode())
    stream = connection.request([field], end=False, method=b"POST", path=b"/flood", authority=gate.listen.encode())
    assert connection.fill(stream, lambda: b"other" in connection.bodies.get(stream, b""))
    gate.idp().global_sign_out(AccessToken=tokens["AccessToken"])
    out = time.monotonic()
    assert connection.fill(stream, lambda: stream in connection.ended or stream in connection.reset)
    assert time.monotonic() - out < SOON
    flood_record(gate)


def test_a_reload_may_take_websocket_away(gate, issuer):
    socket = Socket(gate, issuer.token())
    settings = yaml.safe_load(gate.settings_file.read_text())
    for one in settings["routes"]:
        one.get("upstream", {}).pop("websocket", None)
    gate.settings_file.write_text(yaml.safe_dump(settings))
    assert socket.end() == "route_not_found"


class HalfFrame(RawServer):
    """Opens a WebSocket, says one message, and then half of a second one, of which the rest comes when it is let on."""

    def __init__(self):
        self.go = threading.Event()
        super().__init__()

    def serve(self, connection):
        head = read_head(connection.makefile("rb"))
        key = next(line.split(b": ")[1] for line in head if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x05first\x81\x06sec"
        )
        if self.go.wait(20):
            connection.sendall(b"ond\x81\x05third\x81\x06fourth")
        connection.recv(1)


@pytest.mark.parametrize("finishes", [True, False])
def test_a_message_at_hand_is_finished_and_nothing_goes_behind_it(own, issuer, tmp_path, finishes):
    origin = HalfFrame()
    bearer = {"bearer": {"issuers": ["remote"]}}
    routes = served.everything(authenticate=bearer, authorize="authenticated", upstream={"to": "origin", "websocket": True})
    issuers = {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}}
    with served.running(tmp_path / "gate", origin, routes, issuers=issuers, tokens={"leeway_seconds": 0}) as gate:
        headers = {"authorization": f"Bearer {issuer.token(exp=int(time.time()) + 3)}"}
        socket = connect(f"ws://{gate.listen}/", additional_headers=headers, legacy=True)
        assert socket.recv(5) == "first"
        # Once the gate has asked it to end, which it tells nobody, and before it does so by force.
        if finishes:
            threading.Timer(0.2, origin.go.set).start()
            wait_until(lambda: int(time.time()) >= json.loads(unpad(headers["authorization"].split(".")[1]))["exp"], "the end", 10)
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            while True:
                assert socket.recv(SOON + 10) in ("second", "third", "fourth")
        if finishes:
            assert closed.value.rcvd.code == 1008
        else:
            assert closed.value.rcvd is None, "nothing can be said in the middle of a message"
    origin.go.set()
    origin.stop()

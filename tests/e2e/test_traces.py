"""OpenTelemetry traces: whose they are, what they say, and that nobody waits for them."""

import json
import os
import signal
import socket
import time

import grpc
import pytest
import requests
import yaml
from websockets.sync.client import connect as connect_socket

import served
from collector import Collector
from origin import Origin
from portcullis import PASSWORD, wait_until
from test_streams import Calls, Sockets
from wire import Http2
from wire import connect as connect_raw

POLICY = """
@id("readers")
permit (principal in Pets::Group::"us-east-1_Remote001|readers", action, resource);
"""
SCHEMA = """
namespace Pets {
  entity Group;
  entity User in [Group];
  entity Application;
  action "look" appliesTo { principal: User, resource: Application };
}
"""
# Peers are told apart by where they connect from.
STRANGER, TRUSTED = "127.0.0.3", "127.0.0.2"


class Traced(Calls):
    """Keeps the metadata of calls."""

    def one(self, request, context):
        self.metadata = dict(context.invocation_metadata())
        return super().one(request, context)


@pytest.fixture(scope="module")
def origins():
    found = {"echo": Origin(), "sockets": Sockets(), "calls": Traced()}
    yield found
    for origin in found.values():
        origin.stop()


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def gate(tmp_path, origins, issuer):
    """Runs a gate with these `traces`."""
    started = []

    def start(traces, **more):
        (tmp_path / "pets").mkdir()
        (tmp_path / "pets/pets.cedar").write_text(POLICY)
        (tmp_path / "pets/pets.cedarschema").write_text(SCHEMA)
        bearer = {"issuers": ["remote"], "from": ["header", {"query": "token"}, {"cookie": "sid"}]}
        guarded = {"authenticate": {"bearer": bearer}, "authorize": {"policies": "pets", "action": "look"}}
        routes = [
            {"name": "get an echo", "match": {"path": "/echo/{id}"}, **guarded, "upstream": {"to": "echo"}},
            {"name": "stream", "match": {"path": "/stream"}, **guarded, "upstream": {"to": "echo"}},
            {"name": "socket", "match": {"path": "/socket"}, **guarded, "upstream": {"to": "sockets", "websocket": True}},
            {"name": "calls", "match": {"path": "/pets.Calls/{method}"}, **guarded, "upstream": {"to": "calls"}},
            {"name": "open", "match": {"path": "/open"}, **served.OPEN},
            {"name": "dead", "match": {"path": "/dead"}, "authenticate": "none", "authorize": "none", "upstream": {"to": "dead"}},
        ]
        settings = {
            "issuers": {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}},
            "policies": {"pets": {"path": "pets", "principal": "Pets::User", "group": "Pets::Group"}},
            "upstreams": {
                "origin": {"servers": [origins["echo"].url]},
                "echo": {"servers": [origins["echo"].url]},
                "sockets": {"servers": [origins["sockets"].url]},
                "calls": {"servers": [origins["calls"].url], "protocol": "http2"},
                "dead": {"servers": [f"http://127.0.0.1:{unused()}"]},
            },
            "trusted_peers": [f"{TRUSTED}/32"],
        }  # fmt: skip
        traces = {"traces": traces} if traces else {}
        gate = served.serve(tmp_path, origins["echo"], routes, **(settings | traces | more))
        gate.settings_file = tmp_path / "portcullis.yaml"
        started.append(gate)
        return gate

    yield start
    for gate in started:
        if gate.process.poll() is None:
            gate.kill()


def unused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def to(collector, **more):
    return {"otlp": collector.url} | more


def parent(flags="01"):
    """A trace of the caller's, and what says so."""
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    return trace, span, f"00-{trace}-{span}-{flags}"


def upstream(answer):
    """The header fields that reached the upstream."""
    assert answer.status_code == 200, answer.text
    return answer.json()["headers"]


def got(headers, name):
    return [value for known, value in headers if known == name]


def ask(gate, source, traceparent, path="/open"):
    """Asks from an address; gives what reached the upstream."""
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\ntraceparent: {traceparent}\r\n\r\n"
    with connect_raw(int(gate.listen.rsplit(":", 1)[1]), source=source) as connection:
        connection.sendall(request.encode())
        data = b""
        while more := connection.recv(65536):
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return json.loads(body)["headers"]


# What is told


@pytest.mark.parametrize("way", ["direct", "body"])
def test_a_request_is_a_span_in_its_callers_trace(gate, collector, issuer, way):
    gate = gate(to(collector, service_name="the-gate"))
    trace, span, traceparent = parent()
    token = issuer.token()
    sent = {"traceparent": traceparent, "tracestate": "a=1, b=2", "cookie": "session=hunter2", "x-key": "hunter3"}
    body = {"data": b"hunter4"} if way == "body" else {}
    answer = requests.request(
        "POST" if body else "GET", f"{gate.url}/echo/7?token={token}&code=hunter5", headers=sent, timeout=10, **body
    )
    server = collector.span(trace=trace)
    client = collector.span("CLIENT", trace=trace)
    assert (server.parent, client.parent) == (span, server.id)
    headers = upstream(answer)
    assert got(headers, "traceparent") == [f"00-{trace}-{client.id}-01"]
    assert got(headers, "tracestate") == ["a=1, b=2"] == [server.state]
    assert (server.name, client.name) == ("get an echo", "echo")
    assert server.resource.items() >= {"service.name": "the-gate"}.items() and server.resource["service.instance.id"]
    assert server.attributes == {
        "http.request.method": "POST" if body else "GET", "url.scheme": "http", "url.path": "/echo/7", "http.route": "/echo/{id}",
        "server.address": "127.0.0.1", "server.port": int(gate.listen.rsplit(":", 1)[1]), "client.address": "127.0.0.1",
        "network.protocol.version": "1.1", "http.response.status_code": 200, "portcullis.outcome": "allow",
        "portcullis.request_id": answer.headers["x-request-id"], "portcullis.generation": 1,
    }  # fmt: skip
    assert client["http.response.status_code"] == 200 and client["server.address"] == "127.0.0.1"
    assert {"identify", "decide"} <= server.events.keys()
    record = json.loads(wait_until(lambda: [line for line in gate.lines if server["portcullis.request_id"] in line], "its record")[0])
    for stage, (when, attributes) in server.events.items():
        assert attributes["portcullis.micros"] == record["micros"][stage]
        assert server.start < when <= client.start + 1000
    assert server.start <= client.start <= client.end <= server.end
    assert not server.failed and not client.failed
    for secret in [token[-40:], token[:40], "hunter", "code=", "someone", "readers"]:
        assert secret.encode() not in collector.raw, secret


def test_refusals_and_failures_say_why(gate, collector, issuer):
    gate = gate(to(collector))
    for path, ask, status, code, name in [
        ("/echo/7", {}, 401, "token_missing", "get an echo"),
        ("/echo/7", {"token": issuer.token(**{"cognito:groups": []})}, 403, "no_permit", "get an echo"),
        ("/nowhere", {}, 404, "route_not_found", "(none)"),
        ("/open%2Fshut?hunter2", {}, 400, "path_ambiguous", "(none)"),
    ]:
        answer = gate.get(path, **ask)
        assert answer.status_code == status
        span = collector.span(portcullis_request_id=answer.headers["x-request-id"])
        assert (span.name, span["http.response.status_code"], span["error.type"]) == (name, status, code)
        assert (span["portcullis.code"], span.failed) == (code, False)
        assert span["portcullis.outcome"] == ("deny" if status in (401, 403) else "refuse")
        assert all(other.trace != span.trace or other is span for other in collector.spans)
    answer = gate.get("/dead")
    server = collector.span(portcullis_request_id=answer.headers["x-request-id"])
    client = collector.span("CLIENT", trace=server.trace)
    for span in (server, client):
        assert span["error.type"] == "upstream_unreachable" and span.failed
    assert "http.response.status_code" not in client.attributes
    assert b"hunter2" not in collector.raw


def test_http2_has_spans(gate, collector):
    gate = gate(to(collector))
    trace, span, traceparent = parent()
    with Http2(int(gate.listen.rsplit(":", 1)[1])) as connection:
        fields = [(b"traceparent", traceparent.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
        stream = connection.request(fields, path=b"/open", authority=b"api.example.com")
        assert connection.answer(stream) == 200
        headers = json.loads(connection.bodies[stream])["headers"]
    server, client = collector.span(trace=trace), collector.span("CLIENT", trace=trace)
    assert server.parent == span and server["network.protocol.version"] == "2"
    assert (server["server.address"], "server.port" in server.attributes) == ("api.example.com", False)
    assert got(headers, "traceparent") == [f"00-{trace}-{client.id}-01"]
    assert got(headers, "tracestate") == ["a=1,b=2"]


def test_grpc_has_spans(gate, collector, issuer, origins):
    gate = gate(to(collector))
    trace, span, traceparent = parent()
    with grpc.insecure_channel(gate.listen) as channel:
        one = channel.unary_unary("/pets.Calls/One")
        metadata = [("traceparent", traceparent), ("authorization", f"Bearer {issuer.token()}")]
        assert one(b"hello", metadata=metadata) == b"hello"
        client = collector.span("CLIENT", trace=trace)
        assert origins["calls"].metadata["traceparent"] == f"00-{trace}-{client.id}-01"
        refused, _, traceparent = parent()
        with pytest.raises(grpc.RpcError):
            one(b"hello", metadata=[("traceparent", traceparent)])
    assert collector.span(trace=trace).parent == span
    assert collector.span(trace=refused)["error.type"] == "token_missing"


def test_a_span_ends_with_its_stream(gate, collector, issuer, origins):
    gate = gate(to(collector))
    trace, span, traceparent = parent()
    headers = {"authorization": f"Bearer {issuer.token()}", "traceparent": traceparent}
    with connect_socket(f"ws://{gate.listen}/socket", additional_headers=headers) as socket:
        socket.send("hello")
        assert socket.recv(10) == "hello"
        # What was over before it is told before it.
        other = gate.get("/open").headers["x-request-id"]
        collector.span(portcullis_request_id=other)
        assert all(known.trace != trace for known in collector.spans)
    server, client = collector.span(trace=trace), collector.span("CLIENT", trace=trace)
    assert server["http.response.status_code"] == 101 and server.parent == span
    assert server.seconds > 0.5 and client.seconds > 0.5
    seen = {name.lower(): value for name, value in origins["sockets"].seen[-1].items()}
    assert seen["traceparent"] == f"00-{trace}-{client.id}-01"


def test_a_stream_that_is_permitted_no_more_says_so(gate, collector, issuer, origins):
    gate = gate(to(collector))
    origins["echo"].go.clear()
    trace, _, traceparent = parent()
    headers = {"authorization": f"Bearer {issuer.token()}", "traceparent": traceparent}
    with requests.get(f"{gate.url}/stream", headers=headers, stream=True, timeout=10) as answer:
        pieces = answer.iter_content(5)
        assert next(pieces) == b"first"
        (gate.data / "pets/pets.cedar").write_text(POLICY.replace("permit", "forbid"))
        assert list(pieces) == []
    origins["echo"].go.set()
    span = collector.span(trace=trace)
    assert (span["http.response.status_code"], span["error.type"]) == (200, "policy_denied")


def test_the_pools_have_spans(own, collector):
    gate = own()
    change(gate, gate.data / "portcullis.yaml", traces=to(collector))
    wait_until(lambda: "portcullis_generation 2" in gate.metrics(), "the settings in force")
    trace, span, traceparent = parent()
    body = {"ClientId": gate.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "ada", "PASSWORD": PASSWORD}}
    answer = gate.raw("InitiateAuth", body, {"traceparent": traceparent})
    assert answer.status_code == 400
    server = collector.span(trace=trace)
    assert (server.parent, server["http.response.status_code"], server["url.path"]) == (span, 400, "/")
    assert not server.failed and server["portcullis.outcome"] == "allow"
    assert [known for known in collector.spans if known.trace == trace] == [server]
    assert PASSWORD.encode() not in collector.raw and b"USERNAME" not in collector.raw


# Whose trace it is, and who decides


def test_what_is_no_parent_is_left(gate, collector):
    gate = gate(to(collector))
    trace, span, traceparent = parent()
    for sent in [
        traceparent.upper(), traceparent[:-1], f"ff{traceparent[2:]}", f"{traceparent}-more", f"00-{'0' * 32}-{span}-01", "",
        f"{traceparent}\r\ntraceparent: {traceparent}",
    ]:  # fmt: skip
        headers = ask(gate, STRANGER, f"{sent}\r\ntracestate: a=1")
        [carried] = got(headers, "traceparent")
        version, new, client, flags = carried.split("-")
        assert (version, flags) == ("00", "01") and new != trace, sent
        assert got(headers, "tracestate") == []
        assert collector.span(trace=new).parent == ""
        assert collector.span("CLIENT", trace=new).id == client
    headers = ask(gate, STRANGER, f"cc{traceparent[2:]}-what-will-be")
    assert got(headers, "traceparent")[0].startswith(f"00-{trace}-")
    # A state out of form says nothing against its parent.
    trace, _, traceparent = parent()
    headers = ask(gate, STRANGER, f"{traceparent}\r\ntracestate: a,b")
    assert (got(headers, "traceparent")[0][3:35], got(headers, "tracestate")) == (trace, [])


@pytest.mark.parametrize(
    "trust, sample, source, sent, joined, carried",
    [
        (None, 0, STRANGER, "01", True, "00"),
        (None, 1, STRANGER, "00", True, "01"),
        (None, 0, TRUSTED, "01", True, "01"),
        (None, 1, TRUSTED, "00", True, "00"),
        ("all", 0, STRANGER, "01", True, "01"),
        ("all", 1, STRANGER, "00", True, "00"),
        ("trusted_peers", 1, STRANGER, "00", False, "01"),
        ("trusted_peers", 0, STRANGER, "01", False, "00"),
        ("trusted_peers", 0, TRUSTED, "01", True, "01"),
    ],
)
def test_who_decides(gate, collector, trust, sample, source, sent, joined, carried):
    gate = gate(to(collector, sample=sample, **({"trust_parent": trust} if trust else {})))
    trace, span, traceparent = parent(sent)
    [given] = got(ask(gate, source, traceparent), "traceparent")
    _, id, client, flags = given.split("-")
    assert (id == trace, flags) == (joined, carried)
    if carried == "01":
        server = collector.span(trace=id)
        assert server.parent == (span if joined else "")
        assert server.links == ([] if joined else [(trace, span)])
        assert collector.span("CLIENT", trace=id).id == client
        return
    # What comes later is told later.
    last = parent()
    ask(gate, TRUSTED, last[2])
    collector.span(trace=last[0])
    assert all(known.trace == last[0] for known in collector.spans)


def test_without_traces_the_callers_own_go_on(gate):
    gate = gate(None)
    for sent in ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "whatever"]:
        headers = ask(gate, STRANGER, f"{sent}\r\ntracestate: a=1,,b\r\ntracestate: c")
        assert got(headers, "traceparent") == [sent]
        assert got(headers, "tracestate") == ["a=1,,b", "c"]
    assert not got(upstream(gate.get("/open")), "traceparent")


# The collector


def test_a_collector_that_is_gone_stops_nobody(gate):
    port = unused()
    gate = gate({"otlp": f"http://127.0.0.1:{port}/v1/traces"})
    trace, _, traceparent = parent()
    ask(gate, STRANGER, traceparent)
    [degraded] = wait_until(lambda: gate.readyz().json()["degraded"], "a complaint")
    assert degraded["what"] == "traces" and "refused" in degraded["why"]
    for _ in range(3):
        ask(gate, STRANGER, parent()[2])
    assert gate.readyz().status_code == 200
    collector = Collector(port)
    try:
        # It is asked again after 8 s at most.
        wait_until(lambda: len(collector.spans) == 8, "the spans that waited", within=20)
        wait_until(lambda: not gate.readyz().json()["degraded"], "no complaint")
        assert collector.span(trace=trace)
        metrics = gate.metrics()
        assert "portcullis_spans_exported_total 8" in metrics and "portcullis_spans_dropped_total 0" in metrics
    finally:
        collector.stop()
    log = gate.log.read_text()
    assert (log.count("Spans cannot be exported"), log.count("Spans are exported again")) == (1, 1), log
    ask(gate, STRANGER, parent()[2])
    begun = time.monotonic()
    assert gate.stop() == 0
    assert time.monotonic() - begun < 5, "an end waits for no collector that is gone"


def test_what_a_collector_refuses_is_counted(gate, collector):
    gate = gate(to(collector))
    collector.answers += [400]
    ask(gate, STRANGER, parent()[2])
    wait_until(lambda: "portcullis_spans_dropped_total 2" in gate.metrics(), "their count")
    trace, _, traceparent = parent()
    collector.answers += [503]
    ask(gate, STRANGER, traceparent)
    assert collector.span(trace=trace) and collector.span("CLIENT", trace=trace)
    wait_until(lambda: "portcullis_spans_exported_total 2" in gate.metrics(), "their count")
    assert "portcullis_spans_dropped_total 2" in gate.metrics()


def test_the_end_waits_for_spans(gate, collector, origins):
    gate = gate(to(collector))
    traces = [parent() for _ in range(5)]
    for _, _, traceparent in traces:
        ask(gate, STRANGER, traceparent)
    origins["echo"].arrived.clear()
    late, _, traceparent = parent()

    def body():
        yield b"a"
        assert origins["echo"].arrived.wait(10)
        gate.signal(signal.SIGTERM)
        wait_until(lambda: gate.readyz().status_code == 503, "a drain")
        yield b"b"

    answer = requests.post(f"{gate.url}/open", data=body(), headers={"traceparent": traceparent}, timeout=20)
    assert answer.status_code == 200
    assert gate.process.wait(15) == 0
    told = {span.trace for span in collector.spans}
    assert told == {trace for trace, _, _ in traces} | {late}
    assert len(collector.spans) == 12


def test_traces_follow_the_settings(gate, collector):
    gate = gate(None)
    file, key = gate.settings_file, gate.data / "otlp.key"
    key.write_text("Bearer hunter2\n")
    key.chmod(0o600)
    ask(gate, STRANGER, parent()[2])
    headers = {"authorization": {"file": "otlp.key"}, "x-tenant": {"value": "acme"}}
    change(gate, file, traces=to(collector, headers=headers))
    wait_until(lambda: "portcullis_generation 2" in gate.metrics(), "the settings in force")
    trace, _, traceparent = parent()
    ask(gate, STRANGER, traceparent)
    collector.span(trace=trace)
    path, sent = collector.requests[-1]
    sent = {name.lower(): value for name, value in sent.items()}
    assert (path, sent["authorization"], sent["x-tenant"]) == ("/v1/traces", "Bearer hunter2", "acme")
    assert sent["content-type"] == "application/x-protobuf"
    key.write_text("Bearer hunter3\n")
    wait_until(lambda: "portcullis_generation 3" in gate.metrics(), "the secret in force")
    trace, _, traceparent = parent()
    ask(gate, STRANGER, traceparent)
    collector.span(trace=trace)
    sent = {name.lower(): value for name, value in collector.requests[-1][1].items()}
    assert sent["authorization"] == "Bearer hunter3"
    other = Collector()
    try:
        change(gate, file, traces=to(other))
        wait_until(lambda: "portcullis_generation 4" in gate.metrics(), "the settings in force")
        trace, _, traceparent = parent()
        ask(gate, STRANGER, traceparent)
        other.span(trace=trace)
    finally:
        other.stop()
    shown = requests.get(f"{gate.admin_url}/config", timeout=5).json()["traces"]
    assert shown["otlp"] == f"{other.url}/v1/traces" and shown["trust_parent"] == "trace_id"
    assert "hunter" not in gate.log.read_text()
    assert not gate.readyz().json()["degraded"]
    change(gate, file, traces=None)
    wait_until(lambda: "portcullis_generation 5" in gate.metrics(), "the settings in force")
    headers = ask(gate, STRANGER, "whatever")
    assert got(headers, "traceparent") == ["whatever"]


def change(gate, file, **more):
    settings = yaml.safe_load(file.read_text()) | more
    draft = file.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(settings))
    draft.rename(file)

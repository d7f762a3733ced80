"""Reloads and drains while requests flow, and what a gate says of its streams and upstreams and in its log."""

import json
import math
import signal
import threading
import time

import pytest
import requests
import yaml

from origin import Origin, reply
from portcullis import wait_until


class Watched(Origin):
    """Counts health checks, and says which of the gate's connections a request came on."""

    def __init__(self):
        self.checks = 0
        super().__init__()

    def handle(self, request):
        if request.path == "/healthz":
            self.checks += 1
            return reply(request, {})
        if request.path == "/stream":
            return self.stream(request)
        reply(request, {"connection": request.client_address[1]})


@pytest.fixture
def origin():
    origin = Watched()
    yield origin
    origin.stop()


def route(path, to="origin"):
    return {"name": path, "match": {"path": path}, "authenticate": "none", "authorize": "none", "upstream": {"to": to}}


def sidecar(own, folder, server, *paths, env=None, **more):
    """Starts a gate on open routes, and returns it with how to change them."""
    folder.mkdir()
    file = folder / "portcullis.yaml"

    def write(*paths):
        file.write_text(yaml.safe_dump({
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "upstreams": {"origin": {"servers": [server], "health": "/healthz"}},
            "routes": [route(path) for path in paths],
        } | more))  # fmt: skip

    write(*paths)
    return own(folder, command=["serve", "--config", file], env=env), write


def records(gate):
    return [json.loads(line) for line in gate.lines]


def degraded(gate):
    return {entry["what"]: entry["why"] for entry in gate.readyz().json()["degraded"]}


class Traffic:
    """Callers that ask without a pause, each on one connection, until they are stopped."""

    def __init__(self, url, callers=4):
        self.statuses, self.connections, self.stopped = [], [], threading.Event()
        # A test that fails does not stop them, and must not keep the run from its end.
        self.threads = [threading.Thread(target=self.ask, args=(url,), daemon=True) for _ in range(callers)]
        for thread in self.threads:
            thread.start()

    def ask(self, url):
        session = requests.Session()
        while not self.stopped.is_set():
            try:
                answer = session.get(url, timeout=10)
                self.statuses.append(answer.status_code)
                self.connections.append(answer.json()["connection"])
            except requests.RequestException as error:
                self.statuses.append(repr(error))

    def more(self):
        seen = len(self.statuses)
        wait_until(lambda: len(self.statuses) > seen + 20, "requests go on")

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_a_reload_while_requests_flow(own, tmp_path, origin):
    gate, write = sidecar(own, tmp_path / "data", origin.url, "/always", "/old", "/stream")
    started = time.monotonic()
    wait_until(lambda: origin.checks, "a health check")
    traffic = Traffic(gate.url + "/always")
    traffic.more()
    known = set(traffic.connections)
    with requests.get(gate.url + "/stream", stream=True, timeout=20) as stream:
        pieces = stream.iter_content(None)
        assert next(pieces) == b"first"
        for _ in range(5):
            generation = gate.readyz().json()["generation"]
            gate.signal(signal.SIGHUP)
            wait_until(lambda: gate.readyz().json()["generation"] > generation, "a new generation")
            traffic.more()
        assert (gate.get("/old").status_code, gate.get("/new").status_code) == (200, 404)
        # Streams end with their routes: `test_streams.py`.
        write("/always", "/new", "/stream")
        wait_until(lambda: gate.get("/new").status_code == 200, "the new route")
        assert gate.get("/old").status_code == 404
        before = len(traffic.connections)
        traffic.more()
        wait_until(lambda: known & set(traffic.connections[before:]), "a connection of before")
        origin.go.set()
        assert b"".join(pieces) == b"second"
    traffic.stop()
    assert set(traffic.statuses) == {200}
    # A remade upstream is checked at once; one that is kept, every 5 s.
    assert origin.checks <= 1 + math.ceil((time.monotonic() - started) / 5)
    latest = gate.readyz().json()["generation"]
    ended = wait_until(lambda: [r for r in records(gate) if r["path"] == "/stream" and r["status"] == 200], "its record")
    assert ended[0]["generation"] < latest, "its record names what was in force when it was asked for"


def test_sigterm_amid_reloads_drains(own, tmp_path, origin):
    gate, _ = sidecar(own, tmp_path / "data", origin.url, "/always", "/stream")
    with requests.get(gate.url + "/stream", stream=True, timeout=20) as stream:
        pieces = stream.iter_content(None)
        assert next(pieces) == b"first"
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            gate.signal(number)
        wait_until(lambda: gate.readyz().status_code == 503, "it drains")
        for number in (signal.SIGHUP, signal.SIGUSR1):
            gate.signal(number)
        origin.go.set()
        assert b"".join(pieces) == b"second"
    assert gate.process.wait(10) == 0


def test_a_server_whose_name_does_not_resolve_is_named(own, tmp_path):
    gate, _ = sidecar(own, tmp_path / "data", "http://pets.invalid:80", "/pets")
    why = wait_until(lambda: degraded(gate).get("upstreams.origin"), "it is named")
    assert "http://pets.invalid:80" in why
    wait_until(lambda: "does not resolve" in gate.log.read_text(), "the log says so")
    assert gate.readyz().status_code == 200


def test_the_environment_names_no_proxy_for_health_checks(own, tmp_path, origin):
    names = ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"]
    sidecar(own, tmp_path / "data", origin.url, "/always", env=dict.fromkeys(names, "http://127.0.0.1:9"))
    wait_until(lambda: origin.checks, "a health check")


def test_a_server_that_is_taken_out_is_measured_no_more(own, tmp_path, origin):
    gate, _ = sidecar(own, tmp_path / "data", origin.url, "/always")
    shown = lambda url: f'portcullis_upstream_healthy{{server="{url}",upstream="origin"}} 1\n' in gate.metrics()  # noqa: E731
    assert shown(origin.url)
    other = Watched()
    settings = tmp_path / "data" / "portcullis.yaml"
    settings.write_text(settings.read_text().replace(origin.url, other.url))
    wait_until(lambda: shown(other.url) and origin.url not in gate.metrics(), "only the new one")
    other.stop()


def test_the_log_names_no_source_files(own, tmp_path, origin):
    more = {"log": {"level": "info,pingora_core=trace,pingora_proxy=trace"}}
    gate, _ = sidecar(own, tmp_path / "data", origin.url, "/always", **more)
    assert gate.get("/always").status_code == 200
    gate.stop()
    lines = [json.loads(line) for line in gate.log.read_text().splitlines()]
    assert any(line["target"].startswith("pingora") for line in lines)
    assert not [line for line in lines if any(key.startswith("log.") for key in line) or ".rs" in json.dumps(line)]


def test_streams_are_counted(own, tmp_path, origin):
    gate, _ = sidecar(own, tmp_path / "data", origin.url, "/always", "/stream")
    has = lambda line: f"portcullis_streams_{line}\n" in gate.metrics()  # noqa: E731
    gate.get("/always")
    assert has('open{route="/stream"} 0') and has('ended_total{cause="caller"} 0')
    with requests.get(gate.url + "/stream", stream=True, timeout=20) as left:
        pieces = left.iter_content(None)
        assert next(pieces) == b"first"
        assert has('open{route="/stream"} 1')
    wait_until(lambda: has('open{route="/stream"} 0') and has('ended_total{cause="caller"} 1'), "its caller left")
    with requests.get(gate.url + "/stream", stream=True, timeout=20) as whole:
        pieces = whole.iter_content(None)
        assert next(pieces) == b"first"
        origin.go.set()
        assert b"".join(pieces) == b"second"
    wait_until(lambda: has('open{route="/stream"} 0') and has('ended_total{cause="finished"} 1'), "it finished")

"""The access log: a line for each request in every form, with nothing secret and nothing forged in it."""

import datetime
import json
import re
import signal
import threading
import time
from contextlib import contextmanager

import pytest
import requests
import yaml
from websockets.sync.client import connect

import http2
import served
from origin import Origin
from portcullis import run, wait_until
from test_streams import Sockets
from wire import ask, ask_all

FORMS = ["json", "common", "combined"]
# As readers of these logs take a line apart.
COMMON = r'(?P<client>\S+) - - \[(?P<time>[^]]+)\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>\S+)" (?P<status>\d{3}) (?P<sent>\d+)'
COMBINED = COMMON + r' "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
PATTERNS = {"common": re.compile(COMMON), "combined": re.compile(COMBINED)}


@pytest.fixture(scope="module")
def origin():
    origin = Origin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def sockets():
    sockets = Sockets()
    yield sockets
    sockets.stop()


def settings(origin, issuer, sockets, log):
    def bearer(*places):
        return {"bearer": {"issuers": ["remote"], "from": ["header", *places]}}

    guarded = {"authorize": "authenticated", "upstream": {"to": "origin"}}
    return {
        "issuers": {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}},
        "upstreams": {"origin": {"servers": [origin.url]}, "sockets": {"servers": [sockets.url]}},
        "routes": [
            {"name": "pets", "match": {"path": "/pets/{id}", "methods": ["GET", "HEAD", "POST"]}, **served.OPEN},
            {"name": "stream", "match": {"path": "/stream"}, **served.OPEN},
            {"name": "guarded", "match": {"path": "/guarded"}, "authenticate": bearer({"query": "token"}), **guarded},
            {"name": "cookie", "match": {"path": "/cookie"}, "authenticate": bearer({"cookie": "sid"}), **guarded},
            {"name": "socket", "match": {"path": "/socket"}, **served.OPEN, "upstream": {"to": "sockets", "websocket": True}},
        ],
        "log": log,
    }  # fmt: skip


@pytest.fixture
def logged(tmp_path, origin, issuer, sockets):
    """Runs a gate with such a log, `access.log` unless it has another file."""

    @contextmanager
    def start(format="json", file="access.log", **log):
        access = {"file": str(file), "format": format}
        folder = tmp_path / format
        more = settings(origin, issuer, sockets, {"access": access, "decisions": "none"} | log)
        with served.running(folder, origin, **more) as gate:
            gate.file = folder / "access.log"
            gate.port = int(gate.listen.rsplit(":", 1)[1])
            yield gate

    return start


def lines(gate, count=1):
    """All lines once there are so many, each taken apart where its form is known."""
    wait_until(lambda: gate.file.exists() and gate.file.read_bytes().count(b"\n") >= count, f"{count} lines")
    text = gate.file.read_text("ascii")
    assert text.endswith("\n") and text.isascii() and text.replace("\n", "").isprintable(), text
    found = text.splitlines()
    assert len(found) == count, text
    return found


def records(gate, count=1):
    return [json.loads(line) for line in lines(gate, count)]


def test_a_line_says_what_was_asked_and_what_was_answered(logged, origin):
    with logged() as gate:
        before = datetime.datetime.now(datetime.UTC)
        answer = requests.post(
            f"{gate.url}/pets/7?verbose=yes", data=b"x" * 1000, timeout=5,
            headers={"host": "API.example.com:8080", "user-agent": "tests/1", "referer": "https://app.example.com/list?page=2"},
        )  # fmt: skip
        assert answer.status_code == 200
        (line,) = records(gate)
        at = datetime.datetime.fromisoformat(line.pop("time"))
        assert before - datetime.timedelta(seconds=1) < at < datetime.datetime.now(datetime.UTC)
        assert 0 < line.pop("micros") < 5_000_000
        assert line == {
            "request_id": answer.headers["x-request-id"], "client": "127.0.0.1", "method": "POST", "host": "api.example.com",
            "path": "/pets/7", "protocol": "HTTP/1.1", "status": 200, "bytes_received": 1000,
            "bytes_sent": len(answer.content), "upstream": origin.url, "route": "pets",
            "user_agent": "tests/1", "referer": "https://app.example.com/list",
        }  # fmt: skip


def test_octets_are_those_of_bodies_whatever_the_protocol(logged):
    with logged() as gate:
        body = b"x" * 100_000
        for number, (method, octets) in enumerate([("GET", None), ("POST", body), ("HEAD", None)], start=1):
            answer = requests.request(method, f"{gate.url}/pets/1", data=octets, timeout=5)
            line = records(gate, number)[-1]
            assert (line["bytes_received"], line["bytes_sent"]) == (len(octets or b""), len(answer.content)), line
        # In chunks, of which only the content counts.
        requests.post(f"{gate.url}/pets/1", data=iter([body, body]), timeout=5)
        assert records(gate, 4)[-1]["bytes_received"] == 2 * len(body)
        status, _, content = http2.ask(f"{gate.url}/pets/1", "POST", [("user-agent", "two")], body)
        line = records(gate, 5)[-1]
        assert (status, line["protocol"], line["user_agent"]) == (200, "HTTP/2.0", "two")
        assert (line["bytes_received"], line["bytes_sent"]) == (len(body), len(content))


@pytest.mark.parametrize("form", ["common", "combined"])
def test_lines_are_as_servers_have_always_written_them(logged, form):
    with logged(form) as gate:
        headers = {"user-agent": 'a "quoted" \\ agent', "referer": "https://app.example.com/list?page=2"}
        answer = requests.get(f"{gate.url}/pets/7?verbose=yes", headers=headers, timeout=5)
        (line,) = lines(gate)
        found = PATTERNS[form].fullmatch(line)
        assert found, line
        at = datetime.datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z")
        assert abs((datetime.datetime.now(datetime.UTC) - at).total_seconds()) < 30
        said = {name: value for name, value in found.groupdict().items() if name != "time"}
        expected = {"client": "127.0.0.1", "method": "GET", "path": "/pets/7", "protocol": "HTTP/1.1", "status": "200",
                    "sent": str(len(answer.content))}  # fmt: skip
        if form == "combined":
            expected |= {"referer": "https://app.example.com/list", "agent": 'a \\"quoted\\" \\\\ agent'}
        assert said == expected
        # Without either header, and without a reading.
        assert ask(gate.port, b"GET /pets/8 HTTP/1.1\r\nHost: a\r\n\r\n") == 200
        assert ask(gate.port, b"GET /a/../b?token=secret HTTP/1.1\r\nHost: a\r\n\r\n") == 400
        for line, path, status in zip(lines(gate, 3)[1:], ["/pets/8", "-"], ["200", "400"], strict=True):
            found = PATTERNS[form].fullmatch(line)
            assert found and (found["path"], found["status"]) == (path, status), line
            assert form == "common" or (found["referer"], found["agent"]) == ("-", "-")


def test_refused_requests_have_lines_too(logged, issuer):
    with logged() as gate:
        for number, (request, status, path, route) in enumerate([
            (b"GET /guarded", 401, "/guarded", "guarded"),
            (b"GET /nowhere", 404, "/nowhere", None),
            (b"PUT /pets/1", 405, "/pets/1", None),
            (b"GET /a/../b", 400, None, None),
        ], start=1):  # fmt: skip
            said = ask_all(gate.port, request + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            line = records(gate, number)[-1]
            assert (line["status"], line["path"], line["route"], line["upstream"]) == (status, path, route, None), line
            assert line["bytes_sent"] == len(said.partition(b"\r\n\r\n")[2]) > 0
            assert line["request_id"].encode() in said


def test_nobody_forges_a_line(logged):
    """What no header may hold is refused by the parser, and has no line; these may stand in one."""
    evil = [b'a" 200 1 "b', b"a\\", b"tab\there", b"\xc2\x85\xc2\x9b2J\xe2\x80\xa8end", b"\xff\x80", b'"}\\n{"status":200']
    for form in FORMS:
        with logged(form) as gate:
            for octets in evil:
                fields = b"User-Agent: " + octets + b"\r\nReferer: https://a.example/" + octets + b"\r\n"
                assert ask(gate.port, b"GET /pets/1 HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n") == 200
            for line, octets in zip(lines(gate, len(evil)), evil, strict=True):
                if form == "json":
                    said = json.loads(line)
                    assert said["user_agent"] == octets.decode(errors="replace") and said["status"] == 200
                else:
                    found = PATTERNS[form].fullmatch(line)
                    assert found and found["path"] == "/pets/1", line
            before = gate.file.read_bytes()
            assert ask(gate.port, b"GET /pets/1 HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x0bb\r\n\r\n") == 400
            # Bounded, and the longest a head can have.
            assert requests.get(f"{gate.url}/pets/1", headers={"user-agent": "u" * 30_000}, timeout=5).status_code == 200
            last = lines(gate, len(evil) + 1)[-1]
            assert gate.file.read_bytes().startswith(before) and len(last) < 2000
            assert form == "common" or "u" * 512 in last


@pytest.mark.parametrize("form", FORMS)
def test_no_token_stands_in_a_line(logged, issuer, form):
    token = issuer.token()
    secret = token.rsplit(".", 1)[1]
    with logged(form) as gate:
        for ask_for in [
            lambda: gate.get("/guarded", token),
            lambda: gate.get(f"/guarded?token={token}"),
            lambda: gate.get(f"/guarded?token={token}&token={token}"),
            lambda: gate.get(f"/pets/1?access_token={token}"),
            lambda: gate.get("/cookie", headers={"cookie": f"sid={token}"}),
            lambda: gate.get("/guarded", token, headers={"referer": f"https://app.example.com/?token={token}"}),
            lambda: gate.get("/guarded", token, headers={"referer": f"https://app.example.com/#token={token}"}),
            lambda: gate.get("/guarded", token, headers={"referer": f"https://me:{token}@app.example.com/"}),
            lambda: gate.get(f"/nowhere?token={token}"),
            lambda: gate.get(f"/a%2Fb?token={token}"),
        ]:  # fmt: skip
            ask_for()
        text = "\n".join(lines(gate, 10))
        assert secret not in text and token[:40] not in text
        assert "app.example.com" in text or form == "common"
        statuses = re.findall(r'"status":(\d+)' if form == "json" else r'" (\d{3}) ', text)
        # A line is written once its answer is there, by which time the next request may be through.
        assert sorted(statuses) == ["200"] * 7 + ["400", "400", "404"]


def test_sigusr1_goes_on_in_a_new_file(logged):
    with logged() as gate:
        gate.get("/pets/before")
        lines(gate)
        rotated = gate.file.with_name("rotated.log")
        gate.file.rename(rotated)
        gate.signal(signal.SIGUSR1)
        wait_until(gate.file.exists, "a new file")
        gate.get("/pets/after")
        assert [line["path"] for line in records(gate)] == ["/pets/after"]
        assert rotated.read_text().count("\n") == 1
        assert gate.file.stat().st_mode & 0o137 == 0


def test_a_line_is_written_when_an_answer_has_ended(logged, origin):
    origin.go.clear()
    with logged() as gate:
        with requests.get(f"{gate.url}/stream", stream=True, timeout=20) as answer:
            content = answer.iter_content(None)
            assert next(content) == b"first"
            gate.get("/pets/meanwhile")
            assert [line["path"] for line in records(gate)] == ["/pets/meanwhile"]
            begun = time.monotonic()
            wait_until(lambda: time.monotonic() > begun + 0.05, "a time to be seen in the line")
            origin.go.set()
            assert b"".join(content) == b"second"
        line = records(gate, 2)[-1]
        assert (line["path"], line["status"], line["bytes_sent"]) == ("/stream", 200, len(b"firstsecond"))
        assert line["micros"] > 50_000 and time.monotonic() - begun < 20


def test_a_websocket_is_one_request(logged):
    with logged() as gate:
        with connect(f"ws://{gate.listen}/socket", compression=None) as socket:
            for _ in range(10):
                socket.send("x" * 1000)
                assert socket.recv(10) == "x" * 1000
            assert not gate.file.exists() or not gate.file.read_text()
        (line,) = records(gate)
        assert (line["status"], line["route"], line["method"]) == (101, "socket", "GET")
        # In frames of 4 octets more, and 4 for the mask of what a caller sends, besides the closing ones.
        assert 10 * 1008 < line["bytes_received"] < 10 * 1008 + 50
        assert 10 * 1004 < line["bytes_sent"] < 10 * 1004 + 50


def test_what_the_pools_serve_has_a_line(own):
    gate = own()
    gate.stop()
    file = gate.data / "portcullis.yaml"
    said = yaml.safe_load(file.read_text())
    said["log"] = {"access": {"file": "access.log"}}
    file.write_text(yaml.safe_dump(said))
    gate.start()
    gate.file = gate.data / "access.log"
    answer = gate.raw("InitiateAuth", {"ClientId": gate.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {}})
    (line,) = records(gate)
    assert (line["status"], line["path"], line["upstream"]) == (answer.status_code, "/", None)
    assert (line["bytes_sent"], line["bytes_received"]) == (len(answer.content), len(answer.request.body))
    assert line["route"]


def test_a_full_disk_is_told_and_holds_nobody_up(logged):
    with logged(file="/dev/full") as gate:
        for _ in range(3):
            assert gate.get("/pets/1").status_code == 200
        degraded = wait_until(lambda: gate.readyz().json()["degraded"], "the failure shows")
        assert [one["what"] for one in degraded] == ["log.access"], degraded
        assert "cannot be written" in degraded[0]["why"]
        wait_until(lambda: 'portcullis_records_dropped_total{log="access"} 3\n' in gate.metrics(), "the count of what is lost")
        assert 'portcullis_records_dropped_total{log="decisions"} 0\n' in gate.metrics()
        assert gate.readyz().status_code == 200
        assert "Records cannot be written" in gate.log.read_text()


def test_a_file_that_cannot_be_made_anew_is_told(logged):
    with logged(decisions="decisions.jsonl") as gate:
        gate.get("/pets/1")
        lines(gate)
        rotated = gate.file.with_name("rotated.log")
        gate.file.rename(rotated)
        # Which no rights help against, so that it fails for root too.
        gate.file.mkdir()
        gate.signal(signal.SIGUSR1)
        degraded = wait_until(lambda: gate.readyz().json()["degraded"], "the failure shows")
        assert [one["what"] for one in degraded] == ["log.access"] and "opened anew" in degraded[0]["why"]
        gate.get("/pets/2")
        wait_until(lambda: rotated.read_text().count("\n") == 2, "the line in the file that is there")
        gate.file.rmdir()
        gate.signal(signal.SIGUSR1)
        wait_until(lambda: not gate.readyz().json()["degraded"], "well again")
        gate.get("/pets/3")
        assert [line["path"] for line in records(gate)] == ["/pets/3"]


def test_a_file_that_cannot_be_written_refuses_the_start(tmp_path, origin, issuer, sockets):
    (tmp_path / "access.log").mkdir()
    log = {"access": {"file": "access.log"}}
    file = tmp_path / "portcullis.yaml"
    file.write_text(yaml.safe_dump({"listeners": [{"address": "127.0.0.1:0"}], **settings(origin, issuer, sockets, log)}))
    done = run("serve", "--config", file)
    assert done.returncode == 1 and "the access log cannot be written" in done.stderr, done.stderr


def test_standard_output_may_have_both_logs(logged):
    with logged(file="stdout", decisions="stdout") as gate:
        def burst():
            with requests.Session() as session:
                for _ in range(200):
                    assert session.get(f"{gate.url}/pets/1", timeout=5).status_code == 200

        callers = [threading.Thread(target=burst) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        wait_until(lambda: len(gate.lines) == 1600, "a record and a line for each")
        said = [json.loads(line) for line in gate.lines]
        decisions = {line["request_id"] for line in said if "outcome" in line}
        access = {line["request_id"] for line in said if "bytes_received" in line}
        assert len(decisions) == 800 and decisions == access


def test_operators_see_where_it_goes(logged, origin, tmp_path):
    with logged("combined") as gate:
        log = requests.get(f"{gate.admin_url}/config", timeout=5).json()["log"]
        assert log == {"level": None, "decisions": "none", "file": None, "access": {"file": str(gate.file), "format": "combined"}}
        text = next(gate.file.parent.glob("*.yaml")).read_text()
        (gate.file.parent / "portcullis.yaml").write_text(text.replace("combined", "common"))
        degraded = wait_until(lambda: gate.readyz().json()["degraded"], "that it waits for a restart")
        assert [one["what"] for one in degraded] == ["log"]
    with served.running(tmp_path / "off", origin) as gate:
        assert requests.get(f"{gate.admin_url}/config", timeout=5).json()["log"]["access"] is None

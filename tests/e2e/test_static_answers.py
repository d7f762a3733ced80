"""Answers that the gate gives by itself, to everybody or to those who may have them."""

import json
import subprocess

import pytest
import requests
import yaml

from answered import VERSIONS, ask, parsed
from origin import Issuer
from portcullis import Portcullis, run, wait_until
from test_gate import CERTIFICATE
from wire import ask_all, connect, status

APP = "https://app.example.com"
BOTH = pytest.mark.parametrize("version", VERSIONS)
OPEN = {"authenticate": "none", "authorize": "none"}
PAGE = "<p>maintenance</p>\n"
# As long as a file may be.
LARGE = bytes(range(256)) * 4096

SCHEMA = """
namespace Pets {
    entity Group;
    entity User in [Group];
    entity Application;
    action "get /vault", "head /vault" appliesTo { principal: User, resource: Application, context: {} };
}
"""
POLICY = '@id("readers-get") permit(principal in Pets::Group::"us-east-1_Remote001|readers", action, resource);'


def settings(issuer):
    bearer = lambda **more: {"bearer": {"issuers": ["remote"], **more}}  # noqa: E731
    tls = {"certificates": [{"cert": "tls.crt", "key": "tls.key"}]}
    return {
        "listeners": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": tls}],
        "admin": {"address": "127.0.0.1:0"},
        "log": {"decisions": "decisions.jsonl"},
        "issuers": {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}},
        "policies": {"pets": {"path": "pets", "principal": "Pets::User", "group": "Pets::Group"}},
        "routes": [
            {"name": "robots", "match": {"path": "/robots.txt"}, **OPEN, "respond": {"body": "User-agent: *\nDisallow: /\n"}},
            {"match": {"path": "/nothing"}, **OPEN, "respond": {}},
            {"match": {"path": "/none"}, **OPEN, "respond": {"status": 204}},
            {"match": {"path": "/same"}, **OPEN, "respond": {"status": 304, "headers": {"etag": '"1"'}}},
            {"match": {"path": "/down"}, **OPEN, "respond": {
                "status": 503, "file": "site/page.html", "content_type": "text/html; charset=utf-8",
                "headers": {"Retry-After": "60", "cache-control": "no-store"},
            }},
            {"match": {"path": "/large"}, **OPEN, "respond": {"file": "large", "content_type": "application/octet-stream"}},
            {"match": {"path": "/gone", "methods": ["GET"]}, **OPEN, "respond": {"status": 410, "body": "gone"}},
            {"name": "vault", "match": {"path": "/vault", "methods": ["GET", "HEAD"]}, "authenticate": bearer(),
             "authorize": {"policies": "pets"}, "respond": {"body": "treasure"}},
            {"match": {"path": "/scoped"}, "authenticate": bearer(scopes=["vault/open"]), "authorize": "authenticated",
             "respond": {"body": "treasure"}},
            {"match": {"path": "/cookie"}, "authenticate": bearer(**{"from": ["header", {"cookie": "sid"}]}),
             "authorize": "authenticated", "respond": {"body": "treasure"}},
            {"match": {"path": "/few"}, **OPEN, "respond": {"body": "few"},
             "rate_limits": [{"by": "client_ip", "requests": 2, "per_seconds": 3600}]},
            {"match": {"path": "/mine"}, "authenticate": bearer(), "authorize": "authenticated", "respond": {"body": "mine"},
             "rate_limits": [{"by": "principal", "requests": 1, "per_seconds": 3600}]},
            {"match": {"path": "/page"}, "authenticate": bearer(), "authorize": "authenticated", "respond": {"body": "page"},
             "cors": {"origins": [APP], "headers": ["authorization"], "expose": ["x-request-id"]}},
        ],
    }  # fmt: skip


class Gate(Portcullis):
    def __init__(self, folder):
        self.issuer = Issuer()
        (folder / "site").mkdir(parents=True)
        (folder / "pets").mkdir()
        (folder / "pets/pets.cedarschema").write_text(SCHEMA)
        (folder / "pets/pets.cedar").write_text(POLICY)
        (folder / "site/page.html").write_text(PAGE)
        (folder / "large").write_bytes(LARGE)
        subprocess.run(
            [*CERTIFICATE, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True
        )
        (folder / "tls.key").chmod(0o600)
        file = folder / "portcullis.yaml"
        file.write_text(yaml.safe_dump(settings(self.issuer)))
        super().__init__(folder, command=["serve", "--config", file])

    @property
    def port(self):
        return int(self.listen.rsplit(":", 1)[1])

    def authorization(self, **claims):
        return ("Authorization", f"Bearer {self.issuer.token(**claims)}")

    def record(self, answer):
        file, identity = self.data / "decisions.jsonl", answer.headers["x-request-id"]
        found = lambda: [json.loads(line) for line in file.read_text().splitlines() if identity in line]  # noqa: E731
        return wait_until(found, "its record")[0]


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    gate = Gate(tmp_path_factory.mktemp("static") / "data")
    known = lambda: ask(gate, "1.1", "/page", fields=[gate.authorization()]).status == 200  # noqa: E731
    wait_until(known, "the keys are fetched")
    yield gate
    gate.stop()
    gate.issuer.stop()


# Open to all


@BOTH
def test_a_text_is_answered(gate, version):
    answer = ask(gate, version, "/robots.txt?x=1")
    assert (answer.status, answer.content) == (200, b"User-agent: *\nDisallow: /\n")
    names = {"content-type", "content-length", "date", "x-request-id"} | ({"connection"} if version == "1.1" else set())
    assert set(answer.headers) == names
    assert answer.headers["content-type"] == "text/plain; charset=utf-8" and answer.headers["content-length"] == "26"


@BOTH
def test_a_file_is_answered_with_what_is_said_of_it(gate, version):
    answer = ask(gate, version, "/down")
    assert (answer.status, answer.content.decode()) == (503, PAGE)
    said = {"content-type": "text/html; charset=utf-8", "retry-after": "60", "cache-control": "no-store"}
    assert answer.headers | said == answer.headers
    found = gate.record(answer)
    assert (found["outcome"], found["status"], found["code"]) == ("allow", 503, None)


def test_over_tls_likewise(gate):
    port = int(gate.listeners[1].rsplit(":", 1)[1])
    answer = ask(gate, "1.1", "/down", port=port, tls=True)
    assert (answer.status, answer.content.decode()) == (503, PAGE)


@BOTH
def test_a_large_file_is_whole(gate, version):
    answer = ask(gate, version, "/large")
    assert answer.status == 200 and answer.content == LARGE and answer.headers["content-length"] == str(len(LARGE))


@BOTH
@pytest.mark.parametrize(("path", "code", "length"), [("/nothing", 200, "0"), ("/none", 204, None), ("/same", 304, None)])
def test_an_answer_without_content_says_so(gate, version, path, code, length):
    answer = ask(gate, version, path)
    assert (answer.status, answer.content, answer.headers.get("content-length")) == (code, b"", length)
    assert "content-type" not in answer.headers and "transfer-encoding" not in answer.headers


@BOTH
@pytest.mark.parametrize("path", ["/robots.txt", "/down", "/large", "/none"])
def test_head_gets_the_fields_alone(gate, version, path):
    get, head = ask(gate, version, path), ask(gate, version, path, "HEAD")
    of = lambda answer: {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}  # noqa: E731
    assert head.content == b"" and (head.status, of(head)) == (get.status, of(get))


@BOTH
def test_every_method_gets_it_unless_the_route_names_some(gate, version):
    for method in ("POST", "PUT", "OPTIONS", "PROPFIND"):
        answer = ask(gate, version, "/robots.txt", method, body=b"abc" if method in ("POST", "PUT") else None)
        assert (answer.status, len(answer.content)) == (200, 26)
    answer = ask(gate, version, "/gone", "POST", body=b"abc")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert ask(gate, version, "/gone").status == 410


def test_a_connection_goes_on_after_an_answer(gate):
    with connect(gate.port) as connection:
        for path, method, end in [("robots.txt", "GET", b"/\n"), ("none", "GET", b"\r\n\r\n"), ("large", "HEAD", b"\r\n\r\n"),
                                  ("nothing", "GET", b"\r\n\r\n"), ("same", "GET", b"\r\n\r\n"), ("gone", "GET", b"gone")]:  # fmt: skip
            connection.sendall(f"{method} /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            data = b""
            while not data.endswith(end) or b"\r\n\r\n" not in data:
                assert (more := connection.recv(65536)), data
                data += more
            assert parsed(data).headers["connection"] == "keep-alive", path


def test_a_body_is_not_taken_for_the_next_request(gate):
    smuggled = b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n"
    for framing, body in [
        (b"Content-Length: %d" % len(smuggled), smuggled),
        (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)),
    ]:
        answers = ask_all(gate.port, b"POST /robots.txt HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + body)
        assert answers.count(b"HTTP/1.1 ") == 1 and status(answers) == 200 and b"410" not in answers
    large = b"POST /robots.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200000
    assert ask_all(gate.port, large).endswith(b"Disallow: /\n"), "and the answer is not lost"


@pytest.mark.parametrize("path", ["//robots.txt", "/x/../robots.txt", "/robots.txt;x", "/%2frobots.txt", "/robots.txt%00"])
def test_other_readings_of_its_path_are_refused(gate, path):
    assert ask(gate, "1.1", path).status == 400


# To those who may


@BOTH
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_protected_is_for_those_who_may(gate, version, method):
    for fields, code, reason in [
        ([], 401, "token_missing"),
        ([("Authorization", "Bearer a.b.c")], 401, "token_malformed"),
        ([gate.authorization(exp=1)], 401, "token_expired"),
        ([gate.authorization(client_id="other")], 401, "audience_invalid"),
        ([gate.authorization(**{"cognito:groups": ["writers"]})], 403, "no_permit"),
    ]:
        answer = ask(gate, version, "/vault", method, fields=fields)
        assert answer.status == code and b"treasure" not in answer.content
        assert method == "HEAD" or json.loads(answer.content)["code"] == reason
        found = gate.record(answer)
        assert (found["route"], found["outcome"], found["code"], found["status"]) == ("vault", "deny", reason, code)
    answer = ask(gate, version, "/vault", method, fields=[gate.authorization()])
    assert (answer.status, answer.content) == (200, b"treasure" if method == "GET" else b"")
    found = gate.record(answer)
    expected = {
        "route": "vault", "outcome": "allow", "code": None, "status": 200, "upstream": None, "policies": ["readers-get"],
        "principal": 'Pets::User::"us-east-1_Remote001|someone"', "action": f'Pets::Action::"{method.lower()} /vault"',
        "bytes": len(answer.content),
    }  # fmt: skip
    assert found | expected == found


@BOTH
def test_scopes_and_cookies_count_as_elsewhere(gate, version):
    answer = ask(gate, version, "/scoped", fields=[gate.authorization()])
    assert (answer.status, json.loads(answer.content)["code"]) == (403, "scope_missing")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert ask(gate, version, "/scoped", fields=[gate.authorization(scope="vault/open")]).content == b"treasure"
    cookie = ("Cookie", f"sid={gate.issuer.token()}")
    assert ask(gate, version, "/cookie", fields=[cookie]).content == b"treasure"
    assert ask(gate, version, "/cookie", fields=[cookie, gate.authorization()]).status == 400


@BOTH
def test_rate_limits_hold(gate, version):
    sub = f"caller{version}"
    mine = [ask(gate, version, "/mine", fields=[gate.authorization(sub=sub)]) for _ in range(2)]
    assert [answer.status for answer in mine] == [200, 429]
    assert mine[0].headers["ratelimit"] == '"principal";r=0;t=3600' and mine[1].headers["retry-after"]


def test_rate_limits_by_address_hold(gate):
    answers = [ask(gate, "1.1", "/few") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]


@BOTH
def test_pages_of_other_origins_may_read_it(gate, version):
    asked = [("Origin", APP), gate.authorization()]
    answer = ask(gate, version, "/page", fields=asked)
    assert (answer.status, answer.content, answer.headers["vary"]) == (200, b"page", "Origin")
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-expose-headers"] == "x-request-id"
    other = ask(gate, version, "/page", fields=[("Origin", "https://evil.example"), gate.authorization()])
    assert other.status == 200 and "access-control-allow-origin" not in other.headers
    preflight = ask(gate, version, "/page", "OPTIONS", fields=[("Origin", APP), ("Access-Control-Request-Method", "GET")])
    assert (preflight.status, preflight.headers["access-control-allow-headers"]) == (204, "authorization")
    refused = ask(gate, version, "/page", fields=[("Origin", APP)])
    assert refused.status == 401 and refused.headers["access-control-allow-origin"] == APP


# As operators see it


def test_check_and_views_list_it(gate):
    checked = run("check", "--config", gate.data / "portcullis.yaml")
    assert checked.returncode == 0, checked.stdout
    lines = {line.split()[0]: line.split() for line in checked.stdout.splitlines() if line}
    assert lines["robots"] == ["robots", "*", "*/robots.txt", "none", "none", "respond", "200", "text/plain;", "charset=utf-8"]
    assert lines["vault"][3:] == ["bearer", "remote", "policies", "pets:", "readers-get", "respond", "200", "text/plain;", "charset=utf-8"]
    views = {view["name"]: view for view in requests.get(f"{gate.admin_url}/routes", timeout=5).json()}
    assert views["robots"]["open"] and not views["vault"]["open"]
    assert views["vault"]["respond"] == "200 text/plain; charset=utf-8" and views["vault"]["policies"] == ["readers-get"]


def test_a_changed_file_is_answered_anew(tmp_path):
    gate = Gate(tmp_path / "data")
    try:
        page = gate.data / "site/page.html"
        now = lambda: ask(gate, "1.1", "/down").content.decode()  # noqa: E731
        degraded = lambda: [entry["what"] for entry in gate.readyz().json()["degraded"]]  # noqa: E731
        assert now() == PAGE
        page.write_text("<p>soon</p>\n")
        wait_until(lambda: now() == "<p>soon</p>\n", "what was written")
        replaced = gate.data / "site/draft"
        replaced.write_text("<p>now</p>\n")
        replaced.rename(page)
        wait_until(lambda: now() == "<p>now</p>\n", "what is in its place")
        page.unlink()
        wait_until(lambda: "settings" in degraded(), "it is missed")
        assert now() == "<p>now</p>\n"
        page.write_bytes(b"x" * (1024 * 1024 + 1))
        why = lambda: " ".join(entry["why"] for entry in gate.readyz().json()["degraded"])  # noqa: E731
        wait_until(lambda: "is over 1048576 bytes, 1 MiB" in why(), "it is too large")
        assert now() == "<p>now</p>\n"
        page.write_text(PAGE)
        wait_until(lambda: now() == PAGE and "settings" not in degraded(), "it is back")
    finally:
        gate.stop()
        gate.issuer.stop()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"file": "absent", "content_type": "text/html"}, "routes[0].respond.file: `"),
        ({"body": "x", "headers": {"x-a": "y\r\nx-b: z"}}, "routes[0].respond.headers.x-a: only visible ASCII"),
        ({"status": 600}, "routes[0].respond.status: must be between 200 and 599"),
    ],
    ids=["absent", "line-end", "status"],
)
def test_what_cannot_be_answered_is_refused_at_the_start(tmp_path, change, told):
    text = {"listeners": [{"address": "127.0.0.1:0"}], "routes": [{"match": {}, **OPEN, "respond": change}]}
    file = tmp_path / "portcullis.yaml"
    file.write_text(yaml.safe_dump(text))
    for command in ("check", "serve"):
        done = run(command, "--config", file)
        assert done.returncode == 1 and told in done.stdout + done.stderr, done.stdout + done.stderr

"""The gate alone, as a sidecar: remote issuers, routes, headers, streams, protocols."""

import json
import socket
import struct
import subprocess
import threading
import time

import pytest
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from origin import Issuer, Origin
from portcullis import Portcullis, wait_until

CERTIFICATE = [
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
]  # fmt: skip


def settings(issuer, origin, other):
    bearer = lambda **more: {"bearer": {"issuers": ["remote"], **more}}  # noqa: E731
    return {
        "listeners": [
            {"address": "127.0.0.1:0"},
            {"address": "127.0.0.1:0", "tls": {"certificates": [{"cert": "tls.crt", "key": "tls.key"}]}},
        ],
        "admin": {"address": "127.0.0.1:0"},
        "data": "kept",
        "issuers": {
            "remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]},
            "open": {"kind": "oidc", "issuer": issuer.url + "/", "jwks_uri": issuer.url + "/keys", "audiences": ["api://pets"]},
        },
        "upstreams": {"origin": {"servers": [origin.url]}, "other": {"servers": [other.url]}, "gone": {"servers": [GONE]}},
        "routes": [
            route("/open", authenticate="none", authorize="none"),
            route("/stream", authenticate="none", authorize="none"),
            route("/gone", authenticate="none", authorize="none", to="gone"),
            route("/me", authenticate=bearer(), headers={"x-user": "{claims.sub}", "x-groups": "{claims.cognito:groups}"}),
            route("/scoped", authenticate=bearer(scopes=["pets/write", "pets/read"])),
            route("/admin", authenticate=bearer(scopes=["pets/admin"])),
            route("/tier", authenticate=bearer(claims={"tier": ["gold", "silver"]})),
            route("/id", authenticate=bearer(token_use=["id"])),
            route("/oidc", authenticate={"bearer": {"issuers": ["open"]}}),
            route("/a/{x}", authenticate="none", authorize="none"),
            route("/a/b", authenticate="none", authorize="none", to="other"),
            route("/a/{rest*}", authenticate="none", authorize="none", to="other"),
            route("/a/c", authenticate="none", authorize="none", methods=["POST"], to="other"),
            {"match": {"host": "special.example.com", "path": "/open"}, "authenticate": "none", "authorize": "none", "upstream": {"to": "other"}},
        ],
    }  # fmt: skip


def route(path, authenticate, authorize="authenticated", to="origin", headers=None, methods=None):
    match = {"path": path} | ({"methods": methods} if methods else {})
    return {
        "match": match, "authenticate": authenticate, "authorize": authorize,
        "upstream": {"to": to} | ({"headers": headers} if headers else {}),
    }  # fmt: skip


# The discard port, where nothing listens.
GONE = "http://127.0.0.1:9"


class Sidecar:
    def __init__(self, folder, issuer=None):
        self.issuer, self.origin, self.other = issuer or Issuer(), Origin(), Origin("other")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [*CERTIFICATE, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True
        )
        (folder / "tls.key").chmod(0o600)
        file = folder / "portcullis.yaml"
        file.write_text(yaml.safe_dump(settings(self.issuer, self.origin, self.other)))
        self.gate = Portcullis(folder, command=["serve", "--config", file])

    def get(self, path, token=None, **more):
        return self.gate.get(path, token, **more)

    def stop(self):
        self.gate.stop()
        for service in (self.issuer, self.origin, self.other):
            service.stop()


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    sidecar = Sidecar(tmp_path_factory.mktemp("sidecar") / "data")
    wait_until(lambda: sidecar.get("/me", sidecar.issuer.token()).status_code == 200, "the keys are fetched")
    yield sidecar
    sidecar.stop()


# Tokens of a remote issuer


@pytest.mark.parametrize("kid", ["rsa", "ec"])
def test_tokens_by_rsa_and_by_elliptic_curves(sidecar, kid):
    token = sidecar.issuer.token(kid)
    answers = [sidecar.get("/me", token) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    seen = dict(answers[0].json()["headers"])
    assert seen["x-user"] == "someone"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": None}, {"iss": "https://evil.example.com"}, {"iss": 7}, {"exp": None}, {"exp": 1}, {"exp": "tomorrow"},
        {"nbf": 9999999999}, {"token_use": None}, {"token_use": "id"}, {"token_use": "refresh"}, {"client_id": None},
        {"client_id": "another"}, {"client_id": ["app"]}, {"sub": None}, {"sub": 7},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_token_must_say(sidecar, changed):
    answer = sidecar.get("/me", sidecar.issuer.token(**changed))
    assert answer.status_code == 401, answer.text
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_an_issuer_may_not_be_a_list(sidecar):
    for issuer in ([sidecar.issuer.issuer], [sidecar.issuer.issuer, "x"], {"a": 1}, True):
        assert sidecar.get("/me", sidecar.issuer.token(iss=issuer)).status_code == 401


def test_scopes_and_claims(sidecar):
    token = sidecar.issuer.token
    assert sidecar.get("/scoped", token()).status_code == 200
    lacking = sidecar.get("/admin", token())
    assert lacking.status_code == 403 and 'error="insufficient_scope"' in lacking.headers["www-authenticate"]
    assert sidecar.get("/scoped", token(scope="pets/reader")).status_code == 403, "a scope is a whole word"
    assert sidecar.get("/scoped", token(scope=None)).status_code == 403
    assert sidecar.get("/tier", token(tier="gold")).status_code == 200
    for tier in ("bronze", "Gold", None, ["bronze"], 1):
        assert sidecar.get("/tier", token(tier=tier)).status_code in (401, 403)


@pytest.mark.parametrize("name", [" root", "root ", "root\t", "\troot", "ro\r\not", "ro\0ot"])
def test_a_claim_that_would_read_otherwise_upstream_does_not_go_there(sidecar, name):
    answer = sidecar.get("/me", sidecar.issuer.token(sub=name))
    assert answer.status_code == 200
    assert "x-user" not in {field.lower() for field, _ in answer.json()["headers"]}


def test_id_tokens_where_they_are_asked_for(sidecar):
    identity = sidecar.issuer.token(token_use="id", aud="app", client_id=None)
    assert sidecar.get("/id", identity).status_code == 200
    assert sidecar.get("/id", sidecar.issuer.token()).status_code == 401
    assert sidecar.get("/id", sidecar.issuer.token(token_use="id", aud="other", client_id=None)).status_code == 401


def test_openid_connect_audiences(sidecar):
    token = lambda **more: sidecar.issuer.token(**{"iss": sidecar.issuer.url + "/", "token_use": None} | more)  # noqa: E731
    assert sidecar.get("/oidc", token(aud="api://pets")).status_code == 200
    assert sidecar.get("/oidc", token(aud=["x", "api://pets"])).status_code == 200
    for audience in (None, "api://other", [], ["api://pet"], 7):
        assert sidecar.get("/oidc", token(aud=audience)).status_code == 401
    assert sidecar.get("/me", token(aud="api://pets")).status_code == 401, "another issuer's token"
    assert sidecar.get("/oidc", sidecar.issuer.token()).status_code == 401


def test_new_keys_are_fetched_once(sidecar):
    sidecar.issuer.keys["next"] = rsa.generate_private_key(65537, 2048)
    token = sidecar.issuer.token("next")
    wait_until(lambda: sidecar.get("/me", token).status_code == 200, "the new key is known", within=15)
    before = sidecar.issuer.fetches
    forger = rsa.generate_private_key(65537, 2048)
    for number in range(30):
        assert sidecar.get("/me", sidecar.issuer.token(f"no-such-{number}", key=forger)).status_code == 401
    assert sidecar.issuer.fetches - before <= 2, "unknown key ids are limited"


def test_a_key_set_that_is_down_at_start_answers_503_and_recovers(tmp_path):
    issuer = Issuer()
    issuer.down = True
    sidecar = Sidecar(tmp_path / "data", issuer)
    try:
        token = issuer.token()
        answer = sidecar.get("/me", token)
        assert answer.status_code == 503 and answer.json()["code"] == "keys_unavailable"
        assert sidecar.get("/open").status_code == 200, "nothing else waits"
        assert "remote" in json.dumps(sidecar.gate.readyz().json()["degraded"])
        issuer.down = False
        wait_until(lambda: sidecar.get("/me", token).status_code == 200, "it recovers alone", within=30)

        # The last good set is kept, so an outage during a restart stops nobody.
        issuer.down = True
        sidecar.gate.stop()
        sidecar.gate.start()
        wait_until(lambda: sidecar.get("/me", issuer.token()).status_code == 200, "the kept set is used")
    finally:
        sidecar.stop()


# Routes and headers


def test_the_most_specific_route_wins(sidecar):
    who = lambda path, **more: sidecar.get(path, **more).json()["origin"]  # noqa: E731
    assert who("/a/b") == "other" and who("/a/x") == "origin" and who("/a/x/y") == "other"
    assert who("/open") == "origin"
    assert who("/open", headers={"host": "special.example.com"}) == "other"
    assert who("/open", headers={"host": "SPECIAL.example.com:80"}) == "other"
    assert sidecar.get("/none").status_code == 404


def test_a_method_that_the_winning_path_lacks_is_405(sidecar):
    answer = sidecar.get("/a/c")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST", "never the next route"
    assert requests.post(sidecar.gate.url + "/a/c", timeout=5).status_code == 200


def test_identity_headers_of_the_caller_are_taken_away(sidecar):
    forged = {
        "x-user": "root", "X-USER": "root", "x_user": "root", "X-Groups": "root", "x-amzn-oidc-identity": "root",
        "x-amzn-oidc-data": "root", "x-amzn-oidc-accesstoken": "root", "X_Amzn_Oidc_Identity": "root",
    }  # fmt: skip
    for path, token in (("/open", None), ("/me", sidecar.issuer.token())):
        answer = sidecar.get(path, token, headers=dict(forged))
        assert answer.status_code in (200, 400)
        if answer.status_code == 200:
            assert "root" not in answer.text
    one = sidecar.get("/open", headers={"x_user": "root"})
    assert one.status_code == 400 or "root" not in one.text
    told = dict(sidecar.get("/open", headers={"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "gopher"}).json()["headers"])
    assert "6.6.6.6" not in told.get("x-forwarded-for", "") and told.get("x-forwarded-proto") != "gopher"


def test_the_upstream_sees_what_was_decided(sidecar):
    seen = sidecar.get("/open?a=1&b=%20&a=2").json()
    assert seen["method"] == "GET" and seen["path"] == "/open?a=1&b=%20&a=2"
    names = [name for name, _ in seen["headers"]]
    assert "connection" not in names or dict(seen["headers"])["connection"].lower() in ("keep-alive", "close")
    hop = sidecar.get("/open", headers={"connection": "x-drop", "x-drop": "1", "te": "trailers", "proxy-authorization": "x"})
    assert not {"x-drop", "proxy-authorization"} & {name for name, _ in hop.json()["headers"]}


def test_an_upstream_that_is_gone_is_502(sidecar):
    answer = sidecar.get("/gone")
    assert answer.status_code == 502 and answer.json()["code"]
    assert "127.0.0.1:9" not in answer.text


# Streams and protocols


def test_bodies_stream_towards_the_caller(sidecar):
    sidecar.origin.go.clear()
    with requests.get(sidecar.gate.url + "/stream", stream=True, timeout=10) as answer:
        parts = answer.iter_content(None)
        assert next(parts) == b"first", "before the origin has sent the rest"
        sidecar.origin.go.set()
        assert next(parts) == b"second"


def test_bodies_stream_towards_the_upstream(sidecar):
    sidecar.origin.arrived.clear()

    def body():
        yield b"a" * 1000
        assert sidecar.origin.arrived.wait(10), "the first part is upstream before the rest is sent"
        yield b"b" * 1000

    answer = requests.post(sidecar.gate.url + "/open", data=body(), timeout=20)
    assert answer.json()["body"] == 2000
    large = requests.post(sidecar.gate.url + "/open", data=b"x" * (8 << 20), timeout=30)
    assert large.json()["body"] == 8 << 20


def curl(*words):
    done = subprocess.run(["curl", "-sS", "-m", "10", "-w", "\n%{http_code} %{http_version}", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return body, status


def test_http_2_and_tls(sidecar):
    plain, tls = sidecar.gate.listeners
    https = f"https://{tls}"
    folder = sidecar.gate.data
    trust = ["--cacert", folder / "tls.crt"]
    assert curl("--http2-prior-knowledge", f"http://{plain}/open")[1] == "200 2"
    assert curl("--http2", *trust, f"{https}/open")[1] == "200 2"
    assert curl("--http1.1", *trust, f"{https}/open")[1] == "200 1.1"
    token = sidecar.issuer.token()
    assert curl("--http2", *trust, "-H", f"authorization: Bearer {token}", f"{https}/me")[1] == "200 2"
    body, status = curl("--http2", *trust, f"{https}/me")
    assert status == "401 2" and json.loads(body)["code"] == "token_missing"
    assert curl("--http2", *trust, "--data-binary", f"@{folder / 'portcullis.yaml'}", f"{https}/open")[1] == "200 2"
    for old in ("1.0", "1.1"):
        done = subprocess.run(["curl", "-sS", "--tls-max", old, "-k", "-m", "5", https], capture_output=True)
        assert done.returncode != 0, f"TLS {old}"


def test_a_drain_lets_responses_finish(tmp_path):
    sidecar = Sidecar(tmp_path / "data")
    try:
        sidecar.origin.go.clear()
        with requests.get(sidecar.gate.url + "/stream", stream=True, timeout=20) as answer:
            parts = answer.iter_content(None)
            assert next(parts) == b"first"
            ended = []
            stopping = threading.Thread(target=lambda: ended.append(sidecar.gate.stop()))
            stopping.start()
            host, port = sidecar.gate.listen.rsplit(":", 1)

            def closed():
                try:
                    socket.create_connection((host, int(port)), timeout=1).close()
                    return False
                except OSError:
                    return True

            wait_until(closed, "no new connections are taken")
            sidecar.origin.go.set()
            assert next(parts) == b"second"
        stopping.join(20)
        assert ended == [0]
    finally:
        sidecar.origin.go.set()
        sidecar.gate.process.poll() is None and sidecar.gate.kill()


def test_a_refusal_reaches_a_caller_who_is_still_sending(sidecar):
    """The body follows once the answer is there: a connection closed by then would be reset, and the answer lost."""
    host, port = sidecar.gate.listen.rsplit(":", 1)
    head = f"POST /me HTTP/1.1\r\nHost: {sidecar.gate.listen}\r\n"
    body = b"a" * 100
    framings = {
        f"Content-Length: {len(body)}\r\n": body,
        "Transfer-Encoding: chunked\r\n": b"64\r\n" + body + b"\r\n0\r\n\r\n",
    }
    for framing, sent in framings.items():
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(f"{head}{framing}\r\n".encode())
            assert connection.recv(1, socket.MSG_PEEK)
            connection.sendall(sent)
            wait_until(lambda: unacknowledged(connection) == 0, "the body is there, or refused")
            assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def unacknowledged(connection):
    """Segments that the other side has not seen: `tcpi_unacked` of Linux's tcp_info."""
    return struct.unpack_from("=I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


def test_keep_alive_carries_many_requests(sidecar):
    session = requests.Session()
    started = time.monotonic()
    token = sidecar.issuer.token()
    for number in range(200):
        status = session.get(sidecar.gate.url + ("/me" if number % 2 else "/open"), headers={"authorization": f"Bearer {token}"}, timeout=5)
        assert status.status_code == 200
    # Nagle and a delayed acknowledgement together would cost 40 ms each.
    assert time.monotonic() - started < 4

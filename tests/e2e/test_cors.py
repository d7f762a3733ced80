"""Pages of other origins: what the gate tells browsers, on answers and on preflights."""

import http.client
import json

import pytest
import yaml

import http2
from origin import Issuer, Origin, Service, reply
from portcullis import Portcullis, wait_until
from wire import ask, ask_h2, h2_request, pseudo_fields

APP = "https://app.example.com"
EVIL = "https://evil.example"
BEARER = {"bearer": {"issuers": ["remote"]}}


class Talker(Service):
    """An origin that speaks of CORS itself, and keeps the head of what it was asked."""

    def __init__(self):
        self.seen = []
        super().__init__()
        self.server.RequestHandlerClass.do_OPTIONS = self.server.RequestHandlerClass.answer

    def handle(self, request):
        self.seen.append((request.command, request.path, {name.lower(): value for name, value in request.headers.items()}))
        length = int(request.headers.get("content-length", 0))
        request.rfile.read(length)
        fields = {"access-control-allow-origin": "*", "access-control-allow-methods": "THEIRS", "vary": "Accept", "x-total": "7"}
        reply(request, {"seen": request.command}, **{name.replace("-", "_"): value for name, value in fields.items()})


def route(name, path, cors, methods=("GET", "DELETE"), authenticate=BEARER, to="talker", **more):
    match = {"path": path} | ({"methods": list(methods)} if methods else {})
    authorize = "none" if authenticate == "none" else "authenticated"
    return {
        "name": name, "match": match, "authenticate": authenticate, "authorize": authorize, "upstream": {"to": to},
    } | ({"cors": cors} if cors else {}) | more  # fmt: skip


def settings(issuer, talker):
    app = {
        "origins": [APP, "https://*.example.org", "http://localhost:3000"], "headers": ["authorization", "content-type"],
        "expose": ["x-total", "x-request-id"], "credentials": True, "max_age_seconds": 600,
    }  # fmt: skip
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0"},
        "log": {"decisions": "decisions.jsonl"},
        "issuers": {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}},
        "upstreams": {"talker": {"servers": [talker.url]}, "gone": {"servers": ["http://127.0.0.1:9"]}},
        "routes": [
            route("api", "/api/{id}", app),
            route("api-write", "/api/{id}", {"origins": ["https://admin.example.com"]}, methods=["PUT"]),
            route("every", "/every", app, methods=None),
            route("open", "/open", {"origins": ["*"], "headers": ["*"], "expose": ["*"]}, methods=None, authenticate="none"),
            route("null", "/null", {"origins": ["null"]}, authenticate="none"),
            route("some", "/some", {"origins": [APP], "methods": ["DELETE"]}),
            route("pass", "/pass", "pass", rate_limits=[{"by": "route", "requests": 6, "per_seconds": 3600}]),
            route("pass-query", "/pass-query", "pass", authenticate={"bearer": {"issuers": ["remote"], "from": [{"query": "t"}]}}),
            route("silent", "/silent", None),
            route("options", "/options", None, methods=["GET", "OPTIONS"]),
            route("gone", "/gone", app, authenticate="none", to="gone"),
            route("few", "/few", app, authenticate="none",
                  rate_limits=[{"by": "route", "requests": 2, "per_seconds": 3600}]),
        ],
    }  # fmt: skip


class Gate:
    def __init__(self, folder, version):
        self.issuer, self.talker, self.folder, self.version = Issuer(), Talker(), folder, version
        folder.mkdir(parents=True)
        file = folder / "portcullis.yaml"
        file.write_text(yaml.safe_dump(settings(self.issuer, self.talker)))
        self.gate = Portcullis(folder, command=["serve", "--config", file])

    def ask(self, method, path, origin=APP, token=None, body=None, **headers):
        """An answer as status, header fields in lower case (repeated ones as browsers join them) and body."""
        host, port = self.gate.listen.rsplit(":", 1)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"Origin": origin} if origin is not None else {}
        fields |= {"Authorization": f"Bearer {token}"} if token else {}
        if self.version == "2":
            status, pairs, content = http2.ask(self.gate.url + path, method, fields.items(), body)
        else:
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            status, content, pairs = answer.status, answer.read(), answer.getheaders()
            connection.close()
        joined = {}
        for name, value in pairs:
            name = name.lower()
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return status, joined, content

    def preflight(self, path, method="GET", origin=APP, **headers):
        return self.ask("OPTIONS", path, origin, access_control_request_method=method, **headers)

    def take_seen(self):
        seen, self.talker.seen[:] = list(self.talker.seen), []
        return seen

    def stop(self):
        self.gate.stop()
        self.issuer.stop()
        self.talker.stop()


@pytest.fixture(scope="module", params=["1.1", "2"])
def gate(request, tmp_path_factory):
    gate = Gate(tmp_path_factory.mktemp("cors") / "data", request.param)
    wait_until(lambda: gate.ask("GET", "/silent", token=gate.issuer.token())[0] == 200, "the keys are fetched")
    yield gate
    gate.stop()


@pytest.fixture(autouse=True)
def fresh(gate):
    gate.take_seen()


def of_cors(headers):
    return {name: value for name, value in headers.items() if name.startswith("access-control-")}


# Answers


def test_an_answer_is_for_the_origin_that_asked(gate):
    for origin in (APP, "https://a.example.org", "http://localhost:3000"):
        status, headers, _ = gate.ask("GET", "/api/1", origin, gate.issuer.token())
        assert status == 200
        assert of_cors(headers) == {
            "access-control-allow-origin": origin,
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "x-total, x-request-id",
        }, "and what the upstream says of it is gone"
        assert headers["vary"] == "Accept, Origin" and headers["x-total"] == "7"


@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", "", "https://app.example.com.evil.example", "https://app.example.com:8443", "http://app.example.com",
     "https://example.org", "https://a.b.example.org", "https://evil.example/.example.org", "https://APP.example.com", None],
)  # fmt: skip
def test_other_origins_are_served_and_told_nothing(gate, origin):
    status, headers, _ = gate.ask("GET", "/api/1", origin, gate.issuer.token())
    assert status == 200 and of_cors(headers) == {} and headers["vary"] == "Accept, Origin"


def test_every_origin_gets_one_answer(gate):
    for origin in (APP, EVIL, "null", None):
        status, headers, _ = gate.ask("GET", "/open", origin)
        assert (status, headers["vary"]) == (200, "Accept")
        assert of_cors(headers) == {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}


def test_null_is_an_origin_where_it_is_written(gate):
    assert gate.ask("GET", "/null", "null")[1]["access-control-allow-origin"] == "null"
    assert of_cors(gate.ask("GET", "/null", APP)[1]) == {}


def test_pages_can_read_why_they_are_refused(gate):
    refusals = {
        401: gate.ask("GET", "/api/1"),
        403: gate.ask("GET", "/api/1", token=gate.issuer.token(client_id="app", token_use="access", exp=1)),
        502: gate.ask("GET", "/gone"),
        429: [gate.ask("GET", "/few") for _ in range(3)][-1],
    }
    assert refusals[403][0] == 401, "an expired token"
    for expected, (status, headers, body) in refusals.items():
        assert status == (401 if expected == 403 else expected)
        assert headers["access-control-allow-origin"] == APP and "Origin" in headers["vary"], status
        assert headers["access-control-allow-credentials"] == "true"
        assert json.loads(body)["code"]
    assert refusals[429][1]["retry-after"]
    status, headers, _ = gate.ask("GET", "/api/1", EVIL)
    assert status == 401 and of_cors(headers) == {} and headers["vary"] == "Origin"


def test_without_a_setting_nothing_is_touched(gate):
    status, headers, _ = gate.ask("GET", "/silent", token=gate.issuer.token())
    assert status == 200 and headers["vary"] == "Accept"
    assert of_cors(headers) == {"access-control-allow-origin": "*", "access-control-allow-methods": "THEIRS"}
    assert of_cors(gate.ask("GET", "/silent")[1]) == {}, "a refusal of the gate"


def test_two_origins_are_refused(gate):
    port = int(gate.gate.listen.rsplit(":", 1)[1])
    for path, expected in (("/open", 400), ("/api/1", 400)):
        for method, more in (("GET", ""), ("OPTIONS", "Access-Control-Request-Method: GET\r\n")):
            request = f"{method} {path} HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\norigin: {EVIL}\r\n{more}\r\n"
            assert ask(port, request.encode()) == expected
    twice = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Method: PUT\r\n"
    for path in ("/open", "/pass"):
        request = f"OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\n{twice}\r\n"
        assert ask(port, request.encode()) == 400
    origins = [(b"origin", APP.encode()), (b"origin", EVIL.encode())]
    for method, more in ((b"GET", []), (b"OPTIONS", [(b"access-control-request-method", b"GET")])):
        assert ask_h2(port, h2_request([*pseudo_fields(method, b"/open"), *origins, *more])) == 400
    assert gate.take_seen() == []


# Preflights that the gate answers


def test_a_preflight_is_answered_without_a_token_and_reaches_nobody(gate):
    status, headers, body = gate.preflight("/api/1", "DELETE", access_control_request_headers="authorization")
    assert (status, body) == (204, b"")
    assert of_cors(headers) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, DELETE",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": "600",
    }
    assert headers["vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert headers["x-request-id"] and "content-length" not in headers and "transfer-encoding" not in headers
    assert gate.take_seen() == []
    path = gate.folder / "decisions.jsonl"
    records = lambda: [json.loads(line) for line in path.read_text().splitlines() if headers["x-request-id"] in line]  # noqa: E731
    record = wait_until(records, "its record")[0]
    expected = {"route": "api", "outcome": "allow", "status": 204, "method": "OPTIONS", "upstream": None, "principal": None}
    assert record | expected == record


def test_the_connection_of_a_preflight_goes_on(gate):
    host, port = gate.gate.listen.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.connect()
    socket = connection.sock
    for _ in range(2):
        connection.request("OPTIONS", "/open", headers={"Origin": APP, "Access-Control-Request-Method": "PUT"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
        connection.request("GET", "/open", headers={"Origin": APP})
        assert connection.getresponse().read()
    assert connection.sock is socket
    connection.close()


def test_the_requested_method_chooses_the_route(gate):
    assert gate.preflight("/api/1", "PUT", "https://admin.example.com")[1]["access-control-allow-methods"] == "PUT"
    assert gate.preflight("/api/1", "PUT", APP)[0] == 403
    assert gate.preflight("/api/1", "GET", "https://admin.example.com")[0] == 403
    # No route takes PATCH there, nor OPTIONS.
    status, headers, _ = gate.preflight("/api/1", "PATCH")
    assert status == 405 and of_cors(headers) == {}


def test_a_preflight_of_another_origin_is_refused(gate):
    for origin in (EVIL, "null", ""):
        status, headers, body = gate.preflight("/api/1", origin=origin)
        assert (status, json.loads(body)["code"], of_cors(headers)) == (403, "origin_refused", {})
        assert headers["vary"] == "Origin"


def test_what_is_not_allowed_is_left_out_for_the_browser_to_say(gate):
    status, headers, _ = gate.preflight("/some", "GET", access_control_request_headers="x-secret")
    assert (status, headers["access-control-allow-methods"]) == (204, "DELETE")
    assert "access-control-allow-headers" not in headers


def test_where_all_is_allowed_the_answer_says_what_was_asked(gate):
    status, headers, _ = gate.preflight("/open", "PUT", access_control_request_headers="x-one,authorization")
    assert status == 204 and headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-methods"] == "PUT"
    assert headers["access-control-allow-headers"] == "x-one, authorization"
    assert gate.preflight("/every", "PROPFIND")[1]["access-control-allow-methods"] == "PROPFIND"


def test_what_only_looks_like_a_preflight_is_like_any_other_request(gate):
    # OPTIONS is no method of this route; of that route it is, which asks for a token.
    method = {"access_control_request_method": "GET"}
    assert gate.ask("OPTIONS", "/api/1", None, **method)[0] == 405
    assert gate.ask("OPTIONS", "/api/1")[0] == 405
    assert gate.ask("OPTIONS", "/every", None, **method)[0] == 401
    assert gate.ask("OPTIONS", "/every", body=b"x", **method)[0] == 401
    assert gate.ask("OPTIONS", "/every", access_control_request_method="not a method")[0] == 401
    assert gate.ask("GET", "/every", **method)[0] == 401
    assert gate.ask("OPTIONS", "/silent", **method)[0] == 405
    assert gate.ask("OPTIONS", "/options", **method)[0] == 401
    assert gate.take_seen() == []
    assert gate.ask("OPTIONS", "/options", token=gate.issuer.token(), **method)[0] == 200
    assert [seen[0] for seen in gate.take_seen()] == ["OPTIONS"]


def test_preflights_that_the_gate_answers_take_from_no_limit(gate):
    assert {gate.preflight("/few")[0] for _ in range(10)} == {204}


# Preflights that are passed on


def test_a_preflight_is_passed_on_without_credentials(gate):
    status, headers, _ = gate.preflight(
        "/pass", origin=EVIL, cookie="session=1", authorization="Bearer forged", access_control_request_headers="x-a"
    )
    assert (status, headers["access-control-allow-methods"], headers["vary"]) == (200, "THEIRS", "Accept")
    [(method, path, seen)] = gate.take_seen()
    assert (method, path, seen["origin"], seen["access-control-request-headers"]) == ("OPTIONS", "/pass", EVIL, "x-a")
    assert "cookie" not in seen and "authorization" not in seen


def test_a_token_in_the_query_of_a_preflight_is_not_passed_on(gate):
    assert gate.preflight("/pass-query?a=1&t=forged&b=2")[0] == 200
    assert [path for _, path, _ in gate.take_seen()] == ["/pass-query?a=1&b=2"]
    assert gate.preflight("/pass-query?t=one&t=two")[0] == 400
    assert gate.take_seen() == []


def test_nothing_but_preflights_is_passed_on(gate):
    method = {"access_control_request_method": "GET"}
    assert gate.ask("GET", "/pass", **method)[0] == 401
    assert gate.ask("OPTIONS", "/pass")[0] == 405
    assert gate.ask("OPTIONS", "/pass", None, **method)[0] == 405
    assert gate.ask("OPTIONS", "/pass", body=b"{}", **method)[0] == 405
    assert gate.preflight("/pass", "PUT")[0] == 405
    assert gate.take_seen() == []


def test_preflights_that_are_passed_on_are_limited(gate):
    statuses = [gate.preflight("/pass")[0] for _ in range(8)]
    assert statuses[-1] == 429 and len(gate.take_seen()) < 8

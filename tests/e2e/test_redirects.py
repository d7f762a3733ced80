"""Callers who are sent elsewhere: by a listener to https, and by routes to other paths and hosts."""

import json
import subprocess

import pytest
import requests
import yaml

import served
from answered import VERSIONS, ask, parsed
from portcullis import run, wait_until
from wire import RawOrigin, ask_all, connect, head_end, status

# Both are addresses of this host; the gate believes one of them.
BALANCER, STRANGER = "127.0.0.2", "127.0.0.3"
BOTH = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module")
def origin():
    origin = RawOrigin()
    yield origin
    origin.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origin):
    gate = served.serve(
        tmp_path_factory.mktemp("redirects"), origin, plain={"redirect": "https"},
        trusted_peers=[f"{BALANCER}/32"], log={"decisions": "decisions.jsonl"},
    )  # fmt: skip
    yield gate
    gate.stop()


def record(gate, answer):
    """The decision record of an answer."""
    file, identity = gate.data / "decisions.jsonl", answer.headers["x-request-id"]
    found = lambda: [json.loads(line) for line in file.read_text().splitlines() if identity in line]  # noqa: E731
    return wait_until(found, "its record")[0]


# A listener that redirects to https


@BOTH
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"), ("/a/b%20c?q=1&r=%2F%3F", "/a/b%20c?q=1&r=%2F%3F"), ("/caf%c3%a9/", "/caf%C3%A9/"),
        ("/%70ets/%40me?%70=%40", "/pets/@me?%70=%40"), ("/a?", "/a?"), ("/a?b?c=/../%5c", "/a?b?c=/../%5c"),
        ("/a;b/c%2Fd", "/a;b/c%2Fd"), ("/" + "x" * 5000, "/" + "x" * 5000),
    ],
)  # fmt: skip
def test_path_and_query_stay_as_they_came(gate, origin, version, path, expected):
    origin.take()
    answer = ask(gate, version, path, host="shop.example.com")
    assert (answer.status, answer.content) == (308, b"")
    assert answer.headers["location"] == f"https://shop.example.com{expected}"
    assert answer.headers["content-length"] == "0" and answer.headers["x-request-id"]
    assert "strict-transport-security" not in answer.headers
    assert origin.take() == b""


@pytest.mark.parametrize("path", ["/a/b%20c?q=1&r=%2F%3F", "/%e2%82%ac?x=%e2%82%ac"])
def test_where_it_leads_the_request_is_served(gate, origin, path):
    location = ask(gate, "1.1", path).headers["location"]
    port, tls = served.ports(gate)["tls"]
    origin.take()
    target = location.removeprefix("https://a")
    answer = ask(gate, "1.1", target, port=port, tls=tls)
    assert answer.status == 200 and answer.content == b"ok"
    assert origin.take().startswith(f"GET {target} HTTP/1.1\r\n".encode())


@BOTH
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.example.com:80", "shop.example.com"), ("shop.example.com:8080", "shop.example.com"),
        ("shop.example.com:443", "shop.example.com"), ("SHOP.example.com", "shop.example.com"),
        ("[2001:DB8::0:9]:8080", "[2001:db8::9]"), ("[::1]", "[::1]"), ("192.0.2.7:8080", "192.0.2.7"),
    ],
)  # fmt: skip
def test_the_host_stays_without_its_port(gate, version, host, expected):
    assert ask(gate, version, "/x", host=host).headers["location"] == f"https://{expected}/x"


def test_port_and_status_are_settings(tmp_path, origin):
    to = {"scheme": "https", "port": 8443, "status": 302}
    with served.running(tmp_path / "gate", origin, plain={"redirect": to}) as gate:
        for host in ("a", "a:8080", "[::1]:80"):
            answer = ask(gate, "1.1", "/x?y", host=host)
            name = host.removesuffix(":8080").removesuffix(":80")
            assert (answer.status, answer.headers["location"]) == (302, f"https://{name}:8443/x?y")


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND"])
def test_every_method_is_redirected(gate, origin, version, method):
    origin.take()
    answer = ask(gate, version, "/x", method, body=b"abc" if method in ("POST", "PUT") else None)
    assert (answer.status, answer.headers["location"], answer.content) == (308, "https://a/x", b"")
    assert origin.take() == b""


def test_clients_send_again_what_they_sent(gate, origin):
    """308 keeps a request's method and body, and a client that follows comes to the listener with TLS."""
    origin.take()
    (plain, _), (tls, _) = served.ports(gate).values()
    follow = ["curl", "-sSkL", "-m", "20", "--connect-to", f"a:80:127.0.0.1:{plain}", "--connect-to", f"a:443:127.0.0.1:{tls}"]
    done = subprocess.run([*follow, "-d", "abc", "http://a/x%20y?q=%2F"], capture_output=True, check=True)
    assert done.stdout == b"ok"
    head, _, body = wait_until(lambda: b"abc" in origin.peek() and origin.take(), "the body").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x%20y?q=%2F HTTP/1.1\r\n") and body == b"abc"


def test_a_connection_goes_on_after_a_redirect(gate):
    with connect(int(gate.listen.rsplit(":", 1)[1])) as connection:
        for number in range(3):
            connection.sendall(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            data = b""
            while head_end(data) is None:
                assert (more := connection.recv(65536)), data
                data += more
            assert parsed(data).headers["location"] == f"https://a/{number}"
            assert parsed(data).headers["connection"] == "keep-alive"


def test_a_body_is_not_taken_for_the_next_request(gate, origin):
    origin.take()
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    port = int(gate.listen.rsplit(":", 1)[1])
    answers = ask_all(port, head + smuggled)
    assert answers.count(b"HTTP/1.1 ") == 1 and b"smuggled" not in answers and origin.take() == b""
    large = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200000
    assert status(ask_all(port, large)) == 308, "and the answer is not lost"


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        (BALANCER, [("X-Forwarded-Proto", "https")], 200),
        (BALANCER, [("X-Forwarded-Proto", "http")], 308),
        (BALANCER, [("X-Forwarded-Proto", "https, http")], 308),
        (BALANCER, [("X-Forwarded-Proto", "gopher")], 308),
        (BALANCER, [], 308),
        (BALANCER, [("Forwarded", "proto=https")], 308),
        (STRANGER, [("X-Forwarded-Proto", "https")], 308),
        (STRANGER, [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")], 308),
    ],
    ids=str,
)
def test_who_came_by_https_is_served(gate, source, fields, expected):
    answer = ask(gate, "1.1", "/x", fields=fields, source=source)
    assert answer.status == expected
    assert answer.headers.get("location") == (None if expected == 200 else "https://a/x")


@BOTH
@pytest.mark.parametrize(
    "path",
    [
        "//evil.example", "//evil.example/..;/", "/\\evil.example", "/%5cevil.example", "/%2f%2fevil.example", "/.evil.example",
        "/@evil.example", "/:80@evil.example", "/https://evil.example", "/?//evil.example", "/a//evil.example",
    ],
)  # fmt: skip
def test_no_path_leads_to_another_host(gate, version, path):
    answer = ask(gate, version, path)
    assert answer.status == 308
    location = answer.headers["location"]
    assert location.startswith("https://a/") and "\\" not in location


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /%0d%0aSet-Cookie:%20a=b", "GET /a%0aLocation:%20https://evil.example", "GET /a%00", "GET evil.example/",
        "GET @evil.example/", "GET http://evil.example/", "GET https:/evil.example", "GET /../evil", "GET /%2e%2e/x", "GET /%zz",
        "GET /a b", "GET /a?b=%0", "OPTIONS *", "TRACE /", "CONNECT evil.example:443", "get /",
    ],
)  # fmt: skip
def test_what_has_no_reading_is_refused_before(gate, request_line):
    data = ask_all(int(gate.listen.rsplit(":", 1)[1]), f"{request_line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert status(data) in (400, 405) and b"location:" not in data.lower() and b"set-cookie" not in data.lower()


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example/x"], ["a@evil.example"], ["a\\@evil.example"], ["evil.example:80:80"], ["a b"], ["a?evil.example"], ["a#b"],
        [""], [], ["a", "evil.example"], ["a, evil.example"], ["a:0"], ["a:99999"], ["[::1"], ["[::1]x"], ["a%0d%0ab"], ["é"],
    ],
    ids=str,
)  # fmt: skip
def test_no_host_leads_astray(gate, hosts):
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    data = ask_all(int(gate.listen.rsplit(":", 1)[1]), f"GET / HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    assert status(data) == 400 and b"location:" not in data.lower()


@BOTH
def test_an_escaped_line_end_in_a_query_stays_one(gate, version):
    answer = ask(gate, version, "/?a=%0d%0aSet-Cookie:%20b=c")
    assert answer.headers["location"] == "https://a/?a=%0d%0aSet-Cookie:%20b=c" and "set-cookie" not in answer.headers


@BOTH
def test_it_is_recorded_and_counted(gate, version):
    count = 'portcullis_requests_total{outcome="allow",route="(none)"} '
    seen = lambda: sum(float(line.removeprefix(count)) for line in gate.metrics().splitlines() if line.startswith(count))  # noqa: E731
    before = seen()
    answer = ask(gate, version, "/x?secret", host="shop.example.com")
    found = record(gate, answer)
    expected = {
        "route": None, "outcome": "allow", "code": None, "status": 308, "upstream": None, "host": "shop.example.com", "path": "/x",
    }  # fmt: skip
    assert found | expected == found
    assert seen() == before + 1


def test_operators_see_it(gate):
    file = gate.data / "portcullis.yaml"
    checked = run("check", "--config", file)
    assert checked.returncode == 0
    assert "listener 127.0.0.1:0: redirect 308 https://{host}{path}" in checked.stdout.splitlines()
    listeners = requests.get(f"{gate.admin_url}/config", timeout=5).json()["listeners"]
    assert [listener["redirect"] for listener in listeners] == [{"status": 308, "to": "https://{host}{path}"}, None]


def test_a_change_takes_a_restart_and_says_so(tmp_path, origin):
    with served.running(tmp_path / "gate", origin, plain={"redirect": "https"}) as gate:
        file = gate.data / "portcullis.yaml"
        settings = yaml.safe_load(file.read_text())
        settings["listeners"][0].pop("redirect")
        file.write_text(yaml.safe_dump(settings))
        names = lambda: [entry["what"] for entry in gate.readyz().json()["degraded"]]  # noqa: E731
        wait_until(lambda: names() == ["listeners"], "it is said")
        assert ask(gate, "1.1", "/x").status == 308


# Routes that redirect

LIMIT = {"by": "client_ip", "requests": 2, "per_seconds": 3600}
ROUTES = [
    {"match": {"path": "/old/{rest*}"}, "redirect": {"path": "/new/{rest*}"}},
    {"match": {"path": "/top/{rest*}"}, "redirect": {"path": "/{rest*}", "status": 302}},
    {"match": {"path": "/users/{id}/pets/{pet}", "methods": ["GET", "POST"]},
     "redirect": {"path": "/pets/{pet}", "status": 307}},
    {"name": "host", "match": {"host": "example.com"}, "redirect": {"scheme": "https", "host": "www.example.com", "status": 301}},
    {"match": {"host": "[::1]"}, "redirect": {"host": "[::2]", "port": 8443, "path": "/"}},
    {"name": "self", "match": {"host": "self.example"}, "redirect": {"host": "self.example"}},
    {"match": {"path": "/few"}, "redirect": {"path": "/new/few"}, "rate_limits": [LIMIT]},
    {"match": {"path": "/page"}, "redirect": {"path": "/new/page"}, "cors": {"origins": ["https://app.example.com"]}},
    {"match": {"path": "/new/{rest*}"}, **served.OPEN},
]  # fmt: skip


@pytest.fixture(scope="module")
def routed(tmp_path_factory, origin):
    folder = tmp_path_factory.mktemp("routed")
    gate = served.serve(folder, origin, ROUTES, log={"decisions": "decisions.jsonl"})
    yield gate
    gate.stop()


@BOTH
@pytest.mark.parametrize(
    ("host", "path", "status", "location"),
    [
        ("a", "/old/", 308, "/new/"), ("a", "/old/x/y%20z?q=%2F&r", 308, "/new/x/y%20z?q=%2F&r"),
        ("a:8080", "/old/caf%c3%a9/", 308, "/new/caf%C3%A9/"),
        ("a", "/top/", 302, "/"), ("a", "/top/evil.example?x", 302, "/evil.example?x"), ("a", "/top/@evil.example", 302, "/@evil.example"),
        ("a", "/users/7/pets/a%3Fb", 307, "/pets/a%3Fb"),
        ("example.com", "/any/%70ath?q", 301, "https://www.example.com/any/path?q"),
        ("example.com:8080", "/", 301, "https://www.example.com/"),
        ("[::1]:8080", "/x?q", 308, "http://[::2]:8443/?q"),
        ("self.example:8080", "/x", 308, "http://self.example/x"),
    ],
)  # fmt: skip
def test_a_route_leads_elsewhere(routed, origin, version, host, path, status, location):
    origin.take()
    answer = ask(routed, version, path, host=host)
    assert (answer.status, answer.headers["location"], answer.content) == (status, location, b"")
    assert answer.headers["content-length"] == "0" and origin.take() == b""


def test_over_tls_a_host_is_led_to_over_tls(routed):
    port, tls = served.ports(routed)["tls"]
    answer = ask(routed, "1.1", "/x", host=f"[::1]:{port}", port=port, tls=tls)
    assert answer.headers["location"] == "https://[::2]:8443/"


@BOTH
@pytest.mark.parametrize(
    "path",
    [
        "/top//evil.example", "/top/\\evil.example", "/top/%5cevil.example", "/top/%2fevil.example", "/top/%2f%2fevil.example",
        "/top/..//evil.example", "/top/%0d%0aSet-Cookie:a", "/top/;@evil.example", "/old/%252f%252fevil.example",
    ],
)  # fmt: skip
def test_no_path_of_a_route_leads_to_another_host(routed, version, path):
    if version == "2" and ".." in path:
        pytest.skip("curl resolves it itself")
    answer = ask(routed, version, path)
    assert answer.status == 400 and json.loads(answer.content)["code"] == "path_ambiguous"
    assert "location" not in answer.headers and "set-cookie" not in answer.headers


@BOTH
def test_nobody_is_led_where_he_comes_from(routed, version):
    answer = ask(routed, version, "/x?y", host="self.example")
    assert (answer.status, json.loads(answer.content)["code"]) == (404, "redirect_loop")
    found = record(routed, answer)
    assert (found["route"], found["outcome"], found["code"]) == ("self", "refuse", "redirect_loop")


def test_its_method_counts(routed):
    answer = ask(routed, "1.1", "/users/7/pets/1", "PUT")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
    assert ask(routed, "1.1", "/users/7/pets/1", "POST", body=b"abc").status == 307


@pytest.mark.parametrize("version", VERSIONS)
def test_a_redirect_is_recorded_with_its_route(routed, version):
    answer = ask(routed, version, "/x", host="example.com")
    found = record(routed, answer)
    expected = {"route": "host", "outcome": "allow", "code": None, "status": 301, "upstream": None, "principal": None}
    assert found | expected == found


def test_rate_limits_hold_for_redirects(routed):
    answers = [ask(routed, "1.1", "/few") for _ in range(3)]
    assert [answer.status for answer in answers] == [308, 308, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]


@BOTH
def test_pages_of_other_origins_may_follow(routed, version):
    origin = ("Origin", "https://app.example.com")
    answer = ask(routed, version, "/page", fields=[origin])
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (308, "https://app.example.com")
    assert answer.headers["vary"] == "Origin"
    other = ask(routed, version, "/page", fields=[("Origin", "https://evil.example")])
    assert other.status == 308 and "access-control-allow-origin" not in other.headers
    preflight = ask(routed, version, "/page", "OPTIONS", fields=[origin, ("Access-Control-Request-Method", "PUT")])
    assert preflight.status == 204


def test_check_and_views_list_redirects_among_the_open(routed):
    checked = run("check", "--config", routed.data / "portcullis.yaml")
    assert checked.returncode == 0, checked.stdout
    [line] = [line for line in checked.stdout.splitlines() if line.startswith("host ")]
    assert line.split() == ["host", "*", "example.com/{path*}", "none", "none", "redirect", "301", "https://www.example.com{path}"]
    views = {view["name"]: view for view in requests.get(f"{routed.admin_url}/routes", timeout=5).json()}
    view = views["host"]
    assert view["open"] and view["redirect"] == "301 https://www.example.com{path}" and view["upstream"] is None


def test_a_circle_is_refused_at_the_start(tmp_path, origin):
    routes = [
        {"match": {"path": "/a/{rest*}"}, "redirect": {"path": "/b/{rest*}"}},
        {"match": {"path": "/b/{rest*}"}, "redirect": {"path": "/a/x/{rest*}"}},
    ]
    settings = {
        "listeners": [{"address": "127.0.0.1:0"}], "upstreams": {"origin": {"servers": [origin.url]}}, "routes": routes,
    }  # fmt: skip
    file = tmp_path / "portcullis.yaml"
    file.write_text(yaml.safe_dump(settings))
    for command in ("check", "serve"):
        done = run(command, "--config", file)
        told = done.stdout + done.stderr
        assert done.returncode == 1 and "routes[0].redirect: leads in a circle" in told, told

"""Routes that let named rules of admission go: what they admit, and that everybody sees the same of it."""

import pytest
import requests

import served
from portcullis import ROOT, wait_until
from test_admission import get
from wire import NaiveProxy, ask, ask_h2, h2_request

EVERYTHING = ["encoded_slash", "backslash", "semicolon", "double_encoding", "empty_segment", "header_alias"]


def loose(path, *rules, **more):
    return {"match": {"path": path}, **served.OPEN, "admit": {"allow": list(rules or EVERYTHING)}, **more}


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origin, issuer):
    bearer = {"bearer": {"issuers": ["remote"]}}
    pets = {
        "match": {"path": "/owners/{owner}/pets", "methods": ["GET"]}, "authenticate": bearer,
        "authorize": {"policies": "pets"}, "upstream": {"to": "origin"}, "admit": {"allow": ["encoded_slash", "double_encoding"]},
    }  # fmt: skip
    pet = pets | {
        "match": {"path": "/pets/{petId}", "methods": ["GET"]},
        "authorize": {"policies": "pets", "resource": 'PetStore::Pet::"{petId}"'},
    }
    routes = [
        *served.everything(),
        loose("/files/{rest*}"),
        {"match": {"path": "/files/secret"}, **served.OPEN, "authenticate": bearer, "authorize": "authenticated"},
        {"match": {"path": "/files/posted", "methods": ["POST"]}, **served.OPEN},
        *(loose(f"/only/{rule}/{{rest*}}", rule) for rule in EVERYTHING),
        pets,
        pet,
    ]
    with served.running(
        tmp_path_factory.mktemp("loosening"), origin, routes,
        issuers={"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"], "principal": {"prefix": "us-east-1_PetStore1"}}},
        policies={"pets": {"path": str(ROOT / "policies/petstore"), "principal": "PetStore::User", "group": "PetStore::UserGroup"}},
    ) as gate:  # fmt: skip
        wait_until(lambda: ask_as(gate, issuer, "/owners/someone/pets", "someone") == 200, "the keys are fetched")
        yield gate


def ask_as(gate, issuer, path, sub):
    token = issuer.token(sub=sub, **{"cognito:groups": None})
    request = requests.Request("GET", gate.url, headers={"authorization": f"Bearer {token}"}).prepare()
    # As it stands, and not as the library would spell it.
    request.url = gate.url + path
    with requests.Session() as session:
        return session.send(request, timeout=10).status_code


# What is sent, and how it goes on.
ADMITTED = {
    "encoded_slash": [(b"a%2fb", b"a%2Fb"), (b"a%2Fb/c", b"a%2Fb/c")],
    "backslash": [(b"a\\b", b"a%5Cb"), (b"a%5cb", b"a%5Cb")],
    "semicolon": [(b"a;v=1/b", b"a;v=1/b"), (b"a%3bb", b"a%3Bb"), (b"a;/b", b"a;/b")],
    "double_encoding": [(b"a%252fb", b"a%252fb"), (b"a%25%32%66b", b"a%252fb")],
    "empty_segment": [(b"a//b", b"a//b"), (b"/a", b"/a"), (b"a///", b"a///")],
}

# What no route can allow.
NEVER = [
    b"../secret", b"a/%2e%2e/secret", b"a%2f..%2fsecret", b"a/..%2fsecret", b"..%5csecret", b"a/..;/secret", b"a/..%3b/secret",
    b"a/%252e%252e/secret", b"a/.%252e%252fsecret", b"a/%25252e./b", b"./a", b"a%2f.", b"a%00", b"a%0d%0aX-A:b", b"a%2500",
    b"a%250d", b"a%7f", b"a%ff", b"a%c0%af", b"a%2", b"a%zz",
]  # fmt: skip

# Another route's paths, as one or another server would read them.
ELSEWHERE = [
    b"/files/secret;x", b"/files/secret%3bx", b"/files//secret", b"//files/secret", b"/files;x/secret", b"/files%2fsecret",
    b"/files%5csecret", b"/files\\secret", b"/files/%2573ecret", b"/files/%25%37%33ecret", b"/files/;/secret",
    b"/files/%2fsecret", b"/files/%252fsecret", b"/files/%5Csecret", b"/files/posted;x",
]  # fmt: skip


def asked(gate, target, listener="plain", over=ask, **more):
    port, tls = served.ports(gate)[listener]
    return over(port, get(target=target, **more) if over is ask else h2_get(target), tls)


def h2_get(path):
    return h2_request([(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)])


@pytest.mark.parametrize("over", [ask, ask_h2])
@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("rule", ADMITTED)
def test_what_a_route_allows_goes_on_as_it_is(gate, origin, rule, listener, over):
    for sent, seen in ADMITTED[rule]:
        origin.take()
        path = b"/only/" + rule.encode() + b"/"
        assert asked(gate, path + sent, listener, over) == 200, sent
        assert origin.take().startswith(b"GET " + path + seen + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("rule", ADMITTED)
def test_what_a_route_does_not_allow_is_refused(gate, origin, rule):
    """By every other route, those that allow something else among them."""
    origin.take()
    for other in [path for name in EVERYTHING if name != rule for path in (f"/only/{name}/", "/")]:
        for sent, _ in ADMITTED[rule]:
            assert asked(gate, other.encode() + sent) == 400, (other, sent)
    assert origin.take() == b""


@pytest.mark.parametrize("over", [ask, ask_h2])
@pytest.mark.parametrize("target", [b"/files/" + path for path in NEVER] + ELSEWHERE)
def test_what_no_route_can_allow(gate, origin, target, over):
    origin.take()
    assert asked(gate, target, over=over) == 400
    assert origin.take() == b""


@pytest.mark.parametrize("target", [b"/files/" + path for path in NEVER] + ELSEWHERE)
def test_a_naive_proxy_hands_it_on(origin, target):
    naive = NaiveProxy(origin)
    origin.take()
    ask(naive.port, get(target=target))
    naive.stop()
    assert target in origin.take()


def test_headers_that_are_one_to_some_servers(gate, origin):
    both = b"X-Tenant: a\r\nX_Tenant: b\r\n"
    origin.take()
    assert asked(gate, b"/pets", more=both) == 400
    assert asked(gate, b"/only/semicolon/a", more=both) == 400
    assert origin.take() == b""
    assert asked(gate, b"/only/header_alias/a", more=both) == 200
    seen = origin.take().lower()
    assert b"x-tenant: a\r\n" in seen and b"x_tenant: b\r\n" in seen
    for never in (b"X_Forwarded_For: 6.6.6.6\r\n", b"Transfer_Encoding: chunked\r\n", b"Content_Length: 5\r\n"):
        assert asked(gate, b"/only/header_alias/a", more=never) == 400
    assert origin.take() == b""


def test_policies_and_records_see_what_the_upstream_gets(gate, origin, issuer):
    """A policy of the pet store lets owners through whose name is the path's: the parameter keeps its `%2F`."""
    for sub, owner, status in [
        ("a%2Fb", "a%2fb", 200), ("a/b", "a%2fb", 403), ("a b", "a%20b", 200), ("a%252Fb", "a%252Fb", 200),
        ("a%2Fb", "a%252Fb", 403), ("a/b", "a%252Fb", 403),
    ]:  # fmt: skip
        origin.take()
        assert ask_as(gate, issuer, f"/owners/{owner}/pets", sub) == status, (sub, owner)
        seen = f"GET /owners/{owner.replace('2f', '2F')}/pets HTTP/1.1".encode() in origin.take()
        assert seen == (status == 200)
    assert ask_as(gate, issuer, "/pets/a%2fb", "someone") == 403
    wait_until(lambda: any('PetStore::Pet::\\"a%2Fb\\"' in line for line in gate.lines), "the record of the resource")

"""Tokens that must not pass the gate, whatever they look like, and those that must."""

import json
import time

import pytest
import requests
import yaml

from hostile import (
    COGNITO, CONTROLS, CONTROLS_COGNITO, CONTROLS_OIDC, FOR_ALL, MINE, OIDC, SIGNED, Company, Subject, b64, signed,
)  # fmt: skip
from origin import Origin
from portcullis import Portcullis, claims, unpad, wait_until

KINDS = ["oidc", "cognito"]


class World:
    """A gate in front of one origin, with routes for an issuer of each kind and for both."""

    def __init__(self, folder):
        self.companies = {"oidc": Company(), "cognito": Company()}
        self.origin = Origin()
        folder.mkdir()
        file = folder / "portcullis.yaml"
        oidc, cognito = (self.companies[kind].issuer for kind in KINDS)
        route = lambda path, *issuers, **more: {  # noqa: E731
            "match": {"path": path}, "authenticate": {"bearer": {"issuers": list(issuers)} | more},
            "authorize": "authenticated", "upstream": {"to": "origin"},
        }  # fmt: skip
        file.write_text(yaml.safe_dump({
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "issuers": {
                "oidc": {"kind": "oidc", "issuer": oidc, "audiences": ["api"]},
                "cognito": {"kind": "cognito", "issuer": cognito, "clients": ["web", "app"]},
            },
            "upstreams": {"origin": {"servers": [self.origin.url]}},
            "routes": [
                route("/oidc", "oidc"), route("/cognito", "cognito"), route("/both", "oidc", "cognito"),
                route("/scoped", "oidc", scopes=["pets/read", "pets/write"]),
                route("/cookie", "oidc", **{"from": [{"cookie": "sid"}]}),
                route("/query", "oidc", **{"from": [{"query": "access_token"}]}),
                route("/anywhere", "oidc", **{"from": ["header", {"cookie": "sid"}, {"query": "access_token"}]}),
            ],
        }))  # fmt: skip
        self.gate = Portcullis(folder, command=["serve", "--config", file])

    def subject(self, kind):
        company, now = self.companies[kind], int(time.time())
        body = {"iss": company.issuer, "sub": "someone", "iat": now, "exp": now + 600, "scope": "pets/read other"}
        if kind == "oidc":
            body |= {"aud": "api", "groups": ["readers"]}
        else:
            body |= {"client_id": "app", "token_use": "access", "cognito:groups": ["readers"], "jti": f"j{time.monotonic_ns()}"}
        header = {"alg": "RS256", "kid": "rsa"}
        good = signed(company.keys["rsa"], header, body)
        return Subject(header, body, good, company.document["keys"][0], company)

    def token(self, **more):
        return self.subject("oidc").token(body=more)

    def stop(self):
        self.gate.stop()
        for service in (*self.companies.values(), self.origin):
            service.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world") / "data")
    for kind in KINDS:
        passes = lambda kind=kind: world.gate.get(f"/{kind}", world.subject(kind).good).status_code == 200  # noqa: E731
        wait_until(passes, f"the keys of {kind} are fetched")
    yield world
    world.stop()


def check_refused(gate, path, case, subject):
    token = case.make(subject)
    answer = gate.get(path, token)
    assert answer.status_code == 401, (answer.status_code, answer.text)
    assert answer.json()["code"] in case.codes
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="portcullis", error="invalid_token", error_description="'), challenge
    assert len(token) < 40 or token[:40] not in answer.text + str(answer.headers)
    # The gate is not one that refuses everything, nor has the hostile token spoilt what is remembered.
    assert gate.get(path, subject.good).status_code == 200
    assert gate.get(path, token).status_code == 401, "the second time"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", FOR_ALL + SIGNED, ids=str)
def test_a_hostile_token_is_refused(world, kind, case):
    seen = world.origin.seen
    check_refused(world.gate, f"/{kind}", case, world.subject(kind))
    assert world.origin.seen == seen + 1, "the origin saw the honest token's request alone"


@pytest.mark.parametrize("case", OIDC, ids=str)
def test_a_token_of_an_oidc_issuer_is_for_somebody(world, case):
    check_refused(world.gate, "/oidc", case, world.subject("oidc"))


@pytest.mark.parametrize("case", COGNITO, ids=str)
def test_a_token_of_a_cognito_pool_is_for_a_client(world, case):
    check_refused(world.gate, "/cognito", case, world.subject("cognito"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CONTROLS, ids=str)
def test_an_odd_and_honest_token_passes(world, kind, case):
    token = case.make(world.subject(kind))
    answers = [world.gate.get(f"/{kind}", token) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text


@pytest.mark.parametrize(
    ("kind", "case"),
    [("oidc", case) for case in CONTROLS_OIDC] + [("cognito", case) for case in CONTROLS_COGNITO],
    ids=str,
)
def test_an_honest_token_of_its_kind_passes(world, kind, case):
    answer = world.gate.get(f"/{kind}", case.make(world.subject(kind)))
    assert answer.status_code == 200, answer.text


# Of the embedded pools, whose keys nobody has


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    """A gate with a pool of its own and a user in it who may read."""
    gate = Portcullis(tmp_path_factory.mktemp("dev") / "data")
    idp, who = gate.idp(), {"UserPoolId": gate.pool, "Username": "reader"}
    idp.admin_create_user(**who, MessageAction="SUPPRESS")
    idp.admin_set_user_password(**who, Password="Correct-Horse-7", Permanent=True)
    idp.admin_add_user_to_group(**who, GroupName="readers")
    answer = idp.initiate_auth(
        ClientId=gate.client, AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "reader", "PASSWORD": "Correct-Horse-7"},
    )  # fmt: skip
    good = answer["AuthenticationResult"]["AccessToken"]
    header = json.loads(unpad(good.split(".")[0]))
    keys = requests.get(f"{gate.url}/{gate.pool}/.well-known/jwks.json", timeout=5).json()["keys"]
    gate.subject = Subject(header, claims(good), good, next(key for key in keys if key["kid"] == header["kid"]))
    yield gate
    gate.stop()


@pytest.mark.parametrize("case", FOR_ALL, ids=str)
def test_a_hostile_token_of_an_embedded_pool_is_refused(dev, case):
    check_refused(dev, "/pets", case, dev.subject)


# Several issuers on one route


def test_a_route_takes_the_tokens_of_all_its_issuers(world):
    oidc, cognito = (world.subject(kind) for kind in KINDS)
    for subject in (oidc, cognito):
        assert world.gate.get("/both", subject.good).status_code == 200
    assert world.gate.get("/oidc", cognito.good).json()["code"] == "issuer_unknown"
    assert world.gate.get("/cognito", oidc.good).json()["code"] == "issuer_unknown"


def test_an_issuer_signs_for_itself_alone(world):
    """Both have a key `rsa`: the one whose name is in the token counts, and holds it to its own rules."""
    oidc, cognito = (world.subject(kind) for kind in KINDS)
    for subject, other in ((oidc, cognito), (cognito, oidc)):
        crossed = signed(subject.key(), subject.header, subject.body | {"iss": other.body["iss"]})
        assert world.gate.get("/both", crossed).json()["code"] == "signature_invalid"
        borrowed = signed(subject.key(), subject.header, other.body | {"iss": subject.body["iss"]})
        assert world.gate.get("/both", borrowed).status_code == 401


# Where a token may stand


def forwarded(answer):
    """What the origin saw: its target, and its headers by name."""
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    return seen["path"], dict(seen["headers"])


def test_a_token_in_a_cookie_does_not_go_on(world):
    token = world.token()
    target, headers = forwarded(world.gate.get("/cookie?a=1", headers={"cookie": f"a=1; sid={token}; b=2"}))
    assert (target, headers["cookie"]) == ("/cookie?a=1", "a=1; b=2")
    _, headers = forwarded(world.gate.get("/cookie", headers={"cookie": f"sid={token}"}))
    assert "cookie" not in headers and token not in str(headers)


def test_a_token_in_the_query_does_not_go_on(world):
    token = world.token()
    target, headers = forwarded(world.gate.get(f"/query?a=%20b&access_token={token}&c"))
    assert target == "/query?a=%20b&c" and token not in str(headers)
    assert forwarded(world.gate.get(f"/query?access_token={token}"))[0] == "/query"


def test_a_token_is_in_no_record_and_no_log(world):
    token = world.token(marker="of this test")
    for path, headers in ((f"/query?access_token={token}", {}), ("/cookie", {"cookie": f"sid={token}"})):
        for _ in range(2):
            assert world.gate.get(path, headers=headers).status_code == 200
        assert world.gate.get(path.replace(token, token[:-8]), headers={"cookie": f"sid={token[:-8]}"}).status_code == 401
    tail = token.split(".")[1][-40:]
    wait_until(lambda: any('"path":"/cookie"' in line and '"status":401' in line for line in world.gate.lines), "the records")
    assert not any(tail in line for line in world.gate.lines)
    assert tail not in world.gate.log.read_text() and tail not in world.gate.metrics()


@pytest.mark.parametrize("path", ["/oidc", "/cookie", "/query"])
def test_a_token_counts_only_where_the_route_says(world, path):
    token = world.token()
    places = {
        "/oidc": {"headers": {"authorization": f"Bearer {token}"}},
        "/cookie": {"headers": {"cookie": f"sid={token}"}},
        "/query": {"params": {"access_token": token}},
    }
    for place, request in places.items():
        answer = world.gate.get(path, **request)
        expected = 200 if place == path else 401
        assert answer.status_code == expected, place
        if expected == 401:
            assert answer.json()["code"] == "token_missing"
            assert answer.headers["www-authenticate"] == 'Bearer realm="portcullis"'


@pytest.mark.parametrize("place", ["header", "cookie", "query"])
def test_a_route_may_take_tokens_from_anywhere(world, place):
    token = world.token()
    headers = {"header": {"authorization": f"Bearer {token}"}, "cookie": {"cookie": f"sid={token}"}}.get(place, {})
    query = f"?access_token={token}" if place == "query" else ""
    assert world.gate.get("/anywhere" + query, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/anywhere?access_token=T", {"cookie": "sid=T"}),
        ("/anywhere?access_token=T", {"authorization": "Bearer T"}),
        ("/anywhere", {"authorization": "Bearer T", "cookie": "sid=T"}),
        ("/anywhere", {"authorization": "Basic YTpi", "cookie": "sid=T"}),
        ("/cookie", {"authorization": "Bearer T", "cookie": "sid=T"}),
        ("/cookie", {"cookie": "sid=T; sid=T"}),
        ("/cookie", {"cookie": "sid=T; a=1; sid="}),
        ("/query?access_token=T&access_token=T", {}),
        ("/query?access_token=T&Access_Token=T", {}),
        ("/query?access_token=T&access_token[]=T", {}),
        ("/query?access_token=T;a=1", {}),
    ],
)
def test_two_tokens_have_two_readings(world, target, headers):
    token, seen = world.token(), world.origin.seen
    put = lambda text: text.replace("=T", f"={token}").replace(" T", f" {token}")  # noqa: E731
    answer = world.gate.get(put(target), headers={name: put(value) for name, value in headers.items()})
    assert (answer.status_code, answer.json()["code"]) == (400, "authorization_ambiguous")
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="portcullis", error="invalid_request", error_description="')
    assert world.origin.seen == seen


# What a challenge says (RFC 6750 section 3)


def test_a_challenge_says_no_error_where_nothing_was_sent(world):
    for headers in ({}, {"authorization": "Basic YTpi"}):
        answer = world.gate.get("/oidc", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="portcullis"')


def test_a_challenge_names_the_scopes_that_are_lacking(world):
    assert world.gate.get("/scoped", world.token()).status_code == 200
    answer = world.gate.get("/scoped", world.token(scope="other"))
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="portcullis", error="insufficient_scope", error_description="the token lacks the scope that is '
        'asked for", scope="pets/read pets/write"'
    )


def test_a_scheme_has_no_case(world):
    token = world.token()
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert world.gate.get("/oidc", headers={"authorization": f"{scheme} {token}"}).status_code == 200


# The pools of `gate`, on both databases


@pytest.fixture
def tokens(gate, user, sign_in):
    username = user(gate.pool)
    gate.idp().admin_add_user_to_group(UserPoolId=gate.pool, Username=username, GroupName="readers")
    tokens = sign_in(gate.client, username)
    assert gate.get("/pets", tokens["AccessToken"]).status_code == 200, "the honest token passes"
    return tokens


def refusal(gate, token):
    answer = gate.get("/pets", token)
    assert answer.status_code == 401, (token[:80], answer.status_code, answer.text)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert token[:40] not in answer.text if len(token) > 40 else True
    return answer.json()["code"]


def parts(token):
    header, body, signature = token.split(".")
    return json.loads(unpad(header)), claims(token), signature


@pytest.mark.parametrize(
    "token",
    [
        "a", "a.b", "a.b.c", "a.b.c.d", "..", ".....", "e30.e30.", "e30.e30.e30", "null.null.null", "W10.W10.W10",
        "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "%00.%00.%00", "a" * 9000, "a" * 100 + "." + "b" * 9000 + ".c",
        "eyJhbGciOiJSUzI1NiIs.bm90anNvbg.AAAA", "eyJhbGciOiJSUzI1NiJ9.bm90anNvbg.AAAA", "=.=.=", "á.b.c".encode().decode("latin-1"),
    ],
    ids=lambda token: token[:16] + f"-{len(token)}",
)  # fmt: skip
def test_what_is_no_token(gate, token):
    answer = gate.get("/pets", token)
    assert answer.status_code in (400, 401), answer.text
    assert gate.get("/pets").status_code == 401


def test_a_token_with_blanks_around_or_padding(gate, tokens):
    token = tokens["AccessToken"]
    for odd in (token + "=", token + "==", token.replace(".", "..", 1), token + ".", "." + token, token + " x"):
        answer = gate.get("/pets", odd)
        assert answer.status_code in (400, 401), odd[-10:]


def test_an_authorization_header_has_one_reading(gate, tokens):
    token = tokens["AccessToken"]
    for value, statuses in (
        (f"bearer {token}", (200,)),
        (f"BEARER {token}", (200,)),
        (f"Basic {token}", (400, 401)),
        (token, (400, 401)),
        ("Bearer", (400, 401)),
        ("Bearer ", (400, 401)),
        (f"Bearer {token}, Bearer {token}", (400, 401)),
    ):
        assert gate.get("/pets", headers={"authorization": value}).status_code in statuses, value[:20]
    assert gate.get(f"/pets?access_token={token}").status_code == 401, "not taken from the query (RFC 9700, 4.3.2)"


def test_an_id_token_is_no_access_token(gate, tokens):
    assert refusal(gate, tokens["IdToken"]) in ("token_use_invalid", "audience_invalid")
    refusal(gate, tokens["RefreshToken"])


def test_a_token_of_another_pool_or_client_is_refused(gate, pool, user, sign_in, idp):
    this = pool()
    token = sign_in(this.client_id, user(this.id))["AccessToken"]
    assert refusal(gate, token) == "issuer_unknown"


def test_a_deleted_users_token_is_refused(gate, idp, user, sign_in):
    username = user(gate.pool)
    token = sign_in(gate.client, username)["AccessToken"]
    assert gate.get("/pets", token).status_code == 403
    idp.admin_delete_user(UserPoolId=gate.pool, Username=username)
    assert refusal(gate, token) == "token_revoked"


def test_the_api_refuses_them_too(gate, idp, tokens):
    header, body, signature = parts(tokens["AccessToken"])
    hostile = [
        signed(MINE, header, body),
        f"{b64(header | {'alg': 'none'})}.{b64(body)}.",
        tokens["IdToken"],
        tokens["AccessToken"][:-6] + "AAAAAA",
        "a.b.c",
    ]
    for token in hostile:
        with pytest.raises(idp.exceptions.NotAuthorizedException):
            idp.get_user(AccessToken=token)


def test_identity_headers_cannot_be_smuggled(gate, tokens):
    echoed = gate.get(
        "/pets",
        tokens["AccessToken"],
        headers={"x-user": "root", "X_User": "root", "x-amzn-oidc-identity": "root", "X-Forwarded-For": "6.6.6.6"},
    )
    assert echoed.status_code in (200, 400)
    assert "root" not in echoed.text


def test_hostile_tokens_are_refused_fast(gate, tokens):
    header, body, _ = parts(tokens["AccessToken"])
    started = time.monotonic()
    for number in range(50):
        refusal(gate, signed(MINE, header | {"kid": f"unknown{number}"}, body))
    assert time.monotonic() - started < 5, "an unknown key id must not fetch each time"

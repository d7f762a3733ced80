"""Rate limits of the gate: who is refused, when, and what clients are told of it."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import yaml

import http2
from origin import Issuer, Origin, Service, reply
from portcullis import Portcullis, wait_until
from wire import Http2

HOUR = 3600
BEARER = {"bearer": {"issuers": ["remote"]}}


class Limited(Service):
    """An origin with rate limits of its own."""

    def handle(self, request):
        fields = {"ratelimit-limit": "7", "ratelimit-remaining": "6", "ratelimit-reset": "5"}
        policy = {"ratelimit-policy": '"theirs";q=7;w=5', "ratelimit": '"theirs";r=6;t=5'}
        reply(request, {}, **{name.replace("-", "_"): value for name, value in (fields | policy).items()})


def limit(by, requests, per_seconds=HOUR, **more):
    return {"by": by, "requests": requests, "per_seconds": per_seconds} | more


def route(path, *limits, authenticate="none", to="origin", **more):
    authorize = "none" if authenticate == "none" else "authenticated"
    return {
        "name": path.strip("/"), "match": {"path": path}, "authenticate": authenticate, "authorize": authorize,
        "upstream": {"to": to}, "rate_limits": list(limits),
    } | more  # fmt: skip


def settings(gate):
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0"},
        "log": {"decisions": "decisions.jsonl"},
        "trusted_peers": ["127.0.0.0/8"],
        "issuers": {"remote": {"kind": "cognito", "issuer": gate.issuer.issuer, "clients": ["app"]}},
        "upstreams": {
            "origin": {"servers": [gate.origin.url]}, "limited": {"servers": [gate.limited.url]},
            "gone": {"servers": ["http://127.0.0.1:9"]},
        },
        "policies": {"none": {"path": "none", "principal": "App::User"}},
        "rate_limits": {"shared": limit("client_ip", 3)},
        "routes": [
            route("/free"),
            route("/ip", limit("client_ip", 5)),
            route("/all", limit("route", 5)),
            route("/both", limit("route", 6), limit("client_ip", 2)),
            route("/shared/one", "shared"),
            route("/shared/two", "shared"),
            route("/soon", limit("client_ip", 2, 2)),
            route("/burst", limit("route", 100, 60, burst=3)),
            route("/hidden", limit("client_ip", 2, announce=False)),
            route("/gone", limit("client_ip", 2), to="gone"),
            route("/theirs", limit("client_ip", 5), to="limited"),
            route("/parallel/ip", limit("client_ip", 25)),
            route("/parallel/all", limit("route", 25)),
            route("/flood", limit("client_ip", 5, 86400, burst=5, keys=1024)),
            route("/tokens", limit("client_ip", 4), authenticate=BEARER),
            route("/caller", limit("principal", 3), authenticate=BEARER),
            route("/tenant", limit({"claim": "tenant"}, 3), authenticate=BEARER),
            route("/denied", limit("principal", 3), authenticate={"bearer": {"issuers": ["remote"], "scopes": []}},
                  authorize={"policies": "none", "action": "look"}),
            route("/scoped", limit("principal", 1), authenticate={"bearer": {"issuers": ["remote"], "scopes": ["admin"]}}),
        ],
    }  # fmt: skip


class Gate:
    def __init__(self, folder, version="1.1"):
        self.issuer, self.origin, self.limited = Issuer(), Origin(), Limited()
        self.version = version
        (folder / "none").mkdir(parents=True)
        (folder / "none/app.cedarschema").write_text(
            'namespace App { entity User; entity Application; action look appliesTo {principal: User, resource: Application}; }'
        )
        (folder / "none/else.cedar").write_text(
            '@id("else") permit(principal == App::User::"us-east-1_Remote001|else", action == App::Action::"look", resource);'
        )
        self.folder, self.file = folder, folder / "portcullis.yaml"
        self.settings = settings(self)
        self.write()
        self.gate = Portcullis(folder, command=["serve", "--config", self.file])
        wait_until(lambda: self.get("/free").status_code == 200, "it serves")

    def write(self):
        draft = self.file.with_suffix(".draft")
        draft.write_text(yaml.safe_dump(self.settings))
        draft.rename(self.file)

    def get(self, path, client="192.0.2.1", token=None, **more):
        headers = {"x-forwarded-for": client} | more.pop("headers", {})
        if self.version == "2":
            headers |= {"authorization": f"Bearer {token}"} if token else {}
            return http2.Answer(self.gate.url + path, headers=headers)
        return self.gate.get(path, token, headers=headers, **more)

    def statuses(self, path, count, client="192.0.2.1", token=None):
        return [self.get(path, client, token).status_code for _ in range(count)]

    def metric(self, line):
        values = [text for text in self.gate.metrics().splitlines() if text.startswith(line)]
        return float(values[0].rsplit(" ", 1)[1]) if values else None

    def records(self, **fields):
        lines = (self.folder / "decisions.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines if line.endswith("}")]
        return [record for record in records if all(record.get(key) == value for key, value in fields.items())]

    def stop(self):
        self.gate.stop()
        for service in (self.issuer, self.origin, self.limited):
            service.stop()


@pytest.fixture(scope="module", params=["1.1", "2"])
def gate(request, tmp_path_factory):
    gate = Gate(tmp_path_factory.mktemp("limits") / "data", request.param)
    token = gate.issuer.token()
    wait_until(lambda: gate.get("/tokens", "198.51.100.250", token).status_code in (200, 429), "the keys are fetched")
    yield gate
    gate.stop()


_clients = iter(f"203.0.113.{n}" for n in range(1, 255))


@pytest.fixture
def client():
    """An address that no other test uses."""
    return next(_clients)


# What a refusal says


def test_a_client_is_refused_and_told_when_to_come_back(gate, client):
    assert gate.statuses("/ip", 5, client) == [200] * 5
    before = gate.metric('portcullis_rate_limited_total{limit="client_ip",route="ip"}')
    answer = gate.get("/ip", client)
    assert answer.status_code == 429
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["retryable"]) == ("rate_limited", 429, True)
    assert answer.headers["content-type"] == "application/problem+json"
    wait = int(answer.headers["retry-after"])
    assert 715 <= wait <= 720, "five in an hour are one in 720 s"
    assert answer.headers["ratelimit"] == f'"client_ip";r=0;t={wait}'
    assert answer.headers["ratelimit-policy"] == '"client_ip";q=5;w=3600'
    apart = [answer.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
    assert apart == ["5", "0", str(wait)]
    assert gate.metric('portcullis_rate_limited_total{limit="client_ip",route="ip"}') == before + 1
    request = problem["request_id"]
    record = wait_until(lambda: gate.records(request_id=request), "its record")[0]
    expected = {"outcome": "refuse", "code": "rate_limited", "limit": "client_ip", "status": 429, "route": "ip", "client": client}
    assert record | expected == record and record["upstream"] is None


def test_successful_answers_say_what_is_left(gate, client):
    answers = [gate.get("/ip", client) for _ in range(2)]
    assert [answer.headers["ratelimit"] for answer in answers] == ['"client_ip";r=4;t=2880', '"client_ip";r=3;t=2160']
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["4", "3"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"client_ip";q=5;w=3600'}
    assert "retry-after" not in answers[0].headers
    assert not [name for name in gate.get("/free", client).headers if "ratelimit" in name.lower()]


def test_a_limit_that_is_not_announced_says_when_to_come_back_only(gate, client):
    answers = [gate.get("/hidden", client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert not [name for answer in answers for name in answer.headers if "ratelimit" in name.lower()]
    assert int(answers[2].headers["retry-after"]) > 1700


def test_the_failures_of_an_upstream_count_and_say_what_is_left(gate, client):
    answers = [gate.get("/gone", client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [502, 502, 429]
    assert answers[0].headers["ratelimit"] == '"client_ip";r=1;t=1800'


def test_an_upstreams_own_limits_stay(gate, client):
    answer = gate.get("/theirs", client)
    assert answer.headers["ratelimit-limit"] == "7" and answer.headers["ratelimit-remaining"] == "6"
    assert answer.headers["ratelimit"] == '"theirs";r=6;t=5, "client_ip";r=4;t=2880'
    assert answer.headers["ratelimit-policy"] == '"theirs";q=7;w=5, "client_ip";q=5;w=3600'


def test_who_waits_as_told_passes(gate, client):
    assert gate.statuses("/soon", 2, client) == [200, 200]
    refused = gate.get("/soon", client)
    assert refused.status_code == 429
    wait = int(refused.headers["retry-after"])
    assert wait == 1
    time.sleep(wait)
    assert gate.get("/soon", client).status_code == 200


def test_a_burst_is_what_may_come_at_once(gate):
    answers = [gate.get("/burst") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"route";q=3;w=2'


# Whose requests are counted together


def test_clients_have_buckets_of_their_own(gate, client):
    assert gate.statuses("/ip", 6, client)[-1] == 429
    assert gate.get("/ip", next(_clients)).status_code == 200


def test_an_ipv6_client_is_its_64(gate):
    addresses = [f"2001:db8:7::{n:x}" for n in range(1, 6)]
    assert [gate.get("/ip", address).status_code for address in addresses] == [200] * 5
    assert gate.get("/ip", "2001:db8:7:0:ffff::1").status_code == 429
    assert gate.get("/ip", "2001:db8:7:1::1").status_code == 200
    assert gate.get("/ip", "::ffff:203.0.113.254").headers["ratelimit-remaining"] == "4"
    assert gate.get("/ip", "203.0.113.254").headers["ratelimit-remaining"] == "3", "the same address"


def test_what_a_client_says_of_others_is_not_believed(gate):
    """What a stranger says of himself changes nothing; only peers that are trusted are asked."""
    statuses = [gate.get("/both", f"192.0.2.77, 192.0.2.{n}").status_code for n in (8, 8, 8)]
    assert statuses == [200, 200, 429], "the last address counts"


def test_a_route_has_one_bucket_for_all(gate):
    assert [gate.get("/all", next(_clients)).status_code for _ in range(6)] == [200] * 5 + [429]


def test_who_is_refused_by_his_own_bucket_takes_nothing_from_everybodys(gate):
    """The limit by route stands first in the settings, and is asked last."""
    assert set(gate.statuses("/both", 30, next(_clients))[2:]) == {429}
    answer = gate.get("/both", next(_clients))
    assert answer.status_code == 200
    remaining = answer.headers["ratelimit"].split('"route";r=')[1].split(";")[0]
    assert int(remaining) <= 3 and answer.headers["ratelimit"].startswith('"client_ip";r=1;')


def test_routes_share_a_limit_that_both_name(gate, client):
    assert gate.statuses("/shared/one", 2, client) == [200, 200]
    assert gate.statuses("/shared/two", 2, client) == [200, 429]
    assert gate.get("/shared/one", client).status_code == 429


def test_callers_have_buckets_of_their_own_wherever_they_come_from(gate):
    one, again, two = (gate.issuer.token(sub=sub) for sub in ("one", "one", "two"))
    statuses = [gate.get("/caller", next(_clients), token).status_code for token in (one, again, one, again, two)]
    assert statuses == [200, 200, 200, 429, 200]
    refused = gate.get("/caller", token=one)
    record = wait_until(lambda: gate.records(request_id=refused.json()["request_id"]), "its record")[0]
    assert record["principal"].endswith("|one") and record["limit"] == "principal"


def test_claims_tell_callers_apart_and_those_without_share(gate):
    def spend(*claims):
        return [gate.get("/tenant", token=gate.issuer.token(sub=f"s{n}", tenant=claim)).status_code for n, claim in enumerate(claims)]

    assert spend("acme", "acme", "acme", "acme", "other") == [200, 200, 200, 429, 200]
    assert spend(7, 7, 7, 7, "7", True, "true") == [200, 200, 200, 429, 200, 200, 200]
    # None leaves the claim out; what has parts tells nobody apart either.
    assert spend(None, ["acme2"], {"id": "acme2"}, None, ["x"]) == [200, 200, 200, 429, 429]


# When in the way of a request


def test_bad_tokens_count_by_address_and_not_by_caller(gate, client):
    assert gate.statuses("/tokens", 6, client, "not.a.token") == [401] * 4 + [429] * 2
    assert gate.get("/tokens", client, gate.issuer.token()).status_code == 429
    bad = gate.issuer.token(sub="victim", exp=1)
    assert set(gate.statuses("/caller", 10, client, bad)) == {401}
    answer = gate.get("/caller", client, gate.issuer.token(sub="victim"))
    assert answer.headers["ratelimit"].startswith('"principal";r=2;'), "a forged token costs its victim nothing"


def test_what_is_denied_counts_by_caller(gate):
    token = gate.issuer.token(sub="denied")
    assert gate.statuses("/denied", 5, token=token) == [403] * 3 + [429] * 2
    lacking = gate.issuer.token(sub="lacking")
    assert gate.statuses("/scoped", 3, token=lacking) == [403] * 3, "a scope belongs to whether a token is taken"


def test_health_and_what_no_route_takes_are_not_limited(gate, client):
    assert gate.statuses("/nothing", 20, client) == [404] * 20
    assert {gate.gate.readyz().status_code for _ in range(20)} == {200}


# Under fire


@pytest.mark.parametrize("path", ["/parallel/ip", "/parallel/all"])
def test_exactly_as_many_pass_as_there_are(gate, path):
    seen = threading.local()

    def ask(_):
        if not hasattr(seen, "session"):
            seen.session = requests.Session()
        return seen.session.get(gate.gate.url + path, headers={"x-forwarded-for": "198.51.100.9"}, timeout=20).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(ask, range(200)))
    assert (statuses.count(200), statuses.count(429)) == (25, 175)


def test_the_streams_of_a_connection_are_counted_one_by_one(gate, client):
    """And with what the same client asks over HTTP/1.1."""
    port = int(gate.gate.listen.rsplit(":", 1)[1])
    fields = [(b"x-forwarded-for", client.encode())]
    with Http2(port) as connection:
        streams = [connection.request(fields, path=b"/parallel/ip") for _ in range(40)]
        statuses = [connection.answer(stream) for stream in streams]
    assert (statuses.count(200), statuses.count(429)) == (25, 15)
    headers = {"x-forwarded-for": client}
    assert gate.gate.get("/parallel/ip", headers=headers).status_code == 429


def test_a_flood_of_addresses_frees_nobody(gate):
    """Eight times as many strangers as there are buckets; who was refused before is refused after."""
    victims = [f"198.51.100.{n}" for n in range(20, 30)]
    for victim in victims:
        assert gate.statuses("/flood", 6, victim)[-1] == 429
    crowded = gate.metric('portcullis_rate_limit_crowded_total{limit="flood/client_ip"}')
    strangers = iter(range(8192))
    lock = threading.Lock()

    def flood(_):
        session = requests.Session()
        while True:
            with lock:
                number = next(strangers, None)
            if number is None:
                return
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            session.get(gate.gate.url + "/flood", headers={"x-forwarded-for": address}, timeout=20)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(flood, range(8)))
    assert gate.metric('portcullis_rate_limit_crowded_total{limit="flood/client_ip"}') > crowded + 1000
    assert [gate.get("/flood", victim).status_code for victim in victims] == [429] * len(victims)


# Reloads


def test_a_reload_keeps_what_was_counted(gate, client):
    assert gate.statuses("/ip", 6, client)[-1] == 429
    assert gate.statuses("/shared/one", 4, client)[-1] == 429
    gate.settings["routes"].append(route("/new", limit("client_ip", 1)))
    gate.write()
    wait_until(lambda: gate.get("/new", next(_clients)).status_code == 200, "the new route")
    assert gate.get("/ip", client).status_code == 429
    assert gate.get("/shared/two", client).status_code == 429
    # A limit that changed begins anew, and only that one.
    changed = next(each for each in gate.settings["routes"] if each["name"] == "ip")
    changed["rate_limits"][0]["requests"] = 4
    gate.write()
    wait_until(lambda: gate.get("/ip", client).status_code == 200, "the new limit")
    assert gate.get("/ip", client).headers["ratelimit-policy"] == '"client_ip";q=4;w=3600'
    assert gate.get("/shared/two", client).status_code == 429


# The pools


def test_the_pools_are_limited_too(own):
    gate = own()
    file = gate.data / "portcullis.yaml"
    settings = yaml.safe_load(file.read_text())
    for each in settings["routes"]:
        if each.get("serve") == "pools":
            each["rate_limits"] = [limit("client_ip", 5)]
    file.write_text(yaml.safe_dump(settings))
    call = {"ClientId": gate.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "nobody", "PASSWORD": "x"}}

    def until(holds, what):
        # An answer that is no success is nothing to `wait_until`.
        return wait_until(lambda: [answer for answer in [gate.raw("InitiateAuth", call)] if holds(answer)], what)[0]

    answer = until(lambda answer: "ratelimit" in answer.headers, "the limit")
    assert answer.status_code == 400 and answer.json()["__type"] == "NotAuthorizedException"
    refused = until(lambda answer: answer.status_code == 429, "the refusal")
    assert refused.json()["code"] == "rate_limited" and int(refused.headers["retry-after"]) > 600

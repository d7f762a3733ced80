"""A gate without a store that follows the revocations of a pool elsewhere."""

import time

import pytest
import requests
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from origin import Origin
from portcullis import PASSWORD, Portcullis, wait_until


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """A gate that serves a pool, with a second operator who may touch another pool only."""
    gate = Portcullis(tmp_path_factory.mktemp("pools") / "data")
    gate.stop()
    file = gate.data / "portcullis.yaml"
    settings = yaml.safe_load(file.read_text())
    (gate.data / "other.key").write_text("other-secret\n")
    (gate.data / "other.key").chmod(0o600)
    other = {"access_key_id": "AKIAOTHER", "secret": {"file": "other.key"}, "pools": ["us-east-1_Another01"]}
    settings["pools"]["operators"].append(other)
    settings["routes"].append({"match": {"path": "/us-east-1_Nobody001/{rest*}"}, "serve": "pools"})
    file.write_text(yaml.safe_dump(settings))
    # The same port each time, since tokens name it.
    gate.command = ["dev", "--data", gate.data, "--listen", gate.listen, "--admin", "127.0.0.1:0"]
    gate.start()
    yield gate
    gate.stop()


@pytest.fixture
def user(pools, name):
    """Makes a user and returns how they sign in."""

    def make():
        username, idp = name("followed"), pools.idp()
        who = {"UserPoolId": pools.pool, "Username": username}
        idp.admin_create_user(**who, MessageAction="SUPPRESS")
        idp.admin_set_user_password(**who, Password=PASSWORD, Permanent=True)

        def sign_in():
            parameters = {"USERNAME": username, "PASSWORD": PASSWORD}
            answer = idp.initiate_auth(ClientId=pools.client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)
            return answer["AuthenticationResult"]

        return username, sign_in

    return make


class Sidecar:
    def __init__(self, folder, pools, secret=None, **feed):
        self.origin, self.pools = Origin(), pools
        folder.mkdir(parents=True)
        (folder / "operator.key").write_text(secret or pools.env["AWS_SECRET_ACCESS_KEY"])
        (folder / "operator.key").chmod(0o600)
        self.file = folder / "portcullis.yaml"
        self.operator = {"access_key_id": pools.env["AWS_ACCESS_KEY_ID"], "secret": {"file": "operator.key"}}
        self.write(**feed)
        self.gate = Portcullis(folder, command=["serve", "--config", self.file])

    def write(self, **feed):
        issuer = f"{self.pools.public_url}/{self.pools.pool}"
        feed = {"url": f"{issuer}/revocations", "max_stale": "5s", "operator": self.operator} | feed
        self.file.write_text(yaml.safe_dump({
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "issuers": {"staff": {"kind": "cognito", "issuer": issuer, "clients": [self.pools.client], "revocations": feed}},
            "upstreams": {"origin": {"servers": [self.origin.url]}},
            "routes": [{
                "match": {"path": "/me"}, "authenticate": {"bearer": {"issuers": ["staff"]}},
                "authorize": "authenticated", "upstream": {"to": "origin"},
            }],
        }))  # fmt: skip

    def get(self, tokens):
        answer = self.gate.get("/me", tokens["AccessToken"])
        return answer.status_code if answer.status_code == 200 else (answer.status_code, answer.json()["code"])

    def follows(self):
        wait_until(lambda: self.view()["loaded"] and not self.view()["revocations"]["stale"], "the feed is followed")

    def view(self):
        return requests.get(f"{self.gate.admin_url}/issuers", timeout=5).json()[0]

    def degraded(self):
        found = self.gate.readyz().json()["degraded"]
        return next((entry["why"] for entry in found if entry["what"] == "issuers.staff"), "")


@pytest.fixture
def sidecar(pools, tmp_path):
    made = []

    def make(**more):
        made.append(Sidecar(tmp_path / f"sidecar{len(made)}", pools, **more))
        return made[-1]

    yield make
    for this in made:
        this.gate.stop()
        this.origin.stop()


REVOKED = (401, "token_revoked")
STALE = (503, "revocations_stale")


# The feed


def ask(pools, path=None, access_key=None, secret=None, service="cognito-idp", query=""):
    """Asks for the feed, signed."""
    url = f"{pools.public_url}/{path or pools.pool}/revocations{query}"
    request = AWSRequest("GET", url)
    keys = Credentials(access_key or pools.env["AWS_ACCESS_KEY_ID"], secret or pools.env["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    return requests.get(url, headers=dict(request.headers.items()), timeout=5)


def test_an_operator_of_the_pool_is_told(pools, user):
    username, sign_in = user()
    sign_in()
    pools.idp().admin_user_global_sign_out(UserPoolId=pools.pool, Username=username)
    answer = ask(pools)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert set(told) == {"next", "age_ms", "revocations"} and told["age_ms"] < 5000
    sub = pools.idp().admin_get_user(UserPoolId=pools.pool, Username=username)["UserAttributes"][0]["Value"]
    entry = next(entry for entry in told["revocations"] if entry["subject"] == sub)
    assert entry["kind"] == "user" and abs(entry["not_before_ms"] / 1000 - time.time()) < 60
    assert entry["expires_ms"] > entry["not_before_ms"]
    later = ask(pools, query=f"?since={told['next'] + 3_600_000}").json()
    assert later["revocations"] == []
    since = ask(pools, query=f"?since={told['next']}").json()
    assert entry in since["revocations"], "what may have been committed since"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"secret": "wrong"}, 403, "InvalidSignatureException"),
        ({"access_key": "AKIANOBODY"}, 403, "UnrecognizedClientException"),
        ({"service": "execute-api"}, 403, "InvalidSignatureException"),
        ({"access_key": "AKIAOTHER", "secret": "other-secret"}, 403, "AccessDeniedException"),
        ({"path": "us-east-1_Nobody001"}, 404, "ResourceNotFoundException"),
        ({"query": "?since=yesterday"}, 400, "InvalidParameterException"),
        ({"query": "?since=-1"}, 400, "InvalidParameterException"),
        ({"query": "?before=1"}, 400, "InvalidParameterException"),
    ],
    ids=str,
)
def test_nobody_else_is_told(pools, asked, status, code):
    answer = ask(pools, **asked)
    assert (answer.status_code, answer.json()["__type"]) == (status, code), answer.text


def test_who_does_not_sign_is_told_nothing(pools):
    url = f"{pools.public_url}/{pools.pool}/revocations"
    assert requests.get(url, timeout=5).status_code == 403
    assert requests.post(url, timeout=5).status_code == 405


# Who follows it


def test_a_sign_out_reaches_a_gate_elsewhere(pools, sidecar, user):
    this = sidecar()
    (username, sign_in), (_, other_sign_in) = user(), user()
    tokens, others = sign_in(), other_sign_in()
    this.follows()
    assert (this.get(tokens), this.get(others)) == (200, 200)
    pools.idp().admin_user_global_sign_out(UserPoolId=pools.pool, Username=username)
    wait_until(lambda: this.get(tokens) == REVOKED, "the sign-out is known", within=5)
    assert this.get(others) == 200
    assert this.get(sign_in()) == 200, "a sign-in after it"


def test_a_revoked_refresh_token_ends_its_access_tokens(pools, sidecar, user):
    this = sidecar()
    _, sign_in = user()
    one, other = sign_in(), sign_in()
    this.follows()
    pools.idp().revoke_token(ClientId=pools.client, Token=one["RefreshToken"])
    wait_until(lambda: this.get(one) == REVOKED, "the revocation is known", within=5)
    assert this.get(other) == 200


def test_a_deleted_user_is_gone_elsewhere_too(pools, sidecar, user):
    this = sidecar()
    username, sign_in = user()
    tokens = sign_in()
    this.follows()
    assert this.get(tokens) == 200
    pools.idp().admin_delete_user(UserPoolId=pools.pool, Username=username)
    wait_until(lambda: this.get(tokens) == REVOKED, "the deletion is known", within=5)


def test_what_was_revoked_before_the_start_is_known(pools, sidecar, user):
    username, sign_in = user()
    tokens = sign_in()
    pools.idp().admin_user_global_sign_out(UserPoolId=pools.pool, Username=username)
    this = sidecar()
    this.follows()
    assert this.get(tokens) == REVOKED
    view = this.view()["revocations"]
    assert view["entries"] >= 1 and view["age_seconds"] <= 6 and view["last_error"] is None
    assert 'portcullis_revocations_age_seconds{issuer="staff"}' in this.gate.metrics()


def test_an_outage_denies_or_serves_as_the_settings_say(pools, sidecar, user):
    (username, sign_in), (_, other_sign_in) = user(), user()
    revoked, live = sign_in(), other_sign_in()
    pools.idp().admin_user_global_sign_out(UserPoolId=pools.pool, Username=username)
    deny, serve = sidecar(), sidecar(on_stale="serve")
    for this in (deny, serve):
        this.follows()
        # Not at once where an answer of the feed was late.
        wait_until(lambda: (this.get(revoked), this.get(live)) == (REVOKED, 200), "it knows")  # noqa: B023
    pools.stop()
    try:
        wait_until(lambda: deny.get(live) == STALE, "what is known has grown old", within=15)
        # Each has asked at a time of its own, so what one knows is older than what the other does.
        wait_until(lambda: serve.view()["revocations"]["stale"], "and that of the other", within=15)
        assert deny.get(revoked) == STALE
        assert (serve.get(revoked), serve.get(live)) == (REVOKED, 200)
        for this in (deny, serve):
            assert "its revocations are not known: no answer from" in this.degraded()
            assert this.view()["revocations"]["stale"]
    finally:
        pools.start()
    wait_until(lambda: deny.get(live) == 200, "it recovers alone", within=15)
    assert deny.get(revoked) == REVOKED
    wait_until(lambda: "revocations" not in deny.degraded(), "all is well")


def test_a_changed_setting_loses_nothing_that_was_known(pools, sidecar, user):
    username, sign_in = user()
    tokens = sign_in()
    pools.idp().admin_user_global_sign_out(UserPoolId=pools.pool, Username=username)
    this = sidecar()
    this.follows()
    assert this.get(tokens) == REVOKED
    generation = this.gate.readyz().json()["generation"]
    this.write(max_stale="1h", on_stale="serve", url=this.pools.public_url + f"/{pools.pool}/revocations")
    wait_until(lambda: this.gate.readyz().json()["generation"] > generation, "the settings are in force")
    assert this.get(tokens) == REVOKED


def test_a_wrong_secret_denies_and_is_told_without_it(pools, sidecar, user):
    _, sign_in = user()
    this = sidecar(secret="not-the-secret")
    wait_until(lambda: "answered 403" in this.degraded(), "the refusal is told")
    assert this.get(sign_in()) == STALE
    assert "not-the-secret" not in this.gate.log.read_text() + this.degraded()
    assert "not-the-secret" not in requests.get(f"{this.gate.admin_url}/config", timeout=5).text

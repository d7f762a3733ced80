"""Two nodes on one PostgreSQL: what one is told holds at the other, also while one of them or the database is away."""

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property

import jwt
import pytest
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from origin import Issuer, Origin
from portcullis import PASSWORD, Portcullis, Writers, run, sdk, wait_until
from postgres import Postgres

POOL, CLIENT = "us-east-1_TwoNodes1", "twonodes"
OPERATOR = ("AKIATWONODES", "operator-secret-of-the-two-nodes")
# What happened at one node holds at the other within a second; machines that test are slow at times.
SOON = float(os.environ.get("SOON", 3))
# A node that has not heard of the store for so long trusts no embedded token, as docs/operations.md says.
STALE_AFTER = 5
POLICIES = """
@id("a client's")
permit (principal is Staff::User, action == Staff::Action::"get /ruled", resource)
when { context has token.client_id && context.token.client_id == "%s" };
"""
SCHEMA = """
namespace Staff {
  entity User in [UserGroup];
  entity UserGroup;
  entity Application;
  action "get /ruled" appliesTo { principal: User, resource: Application, context: { token?: { client_id?: String } } };
}
"""


class Relay:
    """Carries bytes to a Unix socket, until it is cut; then both ends hear nothing, as behind a firewall that drops."""

    def __init__(self, path):
        self.path, self.carries = path, threading.Event()
        self.carries.set()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(self.path)
                except OSError:
                    near.close()
                    continue
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        with suppress(OSError):
            while data := one.recv(65536):
                self.carries.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.carries.clear()

    def heal(self):
        self.carries.set()

    def stop(self):
        self.heal()
        self.server.close()


class Node:
    """One gate with the pools of the shared store."""

    def __init__(self, folder, store, issuer, origin, policies):
        self.folder = folder
        folder.mkdir(parents=True)
        for name, secret in (("seal.key", "5e" * 32), ("operator.key", OPERATOR[1]), ("store.url", store)):
            (folder / name).write_text(secret)
            (folder / name).chmod(0o600)
        routes = [
            {"match": {"path": "/"}, "serve": "pools"},
            self.route("/me", "staff"),
            self.route("/remote", "remote"),
            self.route("/ruled", "staff") | {"authorize": {"policies": "staff"}},
        ]
        self.settings = {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "data": str(folder / "data"),
            "issuers": {
                "staff": {"embedded": POOL},
                "remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]},
            },
            "policies": {"staff": {"path": str(policies), "principal": "Staff::User", "group": "Staff::UserGroup"}},
            "upstreams": {"origin": {"servers": [origin.url]}},
            "routes": routes,
            "pools": {
                "store": {"file": "store.url"},
                "seal": {"file": "seal.key"},
                "public_url": "https://auth.example.test",
                "operators": [{"access_key_id": OPERATOR[0], "secret": {"file": "operator.key"}, "pools": ["*"]}],
                "declare": [
                    {"id": POOL, "name": "staff", "clients": [{
                        "id": CLIENT, "name": "web",
                        "flows": ["ADMIN_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"],
                    }]},
                ],
            },
        }  # fmt: skip
        self.file = folder / "portcullis.yaml"
        self.file.write_text(yaml.safe_dump(self.settings))

    @staticmethod
    def route(path, issuer):
        return {
            "match": {"path": path, "methods": ["GET"]}, "authenticate": {"bearer": {"issuers": [issuer]}},
            "authorize": "authenticated", "upstream": {"to": "origin"},
        }  # fmt: skip

    def start(self):
        self.gate = Portcullis(self.folder, command=["serve", "--config", self.file])

    @cached_property
    def idp(self):
        """AWS's SDK, told to ask this node alone."""
        return sdk(self.gate.url, *OPERATOR, connect_timeout=5, read_timeout=30, max_pool_connections=32)

    def get(self, token, path="/me"):
        answer = self.gate.get(path, token)
        return answer.status_code if answer.status_code == 200 else (answer.status_code, answer.json()["code"])


class Nodes(list):
    """Two of them, in front of one origin; the second reaches the database through a relay."""

    def __init__(self, folder, server):
        self.issuer, self.origin, self.relay = Issuer(), Origin(), Relay(server.socket())
        store = server.database()
        relayed = store.replace("localhost", f"127.0.0.1:{self.relay.port}").split("?")[0]
        self.policies = folder / "policies"
        self.policies.mkdir()
        (self.policies / "schema.cedarschema").write_text(SCHEMA)
        self.permit(CLIENT)
        super().__init__(
            Node(folder / name, url, self.issuer, self.origin, self.policies)
            for name, url in (("one", store), ("two", relayed))
        )
        self.numbers = iter(range(10**6))

    def start(self):
        """Both at once, on whatever the store holds."""
        with ThreadPoolExecutor(2) as both:
            list(both.map(Node.start, self))

    def permit(self, client):
        (self.policies / "staff.cedar").write_text(POLICIES % client)

    def user(self):
        """A user who may sign in with the usual password."""
        name, idp = f"user{next(self.numbers)}", self[0].idp
        idp.admin_create_user(UserPoolId=POOL, Username=name, MessageAction="SUPPRESS")
        idp.admin_set_user_password(UserPoolId=POOL, Username=name, Password=PASSWORD, Permanent=True)
        return name

    def stop(self):
        self.relay.heal()
        for node in self:
            node.gate.stop()
        self.relay.stop()
        self.origin.stop()
        self.issuer.stop()


@pytest.fixture(scope="module")
def server():
    """A database of these tests alone, which they crash."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, server):
    nodes = Nodes(tmp_path_factory.mktemp("nodes"), server)
    nodes.start()
    yield nodes
    nodes.stop()


def sign_in(node, username, password=PASSWORD):
    answer = node.idp.initiate_auth(
        ClientId=CLIENT, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"USERNAME": username, "PASSWORD": password}
    )
    return answer["AuthenticationResult"]


def refresh(node, tokens):
    answer = node.idp.initiate_auth(
        ClientId=CLIENT, AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]}
    )
    return answer["AuthenticationResult"]


def ends(node, token, code="token_revoked"):
    """How long, in seconds, a node goes on taking a token that the other has ended."""
    begun = time.monotonic()
    wait_until(lambda: node.get(token) == (401, code), f"401 {code}")
    return time.monotonic() - begun


def both_at_once(nodes, call):
    """What each of 8 calls at both nodes at the same moment gave: an answer, or the name of the error."""
    start = threading.Barrier(8)

    def one(number):
        idp = nodes[number % 2].idp
        start.wait()
        try:
            return call(idp)
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(8)))


def won(results):
    return [result for result in results if not isinstance(result, str)]


def test_both_start_at_once_on_an_empty_database(nodes):
    """One makes the tables, the pool and its keys; the other finds them."""
    tokens = [sign_in(node, nodes.user()) for node in nodes]
    for node in nodes:
        for each in tokens:
            assert node.get(each["AccessToken"]) == 200
    (pool,) = nodes[1].idp.list_user_pools(MaxResults=60)["UserPools"]
    assert pool["Id"] == POOL


@pytest.mark.parametrize("way", ["global sign-out", "admin's sign-out", "revoked token", "disabled", "deleted", "new password"])
def test_what_ends_tokens_at_one_ends_them_at_the_other(nodes, way):
    for here, there in (nodes, nodes[::-1]):
        username = nodes.user()
        tokens = sign_in(there, username)
        assert [node.get(tokens["AccessToken"]) for node in nodes] == [200, 200]
        who = {"UserPoolId": POOL, "Username": username}
        {
            "global sign-out": lambda: here.idp.global_sign_out(AccessToken=tokens["AccessToken"]),
            "admin's sign-out": lambda: here.idp.admin_user_global_sign_out(**who),
            "revoked token": lambda: here.idp.revoke_token(Token=tokens["RefreshToken"], ClientId=CLIENT),
            "disabled": lambda: here.idp.admin_disable_user(**who),
            "deleted": lambda: here.idp.admin_delete_user(**who),
            "new password": lambda: here.idp.admin_set_user_password(**who, Password=PASSWORD + "b", Permanent=True),
        }[way]()
        assert here.get(tokens["AccessToken"]) == (401, "token_revoked")
        assert ends(there, tokens["AccessToken"]) < SOON
        with pytest.raises(ClientError, match="NotAuthorizedException"):
            refresh(there, tokens)


def test_a_client_that_is_deleted_at_one_is_gone_at_the_other(nodes):
    made = nodes[0].idp.create_user_pool_client(
        UserPoolId=POOL, ClientName="short", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    )["UserPoolClient"]["ClientId"]
    parameters = {"USERNAME": nodes.user(), "PASSWORD": PASSWORD}
    ask = {"ClientId": made, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters}
    token = nodes[1].idp.initiate_auth(**ask)["AuthenticationResult"]["AccessToken"]
    assert [node.get(token) for node in nodes] == [200, 200]
    nodes[0].idp.delete_user_pool_client(UserPoolId=POOL, ClientId=made)
    begun = time.monotonic()
    wait_until(lambda: [node.get(token) for node in nodes] == [(401, "token_revoked")] * 2, "401 at both")
    assert time.monotonic() - begun < SOON
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        nodes[1].idp.initiate_auth(**ask)


def test_a_pool_that_is_made_at_one_is_served_by_the_other(nodes):
    pool = nodes[0].idp.create_user_pool(PoolName="new")["UserPool"]["Id"]
    try:
        client = nodes[1].idp.create_user_pool_client(
            UserPoolId=pool, ClientName="new", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        )["UserPoolClient"]["ClientId"]
        nodes[0].idp.admin_create_user(UserPoolId=pool, Username="new", MessageAction="SUPPRESS")
        nodes[1].idp.admin_set_user_password(UserPoolId=pool, Username="new", Password=PASSWORD, Permanent=True)
        # Signed by one node with the keys that the other made, and read by that.
        token = nodes[1].idp.admin_initiate_auth(
            UserPoolId=pool, ClientId=client, AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "new", "PASSWORD": PASSWORD},
        )["AuthenticationResult"]["AccessToken"]  # fmt: skip
        assert nodes[0].idp.get_user(AccessToken=token)["Username"] == "new"
    finally:
        nodes[0].idp.delete_user_pool(UserPoolId=pool)


def test_keys_that_one_makes_are_known_to_the_other(nodes):
    here, there = nodes
    made = run("pool", "rotate-keys", POOL, env={
        "AWS_ENDPOINT_URL": here.gate.url, "AWS_ACCESS_KEY_ID": OPERATOR[0], "AWS_SECRET_ACCESS_KEY": OPERATOR[1],
    }).stdout.split()  # fmt: skip
    assert made
    # The gate of the other has never seen them.
    token = sign_in(here, nodes.user())["AccessToken"]
    assert jwt.get_unverified_header(token)["kid"] in made
    begun = time.monotonic()
    wait_until(lambda: there.get(token) == 200, "200")
    assert time.monotonic() - begun < SOON


def test_a_policy_that_changes_under_both_holds_at_both(nodes):
    """Nodes that read one folder of policies."""
    token = sign_in(nodes[0], nodes.user())["AccessToken"]
    assert [node.get(token, "/ruled") for node in nodes] == [200, 200]
    try:
        nodes.permit("another")
        begun = time.monotonic()
        wait_until(lambda: [node.get(token, "/ruled") for node in nodes] == [(403, "no_permit")] * 2, "403 at both")
        assert time.monotonic() - begun < SOON
    finally:
        nodes.permit(CLIENT)
        wait_until(lambda: [node.get(token, "/ruled") for node in nodes] == [200, 200], "200 at both")


def test_of_two_who_take_one_name_one_gets_it(nodes):
    name = f"both{next(nodes.numbers)}"
    results = both_at_once(nodes, lambda idp: idp.admin_create_user(UserPoolId=POOL, Username=name, MessageAction="SUPPRESS"))
    assert len(won(results)) == 1
    assert results.count("UsernameExistsException") == len(results) - 1


def test_a_challenge_is_answered_once(nodes):
    name = f"once{next(nodes.numbers)}"
    nodes[0].idp.admin_create_user(UserPoolId=POOL, Username=name, TemporaryPassword=PASSWORD, MessageAction="SUPPRESS")
    challenge = nodes[0].idp.initiate_auth(
        ClientId=CLIENT, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD}
    )
    answers = both_at_once(nodes, lambda idp: idp.respond_to_auth_challenge(
        ClientId=CLIENT, ChallengeName="NEW_PASSWORD_REQUIRED", Session=challenge["Session"],
        ChallengeResponses={"USERNAME": name, "NEW_PASSWORD": PASSWORD + "b"},
    ))  # fmt: skip
    assert len(won(answers)) == 1, answers
    # Those who came second find the session used, or the password changed under it.
    assert {answer for answer in answers if isinstance(answer, str)} == {"NotAuthorizedException"}, answers


def test_wrong_passwords_are_counted_together(nodes):
    """Who guesses gains nothing by asking both: each alone would have let him try five times."""
    name, said = nodes.user(), []
    for number in range(10):
        with pytest.raises(ClientError) as error:
            sign_in(nodes[number % 2], name, "Wrong-Horse-7")
        said.append(error.value.response["Error"]["Message"])
    assert "Password attempts exceeded" in said


def test_a_node_that_is_cut_off_denies_what_it_cannot_know_of(nodes):
    """The other serves on; tokens of issuers elsewhere are verified by both; it recovers by itself."""
    here, away = nodes
    tokens, signed_out = (sign_in(here, nodes.user())["AccessToken"] for _ in range(2))
    remote, known = nodes.issuer.token(), nodes.user()
    sign_in(away, known)
    wait_until(lambda: away.get(remote, "/remote") == 200, "the keys of the remote issuer are there")
    assert away.get(tokens) == 200
    nodes.relay.cut()
    try:
        begun = time.monotonic()
        here.idp.global_sign_out(AccessToken=signed_out)
        wait_until(lambda: away.get(tokens) == (503, "revocations_stale"), "503", within=STALE_AFTER + SOON)
        assert time.monotonic() - begun > STALE_AFTER / 2, "a moment's silence stops nobody"
        assert away.get(signed_out) == (503, "revocations_stale"), "nobody passes whose sign-out it cannot have heard of"
        assert [away.get(remote, "/remote") for _ in range(20)] == [200] * 20
        assert here.get(tokens) == 200
        with pytest.raises((ClientError, BotoCoreError)) as error:
            sign_in(away, known)
        assert not isinstance(error.value, ClientError) or error.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        ready = away.gate.readyz()
        assert ready.status_code == 200 and ready.json()["degraded"]
    finally:
        nodes.relay.heal()
    wait_until(lambda: away.get(tokens) == 200, "it is heard of again", within=30)
    assert away.get(signed_out) == (401, "token_revoked")
    wait_until(lambda: not away.gate.readyz().json()["degraded"], "it is well again")


def test_a_database_that_crashes_under_load_costs_errors_while_it_is_away_and_nothing_answered(nodes, server):
    token = sign_in(nodes[0], nodes.user())["AccessToken"]
    assert [node.get(token) for node in nodes] == [200, 200]
    writers, outages = Writers([node.idp for node in nodes], POOL), []
    try:
        for _ in range(3):
            writers.more()
            failed, gone = len(writers.failed), time.monotonic()
            server.crash()
            # Tokens are verified on, for a time in which no sign-out can have been missed by much.
            assert [node.get(token) for node in nodes] == [200, 200]
            wait_until(lambda failed=failed: len(writers.failed) > failed + 6, "calls fail", within=30)
            server.start()
            outages.append((gone, time.monotonic() + SOON))
            writers.more()
    finally:
        writers.stop()
    # Errors only while it is away.
    assert [(why, when) for why, when in writers.failed if not any(gone <= when <= back for gone, back in outages)] == []
    for name, _ in writers.made:
        assert nodes[1].idp.admin_get_user(UserPoolId=POOL, Username=name)["Username"] == name
    wait_until(lambda: [node.get(token) for node in nodes] == [200, 200], "both are well again")
    print(f"\n{len(writers.made)} users made, {len(writers.failed)} calls failed over three crashes")

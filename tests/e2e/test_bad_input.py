"""What no SDK would send: a clear answer each time, and nothing lost."""

import http.client
import json
import re
import socket

import boto3
import pytest
import requests
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from portcullis import PASSWORD, TARGET, refused, run


def error(response, kind, message=None, status=400):
    """An error as AWS's JSON protocol has it."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body["__type"] == kind, body
    assert response.headers["x-amzn-errortype"].rstrip(":") == kind
    assert response.headers["x-amzn-requestid"]
    if message is not None:
        assert re.search(message, body["message"]), body["message"]


@pytest.mark.parametrize(
    "body",
    ["{", "", "[]", "null", '"text"', "{}{}", '{"a": 1,}', b"\xff\xfe", '{"ClientId": "a"' + " " * 70000, "{'a': 1}"],
    ids=lambda body: repr(body)[:20],
)
def test_malformed_json(gate, body):
    error(gate.raw("SignUp", body), "SerializationException")


def test_deep_nesting_is_bounded(gate):
    for text in ("[" * 100_000, '{"a":' * 100_000):
        assert gate.raw("SignUp", text).status_code in (400, 413)
    assert gate.readyz().status_code == 200


def test_who_sends_a_body_that_nobody_reads_is_answered(gate):
    """The service refuses before it reads; that the body still comes is no sign that the caller is gone."""
    body = "x" * 1_500_000
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(30):
        assert until_closed(gate, head + body).startswith(b"HTTP/1.1 4")


def test_a_body_may_not_be_endless(gate):
    answer = gate.raw("SignUp", json.dumps({"ClientId": "a" * (4 << 20)}))
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    "body",
    [
        {"ClientId": 7, "Username": "u", "Password": PASSWORD},
        {"ClientId": ["a"], "Username": "u", "Password": PASSWORD},
        {"ClientId": "abc", "Username": "u", "Password": PASSWORD, "UserAttributes": {"Name": "email"}},
        {"ClientId": "abc", "Username": "u", "Password": PASSWORD, "UserAttributes": ["email"]},
        {"ClientId": "abc", "Username": {"a": "b"}, "Password": PASSWORD},
    ],
)
def test_wrong_types(gate, body):
    error(gate.raw("SignUp", body), "SerializationException")


def test_missing_members_have_awss_text(gate):
    error(
        gate.raw("SignUp", {"ClientId": gate.client, "Username": "u"}),
        "InvalidParameterException",
        r"^1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null$",
    )
    error(
        gate.raw("InitiateAuth", {}),
        "InvalidParameterException",
        r"^2 validation errors detected: Value( null)? at '\w+' failed .* not be null; Value( null)? at '\w+' failed .* not be null$",
    )
    error(gate.raw("InitiateAuth", {"ClientId": gate.client, "AuthFlow": None}), "InvalidParameterException", "'authFlow'")


def test_over_long_and_ill_formed_members_have_awss_text(gate):
    body = {"ClientId": gate.client, "Username": "u" * 129, "Password": PASSWORD}
    error(gate.raw("SignUp", body), "InvalidParameterException", r"'username' failed to satisfy constraint: Member must have length less than or equal to 128")  # fmt: skip
    body = {"ClientId": "not allowed!", "Username": "u", "Password": PASSWORD}
    error(gate.raw("SignUp", body), "InvalidParameterException", r"'clientId' failed to satisfy constraint: Member must satisfy regular expression pattern: ")  # fmt: skip
    body = {"ClientId": gate.client, "AuthFlow": "NO_SUCH_FLOW"}
    error(gate.raw("InitiateAuth", body), "InvalidParameterException", r"'authFlow' failed to satisfy constraint: Member must satisfy enum value set: \[")  # fmt: skip
    error(gate.signed("ListUsers", {"UserPoolId": gate.pool, "Limit": 61}), "InvalidParameterException", r"'limit' failed to satisfy constraint: Member must have value less than or equal to 60")  # fmt: skip


def test_secrets_are_not_echoed(gate):
    long = "Secret-Horse-7" * 40
    answer = gate.raw("SignUp", {"ClientId": gate.client, "Username": "u", "Password": long})
    assert answer.status_code == 400 and "Secret-Horse" not in answer.text


def test_unknown_members_are_ignored(gate, name):
    username = name()
    body = {"ClientId": gate.client, "Username": username, "Password": PASSWORD, "NoSuchMember": {"a": [1]}}
    body["UserAttributes"] = [{"Name": "email", "Value": "a@example.com"}]
    assert gate.raw("SignUp", body).status_code == 200


@pytest.mark.parametrize("operation", ["NoSuchOperation", "", "signup", "SignUp/../SignUp", "é"])
def test_unknown_operations(gate, operation):
    answer = gate.raw(operation.encode("utf-8").decode("latin-1"), {})
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["__type"] in ("UnknownOperationException", "InvalidAction")


def test_without_a_target(gate):
    assert requests.post(gate.url + "/", data="{}", timeout=5).status_code in (400, 404)
    assert requests.get(gate.url + "/", timeout=5).status_code in (400, 404, 405)
    assert requests.put(gate.url + "/", data="{}", timeout=5).status_code in (400, 404, 405)


def test_browsers_may_call(gate):
    answer = requests.options(
        gate.url + "/",
        headers={
            "origin": "https://app.example.com",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-amz-target,x-amz-user-agent",
        },
        timeout=5,
    )
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-amz-target" in answer.headers["access-control-allow-headers"].lower()
    failed = gate.raw("GetUser", {"AccessToken": "x"}, {"origin": "https://app.example.com"})
    assert failed.headers["access-control-allow-origin"] == "*"
    assert "x-amzn-errortype" in failed.headers["access-control-expose-headers"].lower()


# Signatures


def test_admin_calls_must_be_signed(gate):
    answer = gate.raw("ListUsers", {"UserPoolId": gate.pool})
    error(answer, "MissingAuthenticationTokenException", status=answer.status_code)
    assert answer.status_code in (400, 403)


def test_wrong_signatures(gate):
    body = {"UserPoolId": gate.pool}

    def spoil(headers):
        headers["Authorization"] = headers["Authorization"][:-4] + "0000"

    def old(headers):
        headers["X-Amz-Date"] = "20200101T000000Z"

    def retarget(headers):
        headers["x-amz-target"] = TARGET + "DeleteUserPool"

    def unfinished(headers):
        headers["Authorization"] = headers["Authorization"].split(", Signature")[0]

    def garbage(headers):
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=a/b/c"

    assert gate.signed("ListUsers", body).status_code == 200
    for change in (spoil, old, retarget, unfinished, garbage):
        answer = gate.signed("ListUsers", body, change=change)
        assert answer.status_code in (400, 403), (change.__name__, answer.text)
        assert answer.json()["__type"] in (
            "InvalidSignatureException", "IncompleteSignatureException", "SignatureDoesNotMatch",
        ), (change.__name__, answer.text)  # fmt: skip
    answer = gate.signed("ListUsers", body, secret="wrong")
    assert answer.json()["__type"] == "InvalidSignatureException"
    answer = gate.signed("ListUsers", body, access_key="AKIAUNKNOWNUNKNOWN00")
    assert answer.json()["__type"] in ("UnrecognizedClientException", "InvalidClientTokenId")
    assert gate.signed("ListUsers", body, service="s3").status_code in (400, 403)


def test_the_body_is_signed_too(gate):
    env = gate.env
    request = AWSRequest("POST", gate.url + "/", data="{}", headers={"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET + "ListUsers"})  # fmt: skip
    SigV4Auth(Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]), "cognito-idp", env["AWS_REGION"]).add_auth(request)  # fmt: skip
    answer = requests.post(
        gate.url + "/", data=json.dumps({"UserPoolId": gate.pool}), headers=dict(request.headers.items()), timeout=5
    )
    assert answer.json()["__type"] == "InvalidSignatureException"


def test_a_signature_on_an_open_call_is_ignored(gate, name):
    idp = gate.idp(secret="wrong")
    idp.sign_up(ClientId=gate.client, Username=name(), Password=PASSWORD, UserAttributes=[{"Name": "email", "Value": "a@example.com"}])  # fmt: skip


def test_an_operator_stays_within_its_pools(own):
    gate = own()
    settings = yaml.safe_load((gate.data / "portcullis.yaml").read_text())
    other = gate.idp().create_user_pool(PoolName="other")["UserPool"]["Id"]
    gate.stop()
    settings["pools"]["operators"].append(
        {"access_key_id": "AKIASCOPED0000000000", "secret": {"file": "scoped.key"}, "pools": [gate.pool]}
    )
    (gate.data / "scoped.key").write_text("scoped-secret-scoped-secret-scoped-secret\n")
    (gate.data / "scoped.key").chmod(0o600)
    (gate.data / "portcullis.yaml").write_text(yaml.safe_dump(settings))
    gate.start()
    scoped = ("AKIASCOPED0000000000", "scoped-secret-scoped-secret-scoped-secret")
    idp = gate.idp(*scoped)
    idp.list_users(UserPoolId=gate.pool)
    for call in (
        lambda: idp.list_users(UserPoolId=other),
        lambda: idp.delete_user_pool(UserPoolId=other),
        lambda: idp.admin_get_user(UserPoolId=other, Username="u"),
        lambda: idp.create_user_pool(PoolName="mine"),
        lambda: idp.list_users(UserPoolId="us-east-1_Absent000"),
    ):
        with pytest.raises(idp.exceptions.ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    listed = {who: pool_ids(gate.idp(*keys)) for who, keys in {"all": (), "scoped": scoped}.items()}
    assert listed["scoped"] == {gate.pool} and {gate.pool, other} <= listed["all"], listed
    assert gate.idp().describe_user_pool(UserPoolId=other)


def pool_ids(idp):
    return {entry["Id"] for entry in idp.list_user_pools(MaxResults=60)["UserPools"]}


# Half-sent requests


def test_half_a_request_holds_nothing_up(gate):
    host, port = gate.listen.rsplit(":", 1)
    halves = [
        b"POST / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nX-Amz-Target: " + (TARGET + "SignUp").encode() + b"\r\n\r\n{",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
        b"GET /pets",
        b"",
    ]
    sockets = []
    for half in halves * 8:
        connection = socket.create_connection((host, int(port)), timeout=5)
        connection.sendall(half)
        sockets.append(connection)
    assert gate.get("/pets").status_code == 401
    for connection in sockets:
        connection.close()
    assert gate.get("/pets").status_code == 401


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_half_sent_sign_up_signs_nobody_up(gate, name, framing):
    """What is sent is a sign-up by itself; only the message that holds it is not at its end."""
    username = name("half")
    email = [{"Name": "email", "Value": "h@example.com"}]
    body = json.dumps({"ClientId": gate.client, "Username": username, "Password": PASSWORD, "UserAttributes": email})
    head = (
        f"POST / HTTP/1.1\r\nHost: {gate.listen}\r\nX-Amz-Target: {TARGET}SignUp\r\n"
        "Content-Type: application/x-amz-json-1.1\r\nConnection: close\r\n"
    )
    half, rest = {
        "length": (f"Content-Length: {len(body) + 2}\r\n\r\n{body}", "  "),
        "chunks": (f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n", "0\r\n\r\n"),
    }[framing]
    idp = gate.idp()
    assert b" 200 " not in until_closed(gate, head + half, leave=True).split(b"\r\n")[0]
    with refused("UserNotFoundException"):
        idp.admin_get_user(UserPoolId=gate.pool, Username=username)
    assert b" 200 " in until_closed(gate, head + half + rest).split(b"\r\n")[0]
    assert idp.admin_get_user(UserPoolId=gate.pool, Username=username)["UserStatus"] == "UNCONFIRMED"


def until_closed(gate, text, leave=False):
    """All that is answered before the gate closes the connection; `leave`: after these bytes nothing can come."""
    host, port = gate.listen.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(text.encode())
        if leave:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def raw(gate, text):
    """Status and problem of the answer to bytes that no library would send."""
    host, port = gate.listen.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(text)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            body = answer.read()
    return answer.status, json.loads(body)["type"].rsplit(":", 1)[1] if body else None


@pytest.mark.parametrize(
    "request_text, problem",
    [
        (b"GET /pets%2f1 HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        (b"GET /pets/../admin HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        (b"GET /pets/%2e%2e/admin HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        (b"GET /pets;a=b HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        (b"GET /pets\\1 HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        (b"GET /pets HTTP/1.1\r\nAccept: */*\r\n\r\n", "host_missing"),
        (b"GET /pets HTTP/1.1\r\nHost: a b\r\n\r\n", "host_invalid"),
        (b"GET /pets/%zz HTTP/1.1\r\nHost: a\r\n\r\n", "path_encoding_invalid"),
        (b"GET /pets%00 HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        # Refused with the framing of the message, before the gate reads it.
        (b"GET /pets HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", None),
        (b"GET /pets HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", None),
    ],
    ids=lambda value: repr(value[:32]) if isinstance(value, bytes) else "",
)
def test_a_request_with_two_readings_is_refused(gate, request_text, problem):
    assert raw(gate, b"GET /pets HTTP/1.1\r\nHost: a\r\n\r\n") == (401, "token_missing"), "one reading is taken"
    assert raw(gate, request_text) == (400, problem)
    assert gate.readyz().status_code == 200


# Settings

TEN_MISTAKES = """
listeners: [{address: nowhere}]
colour: blue
issuers:
  a: {kind: oidc, issuer: https://a.example.com}
  b: {kind: saml}
policies: {pets: {path: absent, principal: PetStore::User}}
upstreams: {pets: {servers: [not-a-url]}}
log: {level: loud}
routes:
  - {match: {path: pets}, authenticate: none, authorize: none, upstream: {to: pets}}
  - {match: {path: "/a/{b}"}, authenticate: none, upstream: {to: pets}}
  - {match: {path: /c}, authenticate: {bearer: {issuers: [nobody]}}, authorize: authenticated, upstream: {to: pets}}
  - {match: {path: /d}, authenticate: none, authorize: none, upstream: {to: elsewhere}}
"""


def test_ten_mistakes_are_ten_problems(tmp_path):
    file = tmp_path / "portcullis.yaml"
    file.write_text(TEN_MISTAKES)
    done = run("check", "--config", file)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    for place in (
        "listeners[0].address", "colour", "issuers.a", "issuers.b", "upstreams.pets", "policies.pets", "log",
        "routes[0].match", "routes[1]", "routes[2].authenticate", "routes[3].upstream",
    ):  # fmt: skip
        assert place in text, f"{place} is not reported:\n{text}"


def test_settings_that_are_not_yaml(tmp_path):
    for text in ("listeners: [", "\t- a", "- 1\n- 2\n", ""):
        file = tmp_path / "portcullis.yaml"
        file.write_text(text)
        done = run("check", "--config", file)
        assert done.returncode != 0 and (done.stderr + done.stdout).strip()
        assert "panicked" not in done.stderr
    assert run("check", "--config", tmp_path / "absent.yaml").returncode != 0


def test_boto3_sees_throttles_and_faults_as_errors(gate):
    """An SDK of default settings must not hang in retries on our errors."""
    idp = boto3.client(
        "cognito-idp", endpoint_url=gate.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(connect_timeout=3, read_timeout=5),
    )  # fmt: skip
    with pytest.raises(idp.exceptions.ClientError):
        idp.list_users(UserPoolId=gate.pool)

"""Signing in: each flow, its challenges and its refusals."""

import json
import re

import pytest
from pycognito.aws_srp import AWSSRP

from portcullis import PASSWORD, attributes, claims, refused, secret_hash, unpad


def initiate(idp, client_id, flow, **parameters):
    return idp.initiate_auth(ClientId=client_id, AuthFlow=flow, AuthParameters=parameters)


def test_password(idp, pool, user):
    this = pool()
    username = user(this.id)
    result = initiate(idp, this.client_id, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD=PASSWORD)
    tokens = result["AuthenticationResult"]
    assert set(tokens) == {"AccessToken", "IdToken", "RefreshToken", "ExpiresIn", "TokenType"}
    assert (tokens["ExpiresIn"], tokens["TokenType"]) == (3600, "Bearer")
    assert len(tokens["RefreshToken"].split(".")) == 5
    with refused("NotAuthorizedException", "Incorrect username or password."):
        initiate(idp, this.client_id, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD="Wrong-Horse-7")


def test_admin_password(idp, pool, user):
    this = pool()
    username = user(this.id)
    tokens = idp.admin_initiate_auth(
        UserPoolId=this.id,
        ClientId=this.client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": username, "PASSWORD": PASSWORD},
    )["AuthenticationResult"]
    assert claims(tokens["AccessToken"])["username"] == username
    other = pool()
    with refused("ResourceNotFoundException"):
        idp.admin_initiate_auth(
            UserPoolId=other.id,
            ClientId=this.client_id,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": PASSWORD},
        )


@pytest.mark.parametrize(
    "flow, parameters, message",
    [
        ("USER_PASSWORD_AUTH", {"USERNAME": "u", "PASSWORD": PASSWORD}, "USER_PASSWORD_AUTH flow not enabled for this client"),
        ("USER_SRP_AUTH", {"USERNAME": "u", "SRP_A": "a" * 768}, "USER_SRP_AUTH is not enabled for the client."),
    ],
)
def test_a_flow_must_be_enabled(idp, pool, flow, parameters, message):
    this = pool(client={"ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"]})
    with refused("InvalidParameterException", message):
        initiate(idp, this.client_id, flow, **parameters)


def test_missing_parameters_are_named(idp, pool):
    this = pool()
    for flow, parameters, missing in (
        ("USER_PASSWORD_AUTH", {"USERNAME": "u"}, "PASSWORD"),
        ("USER_PASSWORD_AUTH", {"PASSWORD": PASSWORD}, "USERNAME"),
        ("USER_SRP_AUTH", {"USERNAME": "u"}, "SRP_A"),
        ("REFRESH_TOKEN_AUTH", {}, "REFRESH_TOKEN"),
    ):
        with refused("InvalidParameterException", re.compile(missing)):
            initiate(idp, this.client_id, flow, **parameters)


def srp(gate, idp, this, username, password=PASSWORD, **more):
    helper = AWSSRP(
        username=username, password=password, pool_id=this.id, client_id=this.client_id, client=idp, **more
    )
    return helper.authenticate_user()


def test_srp(gate, idp, pool, user):
    this = pool()
    username = user(this.id)
    tokens = srp(gate, idp, this, username)["AuthenticationResult"]
    assert claims(tokens["IdToken"])["cognito:username"] == username
    with refused("NotAuthorizedException", "Incorrect username or password."):
        srp(gate, idp, this, username, "Wrong-Horse-7")


def test_srp_with_a_secret(gate, idp, pool, user):
    this = pool(client={"GenerateSecret": True})
    username = user(this.id)
    secret = this.client["ClientSecret"]
    assert srp(gate, idp, this, username, client_secret=secret)["AuthenticationResult"]["AccessToken"]


@pytest.mark.parametrize("public", ["00", "", "zz", "a" * 5000])
def test_a_hostile_srp_value_is_refused(idp, pool, user, public):
    this = pool()
    username = user(this.id)
    with pytest.raises(idp.exceptions.ClientError) as caught:
        initiate(idp, this.client_id, "USER_SRP_AUTH", USERNAME=username, SRP_A=public)
    assert caught.value.response["Error"]["Code"] in ("InvalidParameterException", "NotAuthorizedException")


def test_a_multiple_of_the_modulus_is_refused(idp, pool, user):
    from pycognito.aws_srp import N_HEX

    this = pool()
    username = user(this.id)
    for factor in (1, 2):
        with pytest.raises(idp.exceptions.ClientError):
            initiate(idp, this.client_id, "USER_SRP_AUTH", USERNAME=username, SRP_A=f"{int(N_HEX, 16) * factor:x}")


def test_a_secret_must_be_proved(idp, pool, user):
    this = pool(client={"GenerateSecret": True})
    username, secret = user(this.id), this.client["ClientSecret"]
    parameters = {"USERNAME": username, "PASSWORD": PASSWORD}
    with refused(
        "NotAuthorizedException", f"Client {this.client_id} is configured with secret but SECRET_HASH was not received"
    ):
        initiate(idp, this.client_id, "USER_PASSWORD_AUTH", **parameters)
    wrong = secret_hash(username, this.client_id, secret + "x")
    with refused("NotAuthorizedException", f"Unable to verify secret hash for client {this.client_id}"):
        initiate(idp, this.client_id, "USER_PASSWORD_AUTH", **parameters, SECRET_HASH=wrong)
    right = secret_hash(username, this.client_id, secret)
    assert initiate(idp, this.client_id, "USER_PASSWORD_AUTH", **parameters, SECRET_HASH=right)["AuthenticationResult"]
    with refused("NotAuthorizedException"):
        idp.sign_up(ClientId=this.client_id, Username="new", Password=PASSWORD)
    new = secret_hash("new", this.client_id, secret)
    idp.sign_up(ClientId=this.client_id, Username="new", Password=PASSWORD, SecretHash=new)


@pytest.mark.parametrize("admin", [False, True])
def test_a_temporary_password_must_be_replaced(idp, pool, name, admin):
    this, username = pool(), name()
    idp.admin_create_user(
        UserPoolId=this.id,
        Username=username,
        TemporaryPassword="Temporary-1",
        MessageAction="SUPPRESS",
        UserAttributes=[{"Name": "email", "Value": "eve@example.com"}],
    )
    if admin:
        challenge = idp.admin_initiate_auth(
            UserPoolId=this.id,
            ClientId=this.client_id,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": "Temporary-1"},
        )
    else:
        challenge = initiate(idp, this.client_id, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD="Temporary-1")
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED" and "AuthenticationResult" not in challenge
    parameters = challenge["ChallengeParameters"]
    assert json.loads(parameters["userAttributes"])["email"] == "eve@example.com"
    assert json.loads(parameters["requiredAttributes"]) == []
    assert 20 <= len(challenge["Session"]) <= 2048

    def respond(password, session=challenge["Session"], **more):
        answer = {
            "ClientId": this.client_id,
            "ChallengeName": "NEW_PASSWORD_REQUIRED",
            "Session": session,
            "ChallengeResponses": {"USERNAME": username, "NEW_PASSWORD": password} | more,
        }
        if admin:
            return idp.admin_respond_to_auth_challenge(UserPoolId=this.id, **answer)
        return idp.respond_to_auth_challenge(**answer)

    tokens = respond(PASSWORD, **{"userAttributes.given_name": "Eve"})["AuthenticationResult"]
    mine = idp.get_user(AccessToken=tokens["AccessToken"])
    assert attributes(mine["UserAttributes"])["given_name"] == "Eve"
    assert idp.admin_get_user(UserPoolId=this.id, Username=username)["UserStatus"] == "CONFIRMED"
    with refused("NotAuthorizedException", re.compile("^Invalid session for the user")):
        respond(PASSWORD)
    with refused("NotAuthorizedException"):
        respond(PASSWORD, session="x" * 64)


def test_a_weak_replacement_is_refused(idp, pool, name):
    this, username = pool(), name()
    idp.admin_create_user(
        UserPoolId=this.id, Username=username, TemporaryPassword="Temporary-1", MessageAction="SUPPRESS"
    )
    challenge = initiate(idp, this.client_id, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD="Temporary-1")
    with refused("InvalidPasswordException"):
        idp.respond_to_auth_challenge(
            ClientId=this.client_id,
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=challenge["Session"],
            ChallengeResponses={"USERNAME": username, "NEW_PASSWORD": "weak"},
        )


def test_srp_leads_to_a_new_password(gate, idp, pool, name):
    this, username = pool(), name()
    idp.admin_create_user(
        UserPoolId=this.id, Username=username, TemporaryPassword="Temporary-1", MessageAction="SUPPRESS"
    )
    helper = AWSSRP(
        username=username, password="Temporary-1", pool_id=this.id, client_id=this.client_id, client=idp
    )
    tokens = helper.set_new_password_challenge(PASSWORD)["AuthenticationResult"]
    assert claims(tokens["AccessToken"])["username"] == username
    srp(gate, idp, this, username)


def test_failures_lock_the_user_for_a_while(idp, pool, user):
    this = pool()
    username = user(this.id)
    messages = []
    for _ in range(8):
        with pytest.raises(idp.exceptions.NotAuthorizedException) as caught:
            initiate(idp, this.client_id, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD="Wrong-Horse-7")
        messages.append(caught.value.response["Error"]["Message"])
    assert messages[0] == "Incorrect username or password."
    assert messages[-1] == "Password attempts exceeded"
    with refused("NotAuthorizedException", "Password attempts exceeded"):
        initiate(idp, this.client_id, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD=PASSWORD)


def test_claims_to_the_letter(gate, idp, pool, user, sign_in):
    this = pool(Schema=[{"Name": "tier", "AttributeDataType": "String", "Mutable": True}])
    username = user(this.id, email="ada@example.com", email_verified="true", custom_tier="gold")
    tokens = sign_in(this.client_id, username)
    access, identity = claims(tokens["AccessToken"]), claims(tokens["IdToken"])
    issuer = f"{gate.public_url.rstrip('/')}/{this.id}"
    shared = {"sub", "iss", "exp", "iat", "auth_time", "jti", "token_use", "event_id", "origin_jti"}
    assert set(access) == shared | {"client_id", "username", "scope"}
    assert set(identity) == shared | {"aud", "cognito:username", "email", "email_verified", "custom:tier"}
    assert (access["token_use"], identity["token_use"]) == ("access", "id")
    assert access["iss"] == identity["iss"] == issuer
    assert access["client_id"] == identity["aud"] == this.client_id
    assert access["scope"] == "aws.cognito.signin.user.admin"
    assert identity["email_verified"] is True and identity["custom:tier"] == "gold"
    assert access["origin_jti"] == identity["origin_jti"] and access["jti"] != identity["jti"]
    assert access["event_id"] == identity["event_id"] and access["sub"] == identity["sub"]
    assert access["exp"] - access["iat"] == tokens["ExpiresIn"] == 3600
    headers = [json.loads(unpad(tokens[kind].split(".")[0])) for kind in ("AccessToken", "IdToken")]
    assert all(set(header) == {"kid", "alg"} and header["alg"] == "RS256" for header in headers)
    assert headers[0]["kid"] != headers[1]["kid"], "each kind has a key of its own"

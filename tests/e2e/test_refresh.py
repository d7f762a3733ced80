"""Refresh tokens: used, rotated, revoked."""

import pytest

from portcullis import claims, refused, secret_hash


def refresh(idp, client_id, token, **more):
    return idp.initiate_auth(
        ClientId=client_id, AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters={"REFRESH_TOKEN": token} | more
    )["AuthenticationResult"]


def exchange(idp, client_id, token, **more):
    answer = idp.get_tokens_from_refresh_token(ClientId=client_id, RefreshToken=token, **more)
    return answer["AuthenticationResult"]


def test_refresh_keeps_what_the_sign_in_said(idp, pool, user, sign_in):
    this = pool()
    first = sign_in(this.client_id, user(this.id))
    again = refresh(idp, this.client_id, first["RefreshToken"])
    assert "RefreshToken" not in again
    before, after = claims(first["AccessToken"]), claims(again["AccessToken"])
    for kept in ("sub", "auth_time", "origin_jti", "event_id", "client_id", "iss"):
        assert before[kept] == after[kept], kept
    assert before["jti"] != after["jti"]
    idp.get_user(AccessToken=again["AccessToken"])


def test_refresh_sees_changed_attributes_and_groups(idp, pool, user, sign_in):
    this = pool()
    username = user(this.id, given_name="Ada")
    token = sign_in(this.client_id, username)["RefreshToken"]
    idp.admin_update_user_attributes(
        UserPoolId=this.id, Username=username, UserAttributes=[{"Name": "given_name", "Value": "Eve"}]
    )
    idp.create_group(UserPoolId=this.id, GroupName="late")
    idp.admin_add_user_to_group(UserPoolId=this.id, Username=username, GroupName="late")
    identity = claims(refresh(idp, this.client_id, token)["IdToken"])
    assert (identity["given_name"], identity["cognito:groups"]) == ("Eve", ["late"])


def test_a_refresh_token_is_its_clients_alone(idp, pool, user, sign_in):
    this = pool()
    token = sign_in(this.client_id, user(this.id))["RefreshToken"]
    other = this.add_client()["ClientId"]
    for bad in (token[:-4] + "AAAA", "a.b.c.d.e", "nonsense"):
        with refused("NotAuthorizedException", "Invalid Refresh Token"):
            refresh(idp, this.client_id, bad)
    with refused("NotAuthorizedException"):
        refresh(idp, other, token)
    with refused("NotAuthorizedException"):
        exchange(idp, other, token)


def test_refresh_with_a_secret(idp, pool, user):
    this = pool(client={"GenerateSecret": True})
    username, secret = user(this.id), this.client["ClientSecret"]
    proof = secret_hash(username, this.client_id, secret)
    first = idp.initiate_auth(
        ClientId=this.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": username, "PASSWORD": "Correct-Horse-7", "SECRET_HASH": proof},
    )["AuthenticationResult"]
    assert refresh(idp, this.client_id, first["RefreshToken"], SECRET_HASH=proof)["AccessToken"]
    assert exchange(idp, this.client_id, first["RefreshToken"], ClientSecret=secret)["AccessToken"]
    with refused("NotAuthorizedException"):
        exchange(idp, this.client_id, first["RefreshToken"])
    with refused("NotAuthorizedException"):
        exchange(idp, this.client_id, first["RefreshToken"], ClientSecret=secret[::-1])


def test_rotation_replaces_and_detects_reuse(idp, pool, user, sign_in):
    this = pool(client={
        "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 0},
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
    })  # fmt: skip
    first = sign_in(this.client_id, user(this.id))["RefreshToken"]
    rotated = exchange(idp, this.client_id, first)
    assert rotated["RefreshToken"] != first
    again = exchange(idp, this.client_id, rotated["RefreshToken"])
    with refused("RefreshTokenReuseException"):
        exchange(idp, this.client_id, first)
    # Whoever holds the newest may be the thief: the whole family ends.
    with pytest.raises(idp.exceptions.ClientError):
        exchange(idp, this.client_id, again["RefreshToken"])


def test_a_grace_period_allows_a_second_try(idp, pool, user, sign_in):
    this = pool(client={
        "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 60},
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
    })  # fmt: skip
    first = sign_in(this.client_id, user(this.id))["RefreshToken"]
    assert exchange(idp, this.client_id, first)["AccessToken"]
    assert exchange(idp, this.client_id, first)["AccessToken"]


def test_rotation_excludes_the_old_flow(idp, pool):
    with refused("InvalidParameterException"):
        pool(client={"RefreshTokenRotation": {"Feature": "ENABLED"}})


def test_without_rotation_the_token_stays(idp, pool, user, sign_in):
    this = pool()
    token = sign_in(this.client_id, user(this.id))["RefreshToken"]
    for _ in range(2):
        assert exchange(idp, this.client_id, token)["AccessToken"]


def test_revoking_ends_the_tokens_of_that_sign_in_alone(idp, pool, user, sign_in):
    this = pool()
    username = user(this.id)
    one, two = sign_in(this.client_id, username), sign_in(this.client_id, username)
    again = refresh(idp, this.client_id, one["RefreshToken"])
    idp.revoke_token(Token=one["RefreshToken"], ClientId=this.client_id)
    for token in (one["AccessToken"], again["AccessToken"]):
        with refused("NotAuthorizedException", "Access Token has been revoked"):
            idp.get_user(AccessToken=token)
    with refused("NotAuthorizedException", "Refresh Token has been revoked"):
        refresh(idp, this.client_id, one["RefreshToken"])
    idp.get_user(AccessToken=two["AccessToken"])
    refresh(idp, this.client_id, two["RefreshToken"])
    # Twice is once.
    idp.revoke_token(Token=one["RefreshToken"], ClientId=this.client_id)


def test_revoking_refuses_what_is_not_a_refresh_token(idp, pool, user, sign_in):
    this = pool()
    tokens = sign_in(this.client_id, user(this.id))
    with refused("UnsupportedTokenTypeException"):
        idp.revoke_token(Token=tokens["AccessToken"], ClientId=this.client_id)
    without = this.add_client(EnableTokenRevocation=False)["ClientId"]
    with refused("UnsupportedOperationException"):
        idp.revoke_token(Token=tokens["RefreshToken"], ClientId=without)


@pytest.mark.parametrize("admin", [False, True])
def test_signing_out_everywhere_ends_all_sign_ins(idp, pool, user, sign_in, admin):
    this = pool()
    username = user(this.id)
    one, two = sign_in(this.client_id, username), sign_in(this.client_id, username)
    if admin:
        idp.admin_user_global_sign_out(UserPoolId=this.id, Username=username)
    else:
        idp.global_sign_out(AccessToken=one["AccessToken"])
    for tokens in (one, two):
        with refused("NotAuthorizedException", "Access Token has been revoked"):
            idp.get_user(AccessToken=tokens["AccessToken"])
        with refused("NotAuthorizedException", "Refresh Token has been revoked"):
            refresh(idp, this.client_id, tokens["RefreshToken"])
    idp.get_user(AccessToken=sign_in(this.client_id, username)["AccessToken"])

"""Sign-up, confirmation, and users as an operator and as themselves."""

import re

import pytest

from portcullis import PASSWORD, attributes, refused, wait_until

EMAIL = {"AutoVerifiedAttributes": ["email"]}


def sign_up(idp, client_id, username, password=PASSWORD, **given):
    pairs = [{"Name": name, "Value": value} for name, value in given.items()]
    return idp.sign_up(ClientId=client_id, Username=username, Password=password, UserAttributes=pairs)


def test_sign_up_to_confirmed(gate, idp, pool, name):
    this, username = pool(**EMAIL), name()
    sub = sign_up(idp, this.client_id, username, email="ada@example.com")["UserSub"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sub)
    got = idp.admin_get_user(UserPoolId=this.id, Username=username)
    assert (got["UserStatus"], got["Enabled"]) == ("UNCONFIRMED", True)

    with refused("CodeMismatchException", "Invalid verification code provided, please try again."):
        idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode="000000")
    code = gate.message(username)["code"]
    idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode=code)
    got = idp.admin_get_user(UserPoolId=this.id, Username=username)
    assert got["UserStatus"] == "CONFIRMED"
    assert attributes(got["UserAttributes"]) == {"sub": sub, "email": "ada@example.com", "email_verified": "true"}
    with refused("NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED"):
        idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode=code)


def test_a_username_is_taken_once(idp, pool, name):
    this, username = pool(), name()
    sign_up(idp, this.client_id, username)
    with refused("UsernameExistsException", "User already exists"):
        sign_up(idp, this.client_id, username)


def test_case_matters_unless_the_pool_says_otherwise(idp, pool):
    this = pool()
    sign_up(idp, this.client_id, "ada")
    sign_up(idp, this.client_id, "ADA")
    assert len(idp.list_users(UserPoolId=this.id)["Users"]) == 2
    this = pool(UsernameConfiguration={"CaseSensitive": False})
    sign_up(idp, this.client_id, "Ada")
    with refused("UsernameExistsException", "User already exists"):
        sign_up(idp, this.client_id, "ADA")
    assert idp.admin_get_user(UserPoolId=this.id, Username="aDa")["Username"]


@pytest.mark.parametrize(
    "password, why",
    [
        ("Short-7", "Password not long enough"),
        ("no-upper-case-7", "Password must have uppercase characters"),
        ("NO-LOWER-CASE-7", "Password must have lowercase characters"),
        ("No-Digits-Here", "Password must have numeric characters"),
        ("NoSymbolsHere7", "Password must have symbol characters"),
    ],
)
def test_the_password_policy_says_what_is_lacking(idp, pool, name, password, why):
    this = pool()
    with refused("InvalidPasswordException", f"Password did not conform with policy: {why}"):
        sign_up(idp, this.client_id, name(), password)


def test_a_weaker_policy_is_the_pools_choice(idp, pool, name):
    policy = {
        "MinimumLength": 6,
        "RequireUppercase": False,
        "RequireLowercase": False,
        "RequireNumbers": False,
        "RequireSymbols": False,
    }
    this = pool(Policies={"PasswordPolicy": policy})
    sign_up(idp, this.client_id, name(), "secret")
    with refused("InvalidPasswordException"):
        sign_up(idp, this.client_id, name(), "short")


def test_a_resent_code_replaces_the_first(gate, idp, pool, name):
    this, username = pool(**EMAIL), name()
    sign_up(idp, this.client_id, username, email="ada@example.com")
    first = gate.message(username)["code"]
    details = idp.resend_confirmation_code(ClientId=this.client_id, Username=username)["CodeDeliveryDetails"]
    assert details == {"Destination": "a***@e***", "DeliveryMedium": "EMAIL", "AttributeName": "email"}
    second = gate.message(username, after=1)["code"]
    if first != second:
        with refused("CodeMismatchException"):
            idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode=first)
    idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode=second)
    with refused("InvalidParameterException", "User is already confirmed."):
        idp.resend_confirmation_code(ClientId=this.client_id, Username=username)


def test_unknown_users_and_clients(idp, pool):
    this = pool()
    with refused("UserNotFoundException"):
        idp.confirm_sign_up(ClientId=this.client_id, Username="nobody", ConfirmationCode="123456")
    with refused("UserNotFoundException"):
        idp.resend_confirmation_code(ClientId=this.client_id, Username="nobody")
    with refused("ResourceNotFoundException", "User pool client abcdefghijklmnopqrstuvwxyz does not exist."):
        sign_up(idp, "abcdefghijklmnopqrstuvwxyz", "ada")


def test_existence_is_hidden_where_the_client_says_so(idp, pool, user):
    this = pool(**EMAIL, client={"PreventUserExistenceErrors": "ENABLED"})
    known = user(this.id)
    for username in ("nobody", known):
        with refused("NotAuthorizedException", "Incorrect username or password."):
            idp.initiate_auth(
                ClientId=this.client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": "Wrong-Horse-7"},
            )
        with refused("CodeMismatchException", "Invalid verification code provided, please try again."):
            idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode="123456")
    details = idp.resend_confirmation_code(ClientId=this.client_id, Username="nobody")["CodeDeliveryDetails"]
    assert details["DeliveryMedium"] in ("EMAIL", "SMS") and details["Destination"]

    def srp(username):
        answer = idp.initiate_auth(
            ClientId=this.client_id, AuthFlow="USER_SRP_AUTH", AuthParameters={"USERNAME": username, "SRP_A": "a" * 768}
        )
        assert answer["ChallengeName"] == "PASSWORD_VERIFIER"
        return answer["ChallengeParameters"]

    first, again = srp("nobody"), srp("nobody")
    assert first["SALT"] == again["SALT"] and first["USER_ID_FOR_SRP"] == again["USER_ID_FOR_SRP"]
    assert set(first) == set(srp(known)), "the same members as of a user who exists"
    assert srp("someone else")["SALT"] != first["SALT"]


def test_existence_shows_by_default(idp, pool, user):
    this = pool()
    with refused("UserNotFoundException", "User does not exist."):
        idp.initiate_auth(
            ClientId=this.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "nobody", "PASSWORD": PASSWORD},
        )


def test_admin_create_user_sends_a_temporary_password(gate, idp, pool, name):
    this, username = pool(), name()
    created = idp.admin_create_user(
        UserPoolId=this.id,
        Username=username,
        UserAttributes=[{"Name": "email", "Value": "eve@example.com"}],
        DesiredDeliveryMediums=["EMAIL"],
    )["User"]
    assert (created["Username"], created["UserStatus"], created["Enabled"]) == (username, "FORCE_CHANGE_PASSWORD", True)
    assert attributes(created["Attributes"])["email"] == "eve@example.com"
    message = gate.message(username)
    assert message["code"] in message["body"] and username in message["body"]
    with refused("UsernameExistsException", re.compile("already exists")):
        idp.admin_create_user(UserPoolId=this.id, Username=username)

    idp.admin_create_user(
        UserPoolId=this.id, Username=username, MessageAction="RESEND", DesiredDeliveryMediums=["EMAIL"]
    )
    again = gate.message(username, after=1)
    assert again["code"] != message["code"], "a resent password is a new one"


def test_suppressed_messages_are_not_sent(gate, idp, pool, name):
    this, username = pool(), name()
    before = len(gate.outbox())
    idp.admin_create_user(
        UserPoolId=this.id,
        Username=username,
        UserAttributes=[{"Name": "email", "Value": "eve@example.com"}],
        MessageAction="SUPPRESS",
    )
    assert not [m for m in gate.outbox()[before:] if m["username"] == username]


def test_admin_confirms_disables_enables_and_deletes(idp, pool, name, sign_in):
    this, username = pool(), name()
    sign_up(idp, this.client_id, username)
    idp.admin_confirm_sign_up(UserPoolId=this.id, Username=username)
    token = sign_in(this.client_id, username)["AccessToken"]
    with refused("NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED"):
        idp.admin_confirm_sign_up(UserPoolId=this.id, Username=username)

    idp.admin_disable_user(UserPoolId=this.id, Username=username)
    assert idp.admin_get_user(UserPoolId=this.id, Username=username)["Enabled"] is False
    with refused("NotAuthorizedException", "User is disabled."):
        sign_in(this.client_id, username)
    with refused("NotAuthorizedException"):
        idp.get_user(AccessToken=token)
    idp.admin_enable_user(UserPoolId=this.id, Username=username)
    sign_in(this.client_id, username)

    idp.admin_delete_user(UserPoolId=this.id, Username=username)
    for call in (idp.admin_get_user, idp.admin_delete_user, idp.admin_disable_user, idp.admin_confirm_sign_up):
        with refused("UserNotFoundException", "User does not exist."):
            call(UserPoolId=this.id, Username=username)


def test_admin_sets_passwords(idp, pool, user, sign_in):
    this = pool()
    username = user(this.id)
    with refused("InvalidPasswordException"):
        idp.admin_set_user_password(UserPoolId=this.id, Username=username, Password="short", Permanent=True)
    idp.admin_set_user_password(UserPoolId=this.id, Username=username, Password="Other-Horse-8", Permanent=True)
    with refused("NotAuthorizedException", "Incorrect username or password."):
        sign_in(this.client_id, username)
    sign_in(this.client_id, username, "Other-Horse-8")
    idp.admin_set_user_password(UserPoolId=this.id, Username=username, Password="Third-Horse-9", Permanent=False)
    assert idp.admin_get_user(UserPoolId=this.id, Username=username)["UserStatus"] == "FORCE_CHANGE_PASSWORD"


def test_attributes_are_changed_by_both(idp, pool, user, sign_in):
    this = pool(
        Schema=[
            {"Name": "tier", "AttributeDataType": "Number", "Mutable": True, "NumberAttributeConstraints": {"MinValue": "1", "MaxValue": "9"}},
            {"Name": "team", "AttributeDataType": "String", "Mutable": True, "StringAttributeConstraints": {"MaxLength": "5"}},
        ]
    )  # fmt: skip
    username = user(this.id)
    change = lambda **given: idp.admin_update_user_attributes(  # noqa: E731
        UserPoolId=this.id,
        Username=username,
        UserAttributes=[{"Name": key.replace("custom_", "custom:"), "Value": value} for key, value in given.items()],
    )
    change(email="a@example.com", email_verified="true", custom_tier="7", custom_team="red")
    token = sign_in(this.client_id, username)["AccessToken"]
    mine = attributes(idp.get_user(AccessToken=token)["UserAttributes"])
    assert (mine["email"], mine["email_verified"], mine["custom:tier"], mine["custom:team"]) == ("a@example.com", "true", "7", "red")  # fmt: skip

    for bad in ({"custom_tier": "10"}, {"custom_tier": "many"}, {"custom_team": "too long"}, {"custom_absent": "x"}):
        with refused("InvalidParameterException"):
            change(**bad)

    idp.update_user_attributes(
        AccessToken=token,
        UserAttributes=[{"Name": "email", "Value": "b@example.com"}, {"Name": "given_name", "Value": "Ada"}],
    )
    mine = attributes(idp.get_user(AccessToken=token)["UserAttributes"])
    assert (mine["email"], mine["email_verified"], mine["given_name"]) == ("b@example.com", "false", "Ada")
    with refused("NotAuthorizedException"):
        idp.update_user_attributes(AccessToken=token, UserAttributes=[{"Name": "email_verified", "Value": "true"}])


def test_a_client_writes_only_what_it_may(idp, pool, user, sign_in):
    this = pool(client={"ReadAttributes": ["email"], "WriteAttributes": ["nickname"]})
    username = user(this.id, email="a@example.com", given_name="Ada")
    token = sign_in(this.client_id, username)["AccessToken"]
    seen = attributes(idp.get_user(AccessToken=token)["UserAttributes"])
    assert "email" in seen and "given_name" not in seen
    idp.update_user_attributes(AccessToken=token, UserAttributes=[{"Name": "nickname", "Value": "A"}])
    with refused("NotAuthorizedException", "A client attempted to write unauthorized attribute"):
        idp.update_user_attributes(AccessToken=token, UserAttributes=[{"Name": "given_name", "Value": "B"}])
    with refused("NotAuthorizedException", "A client attempted to write unauthorized attribute"):
        sign_up(idp, this.client_id, "other", given_name="B")


def test_a_user_changes_the_password_and_leaves(idp, pool, user, sign_in):
    this = pool()
    username = user(this.id)
    token = sign_in(this.client_id, username)["AccessToken"]
    with refused("NotAuthorizedException", "Incorrect username or password."):
        idp.change_password(AccessToken=token, PreviousPassword="Wrong-Horse-7", ProposedPassword="Other-Horse-8")
    with refused("InvalidPasswordException"):
        idp.change_password(AccessToken=token, PreviousPassword=PASSWORD, ProposedPassword="weak-weak")
    idp.change_password(AccessToken=token, PreviousPassword=PASSWORD, ProposedPassword="Other-Horse-8")
    with refused("NotAuthorizedException", "Incorrect username or password."):
        sign_in(this.client_id, username)
    token = sign_in(this.client_id, username, "Other-Horse-8")["AccessToken"]
    idp.delete_user(AccessToken=token)
    with refused("UserNotFoundException"):
        idp.admin_get_user(UserPoolId=this.id, Username=username)
    with refused("NotAuthorizedException"):
        idp.get_user(AccessToken=token)


def test_listing_filters_and_pages(idp, pool, user):
    this = pool()
    for number in range(7):
        user(this.id, f"p{number}", email=f"p{number}@example.com", given_name="Odd" if number % 2 else "Even")
    user(this.id, "q0")
    idp.admin_disable_user(UserPoolId=this.id, Username="p3")

    def find(text, **more):
        return sorted(entry["Username"] for entry in idp.list_users(UserPoolId=this.id, Filter=text, **more)["Users"])

    assert find('username = "p2"') == ["p2"]
    assert find('username ^= "p"') == [f"p{number}" for number in range(7)]
    assert find('email ^= "p5@"') == ["p5"]
    assert find('given_name = "Odd"') == ["p1", "p3", "p5"]
    assert find('status = "Disabled"') == ["p3"]
    assert find('cognito:user_status = "CONFIRMED"') == [f"p{number}" for number in range(7)] + ["q0"]
    assert find('username = "P_"') == [] and find('username ^= "%"') == []
    sub = attributes(idp.admin_get_user(UserPoolId=this.id, Username="p4")["UserAttributes"])["sub"]
    assert find(f'sub = "{sub}"') == ["p4"]
    for bad in ('custom:x = "1"', "username", 'username > "a"', 'username = "a" or 1 = 1'):
        with refused("InvalidParameterException"):
            find(bad)

    seen, token = [], None
    while True:
        page = idp.list_users(UserPoolId=this.id, Limit=3, **({"PaginationToken": token} if token else {}))
        assert len(page["Users"]) <= 3
        seen += [entry["Username"] for entry in page["Users"]]
        if not (token := page.get("PaginationToken")):
            break
    assert sorted(seen) == [f"p{number}" for number in range(7)] + ["q0"] and len(seen) == len(set(seen))
    with refused("InvalidParameterException"):
        idp.list_users(UserPoolId=this.id, PaginationToken="not one of ours")
    only = idp.list_users(UserPoolId=this.id, Filter='username = "p1"', AttributesToGet=["email"])["Users"][0]
    assert attributes(only["Attributes"]) == {"email": "p1@example.com"}


def test_an_alias_signs_in_once_it_is_verified(idp, pool, user, sign_in):
    this = pool(AliasAttributes=["email"])
    username = user(this.id, email="alias@example.com")
    with refused("UserNotFoundException"):
        sign_in(this.client_id, "alias@example.com")
    idp.admin_update_user_attributes(
        UserPoolId=this.id, Username=username, UserAttributes=[{"Name": "email_verified", "Value": "true"}]
    )
    token = sign_in(this.client_id, "alias@example.com")["AccessToken"]
    assert idp.get_user(AccessToken=token)["Username"] == username


def test_an_email_can_be_the_username(idp, pool, sign_in):
    this = pool(UsernameAttributes=["email"], AutoVerifiedAttributes=["email"])
    sub = sign_up(idp, this.client_id, "me@example.com", email="me@example.com")["UserSub"]
    idp.admin_confirm_sign_up(UserPoolId=this.id, Username="me@example.com")
    token = sign_in(this.client_id, "me@example.com")["AccessToken"]
    assert idp.get_user(AccessToken=token)["Username"] == sub
    with refused("UsernameExistsException"):
        sign_up(idp, this.client_id, "me@example.com", email="me@example.com")
    with refused("InvalidParameterException", re.compile("^Username should be")):
        sign_up(idp, this.client_id, "not-an-email")


def test_required_attributes_are_required(idp, pool, name):
    this = pool(Schema=[{"Name": "given_name", "Required": True, "Mutable": True, "AttributeDataType": "String"}])
    with refused("InvalidParameterException", re.compile("given_name")):
        sign_up(idp, this.client_id, name())
    sign_up(idp, this.client_id, name(), given_name="Ada")


def test_codes_have_a_limit_of_tries(gate, idp, pool, name):
    this, username = pool(**EMAIL), name()
    sign_up(idp, this.client_id, username, email="ada@example.com")
    code = gate.message(username)["code"]
    wrong = "111111" if code != "111111" else "222222"

    def limited():
        with pytest.raises(idp.exceptions.ClientError) as caught:
            idp.confirm_sign_up(ClientId=this.client_id, Username=username, ConfirmationCode=wrong)
        return type(caught.value).__name__ in ("LimitExceededException", "TooManyFailedAttemptsException")

    wait_until(limited, "tries are limited", within=30)

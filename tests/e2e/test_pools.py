"""User pools and their clients."""

import requests

from portcullis import refused

ABSENT = "us-east-1_Absent000"


def test_a_pools_life(idp, name):
    pool_name = name("life")
    made = idp.create_user_pool(
        PoolName=pool_name,
        Policies={"PasswordPolicy": {"MinimumLength": 12, "RequireSymbols": False}},
        AutoVerifiedAttributes=["email"],
        UserPoolTags={"team": "red"},
    )["UserPool"]
    assert made["Name"] == pool_name and made["Id"].startswith("us-east-1_")
    assert made["Arn"] == f"arn:aws:cognito-idp:us-east-1:000000000000:userpool/{made['Id']}"
    assert made["Policies"]["PasswordPolicy"]["MinimumLength"] == 12
    assert {attribute["Name"] for attribute in made["SchemaAttributes"]} >= {"sub", "email", "phone_number", "given_name"}

    got = idp.describe_user_pool(UserPoolId=made["Id"])["UserPool"]
    assert got["AutoVerifiedAttributes"] == ["email"] and got["EstimatedNumberOfUsers"] == 0
    assert got["UserPoolTags"] == {"team": "red"}
    # An update replaces all of it: what is left out is the default again.
    idp.update_user_pool(UserPoolId=made["Id"])
    got = idp.describe_user_pool(UserPoolId=made["Id"])["UserPool"]
    assert got["Policies"]["PasswordPolicy"]["MinimumLength"] == 8 and not got.get("AutoVerifiedAttributes")
    assert got["LastModifiedDate"] >= got["CreationDate"]

    idp.delete_user_pool(UserPoolId=made["Id"])
    for call in (idp.describe_user_pool, idp.update_user_pool, idp.delete_user_pool):
        with refused("ResourceNotFoundException", f"User pool {made['Id']} does not exist."):
            call(UserPoolId=made["Id"])


def test_deletion_protection_holds(idp, pool):
    this = pool(DeletionProtection="ACTIVE")
    with refused("InvalidParameterException"):
        idp.delete_user_pool(UserPoolId=this.id)
    idp.update_user_pool(UserPoolId=this.id, DeletionProtection="INACTIVE")


def test_pools_are_listed_in_pages(idp, pool):
    made = {pool().id for _ in range(3)}
    seen, token = set(), None
    while True:
        page = idp.list_user_pools(MaxResults=2, **({"NextToken": token} if token else {}))
        assert len(page["UserPools"]) <= 2
        seen |= {entry["Id"] for entry in page["UserPools"]}
        if not (token := page.get("NextToken")):
            break
    assert made <= seen


def test_a_clients_life(idp, pool, name):
    this = pool()
    made = this.add_client(
        GenerateSecret=True,
        AccessTokenValidity=10,
        IdTokenValidity=20,
        RefreshTokenValidity=2,
        TokenValidityUnits={"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
        ReadAttributes=["email"],
    )
    assert len(made["ClientId"]) == 26 and made["ClientId"].isalnum() and 24 <= len(made["ClientSecret"]) <= 64
    assert made["EnableTokenRevocation"] is True
    got = idp.describe_user_pool_client(UserPoolId=this.id, ClientId=made["ClientId"])["UserPoolClient"]
    assert {key: got[key] for key in ("ClientSecret", "AccessTokenValidity", "ReadAttributes")} == {
        key: made[key] for key in ("ClientSecret", "AccessTokenValidity", "ReadAttributes")
    }
    renamed = name("renamed")
    idp.update_user_pool_client(UserPoolId=this.id, ClientId=made["ClientId"], ClientName=renamed)
    got = idp.describe_user_pool_client(UserPoolId=this.id, ClientId=made["ClientId"])["UserPoolClient"]
    assert got["ClientName"] == renamed and got["ClientSecret"] == made["ClientSecret"]
    assert "ReadAttributes" not in got, "an update replaces all of it"
    assert set(got.get("ExplicitAuthFlows", [])) <= {"ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"}

    listed = idp.list_user_pool_clients(UserPoolId=this.id, MaxResults=60)["UserPoolClients"]
    assert {entry["ClientId"] for entry in listed} == {made["ClientId"], this.client_id}
    assert all("ClientSecret" not in entry for entry in listed)
    idp.delete_user_pool_client(UserPoolId=this.id, ClientId=made["ClientId"])
    with refused("ResourceNotFoundException", f"User pool client {made['ClientId']} does not exist."):
        idp.describe_user_pool_client(UserPoolId=this.id, ClientId=made["ClientId"])


def test_a_client_belongs_to_its_pool(idp, pool):
    one, other = pool(), pool()
    with refused("ResourceNotFoundException"):
        idp.describe_user_pool_client(UserPoolId=other.id, ClientId=one.client_id)
    with refused("ResourceNotFoundException"):
        idp.create_user_pool_client(UserPoolId=ABSENT, ClientName="x")


def test_token_lifetimes_have_bounds(idp, pool):
    this = pool()
    for bad in (
        {"AccessTokenValidity": 4, "TokenValidityUnits": {"AccessToken": "minutes"}},
        {"AccessTokenValidity": 2, "TokenValidityUnits": {"AccessToken": "days"}},
        {"RefreshTokenValidity": 59, "TokenValidityUnits": {"RefreshToken": "minutes"}},
    ):
        with refused("InvalidParameterException"):
            this.add_client(**bad)


def test_keys_and_discovery_of_a_pool(gate, pool):
    this = pool()
    discovery = requests.get(f"{gate.url}/{this.id}/.well-known/openid-configuration", timeout=5)
    assert discovery.status_code == 200
    document = discovery.json()
    assert document["issuer"] == f"{gate.public_url.rstrip('/')}/{this.id}"
    assert document["jwks_uri"].endswith(f"/{this.id}/.well-known/jwks.json")
    keys = requests.get(document["jwks_uri"], timeout=5).json()["keys"]
    assert len(keys) >= 2 and len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert (key["alg"], key["kty"], key["use"], key["e"]) == ("RS256", "RSA", "sig", "AQAB")
        assert not set(key) & {"d", "p", "q"}
    absent = requests.get(f"{gate.url}/{ABSENT}/.well-known/jwks.json", timeout=5)
    assert absent.status_code in (400, 404)


def test_an_operation_that_is_not_built_says_so(idp, pool):
    this = pool()
    answer = None
    try:
        idp.create_user_import_job(
            UserPoolId=this.id, JobName="job", CloudWatchLogsRoleArn="arn:aws:iam::000000000000:role/import"
        )
    except idp.exceptions.ClientError as error:
        answer = error.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert answer["Error"]["Code"] == "NotImplementedException"
    assert "CreateUserImportJob" in answer["Error"]["Message"]

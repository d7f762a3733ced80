"""Tokens that must not pass the gate, whatever they look like."""

import base64
import hashlib
import hmac
import json
import time

import pytest
import requests
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from origin import Issuer, Origin
from portcullis import Portcullis, claims, unpad, wait_until


def b64(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def mine():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def small():
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


def signed(key, header, body):
    text = f"{b64(header)}.{b64(body)}"
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{b64(signature)}"


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


def test_algorithms_come_from_the_keys(gate, tokens, mine):
    header, body, signature = parts(tokens["AccessToken"])
    keys = requests.get(f"{gate.url}/{gate.pool}/.well-known/jwks.json", timeout=5).json()["keys"]
    jwk = next(key for key in keys if key["kid"] == header["kid"])
    for none in ("none", "None", "NONE", "nOnE", ""):
        refusal(gate, f"{b64(header | {'alg': none})}.{b64(body)}.")
        refusal(gate, f"{b64(header | {'alg': none})}.{b64(body)}.{signature}")
    public = rsa.RSAPublicNumbers(int.from_bytes(unpad(jwk["e"])), int.from_bytes(unpad(jwk["n"]))).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), der, json.dumps(jwk).encode(), jwk["n"].encode(), b""):
        text = f"{b64(header | {'alg': 'HS256'})}.{b64(body)}"
        refusal(gate, f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}")
    for other in ("RS384", "RS512", "PS256", "ES256", "EdDSA", "HS256", "RSA-OAEP", ["RS256"], None, 5):
        refusal(gate, signed(mine, header | {"alg": other}, body))


def test_keys_come_from_the_issuer(gate, tokens, mine, small):
    header, body, _ = parts(tokens["AccessToken"])
    numbers = mine.public_key().public_numbers()
    jwk = {
        "kty": "RSA", "alg": "RS256", "use": "sig", "kid": header["kid"],
        "n": b64(numbers.n.to_bytes(256)), "e": b64(numbers.e.to_bytes(3)),
    }  # fmt: skip
    assert refusal(gate, signed(mine, header, body)) == "signature_invalid"
    for planted in (
        {"jwk": jwk}, {"jku": "https://evil.example.com/jwks.json"}, {"x5u": "https://evil.example.com/cert"},
        {"x5c": [b64(b"certificate")]}, {"kid": "../../../../etc/passwd"}, {"kid": ""}, {"kid": "a" * 10000},
        {"kid": "' OR 1=1 --"}, {"kid": None}, {"kid": ["a"]},
    ):  # fmt: skip
        refusal(gate, signed(mine, header | planted, body))
    refusal(gate, signed(small, header, body))


def test_what_is_signed_cannot_be_changed(gate, tokens):
    token = tokens["AccessToken"]
    header, body, signature = token.split(".")
    for change in ({"exp": 9999999999}, {"sub": "someone"}, {"cognito:groups": ["admins"]}, {"client_id": "x"}):
        refusal(gate, f"{header}.{b64(claims(token) | change)}.{signature}")
    flipped = bytearray(unpad(signature))
    flipped[0] ^= 1
    assert refusal(gate, f"{header}.{body}.{b64(bytes(flipped))}") == "signature_invalid"
    refusal(gate, f"{header}.{body}.{signature[:-10]}")
    refusal(gate, f"{header}.{body}.")


def test_unknown_crit_is_refused(gate, tokens, mine):
    header, body, _ = parts(tokens["AccessToken"])
    for crit in (["exp"], ["b64"], [], "exp", ["http://example.com/x"]):
        refusal(gate, signed(mine, header | {"crit": crit, "b64": True, "http://example.com/x": 1}, body))


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


def test_the_api_refuses_them_too(gate, idp, tokens, mine):
    header, body, signature = parts(tokens["AccessToken"])
    hostile = [
        signed(mine, header, body),
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


def test_hostile_tokens_are_refused_fast(gate, mine, tokens):
    header, body, _ = parts(tokens["AccessToken"])
    started = time.monotonic()
    for number in range(50):
        refusal(gate, signed(mine, header | {"kid": f"unknown{number}"}, body))
    assert time.monotonic() - started < 5, "an unknown key id must not fetch each time"


# Of an OpenID Connect issuer, whose key signs more than access tokens


class Company:
    """A gate in front of one route, for tokens of an issuer of kind `oidc`."""

    def __init__(self, folder):
        self.issuer, self.origin = Issuer(), Origin()
        folder.mkdir()
        file = folder / "portcullis.yaml"
        file.write_text(yaml.safe_dump({
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "issuers": {"company": {"kind": "oidc", "issuer": self.issuer.issuer, "audiences": ["api"]}},
            "upstreams": {"origin": {"servers": [self.origin.url]}},
            "routes": [{
                "match": {"path": "/pets"}, "authenticate": {"bearer": {"issuers": ["company"]}},
                "authorize": "authenticated", "upstream": {"to": "origin"},
            }],
        }))  # fmt: skip
        self.gate = Portcullis(folder, command=["serve", "--config", file])

    def token(self, header=None, **more):
        now = int(time.time())
        body = {"iss": self.issuer.issuer, "sub": "someone", "aud": "api", "iat": now, "exp": now + 600} | more
        return signed(self.issuer.keys["rsa"], {"alg": "RS256", "kid": "rsa"} | (header or {}), body)

    def stop(self):
        self.gate.stop()
        self.issuer.stop()
        self.origin.stop()


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    company = Company(tmp_path_factory.mktemp("company") / "data")
    wait_until(lambda: company.gate.get("/pets", company.token()).status_code == 200, "the keys are fetched")
    yield company
    company.stop()


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_an_access_token_may_say_that_it_is_one(company, typ):
    token = company.token({"typ": typ})
    assert [company.gate.get("/pets", token).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "typ",
    [
        "logout+jwt", "secevent+jwt", "application/secevent+jwt", "dpop+jwt", "entity-statement+jwt", "JOSE+JSON", "JWE", "",
    ],
)  # fmt: skip
def test_a_token_of_another_kind_is_no_access_token(company, typ):
    token = company.token({"typ": typ})
    assert [refusal(company.gate, token) for _ in range(2)] == ["token_use_invalid"] * 2


def test_a_security_event_is_no_access_token(company):
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    for header in ({}, {"typ": "JWT"}, {"typ": "logout+jwt"}):
        assert refusal(company.gate, company.token(header, events=events)) == "token_use_invalid"


def test_a_payload_is_claims_as_it_stands(company):
    for header in ({"cty": "JWT"}, {"cty": "application/json"}, {"zip": "DEF"}):
        assert refusal(company.gate, company.token(header)) == "token_header_refused"

"""What a hostile token looks like: one case for each way in, made from what an honest issuer gives.

A case makes a token from a `Subject`. What a case says of algorithms and keys holds for every issuer; what needs the
issuer's own key, as a claim that is signed and wrong, holds for issuers whose key the tests have. The sections are those of
RFC 8725, JSON Web Token Best Current Practices, where they say so.
"""

import base64
import hashlib
import hmac
import json
import time
import zlib
from dataclasses import dataclass, field
from typing import Any, Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from origin import Issuer, jwk, number, reply
from portcullis import unpad


def b64(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def signature(key, alg, message):
    """As `alg` has it, or as RS256 where it is no algorithm of the key's."""
    digest = HASHES.get(str(alg)[-3:], hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        size = (key.curve.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if str(alg).startswith("PS"):
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(message, padding.PKCS1v15(), digest)


def signed(key, header, body, alg=None):
    """A token whose parts are given as objects, as text or as bytes."""
    parts = [part.encode() if isinstance(part, str) else part for part in (header, body)]
    message = ".".join(b64(part) for part in parts)
    alg = alg or (header.get("alg") if isinstance(header, dict) else "RS256")
    return f"{message}.{b64(signature(key, alg, message.encode()))}"


MINE = rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)


class Company(Issuer):
    """An issuer with a key of each kind, and some that must not count."""

    def __init__(self):
        super().__init__()
        rsa_key = self.keys["rsa"]
        self.others = {
            "ec384": ec.generate_private_key(ec.SECP384R1()),
            "ec521": ec.generate_private_key(ec.SECP521R1()),
            "ed": ed25519.Ed25519PrivateKey.generate(),
            "bare": rsa.generate_private_key(65537, 2048),
            "pss": rsa.generate_private_key(65537, 2048),
            "small": SMALL,
            "enc": rsa.generate_private_key(65537, 2048),
            "ops": rsa.generate_private_key(65537, 2048),
        }
        bare = {name: value for name, value in jwk("bare", self.others["bare"]).items() if name != "alg"}
        self.document = {"keys": [
            jwk("rsa", rsa_key), jwk("ec", self.keys["ec"]), bare,
            curve("ec384", "P-384", self.others["ec384"], 48), curve("ec521", "P-521", self.others["ec521"], 66),
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.others["ed"].public_key().public_bytes_raw())},
            jwk("pss", self.others["pss"]) | {"alg": "PS256"},
            jwk("small", SMALL), jwk("enc", self.others["enc"]) | {"use": "enc"},
            jwk("ops", self.others["ops"]) | {"key_ops": ["encrypt", "wrapKey"]},
            {"kty": "oct", "kid": "oct", "alg": "HS256", "use": "sig", "k": b64(b"a secret of 32 bytes, all shared")},
        ]}  # fmt: skip

    def handle(self, request):
        if request.path.endswith("/.well-known/openid-configuration"):
            return reply(request, {"issuer": self.issuer, "jwks_uri": f"{self.url}/keys"})
        return reply(request, self.document)


def curve(kid, name, key, size):
    numbers = key.public_key().public_numbers()
    return {"kty": "EC", "crv": name, "kid": kid, "x": number(numbers.x, size), "y": number(numbers.y, size)}


@dataclass
class Subject:
    """An honest token and what it is made of; `company` where the tests have the issuer's keys."""

    header: dict
    body: dict
    good: str
    jwk: dict
    company: Any = None

    def key(self, kid=None):
        kid = kid or self.header["kid"]
        return self.company.keys.get(kid) or self.company.others[kid]

    def token(self, header=None, body=None, kid=None):
        """Signed by the issuer, with some of it changed, or left out where the change is None."""
        kid = kid or self.header["kid"]
        return signed(self.key(kid), change(self.header | {"kid": kid}, header), change(self.body, body))

    @property
    def public(self):
        numbers = rsa.RSAPublicNumbers(int.from_bytes(unpad(self.jwk["e"])), int.from_bytes(unpad(self.jwk["n"])))
        return numbers.public_key()


def change(what, changes):
    return {name: value for name, value in (what | (changes or {})).items() if value is not ABSENT}


ABSENT = object()


@dataclass
class Case:
    name: str
    make: Callable[[Subject], str]
    codes: set = field(default_factory=set)

    def __str__(self):
        return self.name


def case(name, make, *codes):
    return Case(name, make, set(codes))


# For every issuer: the algorithm, the key, the form (RFC 8725 sections 3.1 to 3.3, 3.5, 3.10)


def none(alg, keep):
    def make(subject):
        tail = subject.good.split(".")[2] if keep else ""
        return f"{b64(subject.header | {'alg': alg})}.{b64(subject.body)}.{tail}"

    return make


def with_secret(secret, alg="HS256"):
    """HMAC with what everybody knows."""

    def make(subject):
        text = f"{b64(subject.header | {'alg': alg})}.{b64(subject.body)}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
        return f"{text}.{b64(hmac.new(secret(subject), text.encode(), digest).digest())}"

    return make


def pem(subject):
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return subject.public.public_bytes(serialization.Encoding.PEM, info)


def der(subject):
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return subject.public.public_bytes(serialization.Encoding.DER, info)


def mine(**header):
    """By a key of the sender's choice."""
    return lambda subject: signed(MINE, change(subject.header, header), subject.body)


def mine_as_jwk(subject):
    numbers = MINE.public_key().public_numbers()
    return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": subject.header["kid"], "n": number(numbers.n), "e": "AQAB"}


def parts(make):
    """Of the honest token's three parts another text."""
    return lambda subject: make(*subject.good.split("."))


def rewritten(**claims):
    """The honest token with claims changed after it was signed."""

    def make(subject):
        header, _, tail = subject.good.split(".")
        return f"{header}.{b64(change(subject.body, claims))}.{tail}"

    return make


def flipped(bit):
    def make(subject):
        header, body, tail = subject.good.split(".")
        data = bytearray(unpad(tail))
        data[bit // 8] ^= 1 << bit % 8
        return f"{header}.{body}.{b64(bytes(data))}"

    return make


FORM = ("token_malformed",)
ALGORITHM = ("algorithm_refused",)
BAD = ("signature_invalid",)
HEADER = ("token_header_refused",)

FOR_ALL = [
    *[case(f"alg {alg or 'empty'} without a signature", none(alg, False), *ALGORITHM) for alg in ("none", "None", "NONE", "nOnE", "")],
    *[case(f"alg {alg or 'empty'} with the signature kept", none(alg, True), *ALGORITHM) for alg in ("none", "NONE", "")],
    case("hmac with the key as PEM", with_secret(pem), *ALGORITHM),
    case("hmac with the key as PEM, trimmed", with_secret(lambda subject: pem(subject).strip()), *ALGORITHM),
    case("hmac with the key as DER", with_secret(der), *ALGORITHM),
    case("hmac with the key as JWK", with_secret(lambda subject: json.dumps(subject.jwk).encode()), *ALGORITHM),
    case("hmac with the modulus", with_secret(lambda subject: unpad(subject.jwk["n"])), *ALGORITHM),
    case("hmac with nothing", with_secret(lambda _: b""), *ALGORITHM),
    case("hmac 384 with the key as PEM", with_secret(pem, "HS384"), *ALGORITHM),
    case("hmac 512 with the key as PEM", with_secret(pem, "HS512"), *ALGORITHM),
    *[case(f"alg {alg} by another key", mine(alg=alg), *ALGORITHM) for alg in ("RS1", "rs256", "RSA-OAEP", "dir", "A128KW", "ES256K", "Ed448")],
    case("alg of another hash", mine(alg="RS384"), *ALGORITHM),
    case("alg of another padding", mine(alg="PS256"), *ALGORITHM),
    case("alg of another kind of key", mine(alg="ES256"), *ALGORITHM),
    case("alg left out", mine(alg=ABSENT), *FORM),
    *[case(f"alg {alg!r}", mine(alg=alg), *FORM) for alg in (None, 5, ["RS256"], {"alg": "RS256"}, True)],
    case("another key under the name", mine(), *BAD),
    case("a small key under the name", lambda subject: signed(SMALL, subject.header, subject.body), *BAD),
    case("its own key as jwk", lambda subject: signed(MINE, subject.header | {"jwk": mine_as_jwk(subject)}, subject.body), *HEADER),
    case("a jwk and no kid", lambda subject: signed(MINE, {"alg": "RS256", "jwk": mine_as_jwk(subject)}, subject.body), *HEADER),
    case("jku", mine(jku="https://evil.example.com/jwks.json"), *HEADER),
    case("x5u", mine(x5u="https://evil.example.com/cert.pem"), *HEADER),
    case("x5c", mine(x5c=[base64.b64encode(b"certificate").decode()]), *HEADER),
    *[case(f"kid {str(kid)[:24]!r}", mine(kid=kid), "key_unknown") for kid in (
        "../../../../dev/null", "/etc/passwd", "' UNION SELECT 'a", "$(id)", "https://evil.example.com/k", "", "\0", "é", "x" * 4000,
    )],
    *[case(f"kid {kid!r}", mine(kid=kid), *FORM) for kid in (None, 5, ["rsa"], {"kid": "rsa"}, True)],
    *[case(f"crit {crit!r}", mine(crit=crit, exp=1, b64=True), *HEADER) for crit in (["exp"], ["b64"], ["alg"], [], "exp", None, {})],
    case("b64 is false and crit says so", mine(b64=False, crit=["b64"]), *HEADER),
    case("cty is JWT", mine(cty="JWT"), *HEADER),
    case("zip is DEF", lambda subject: signed(MINE, subject.header | {"zip": "DEF"}, zlib.compress(json.dumps(subject.body).encode())), *HEADER),
    *[case(f"{name} changed", rewritten(**{name: value}), *BAD) for name, value in (
        ("exp", 9999999999), ("sub", "root"), ("cognito:groups", ["admins"]), ("scope", "admin"),
    )],
    case("iss changed", rewritten(iss="https://evil.example.com"), "issuer_unknown"),
    *[case(f"bit {bit} of the signature", flipped(bit), *BAD) for bit in (0, 1000, 2047)],
    case("no signature", parts(lambda header, body, _: f"{header}.{body}."), *BAD),
    case("half a signature", parts(lambda header, body, tail: f"{header}.{body}.{b64(unpad(tail)[:128])}"), *BAD),
    case("a signature twice", parts(lambda header, body, tail: f"{header}.{body}.{b64(unpad(tail) * 2)}"), *BAD),
    case("a signature of zeros", parts(lambda header, body, tail: f"{header}.{body}.{b64(bytes(len(unpad(tail))))}"), *BAD),
    case("header and payload exchanged", parts(lambda header, body, tail: f"{body}.{header}.{tail}"), *FORM),
    case("two parts", parts(lambda header, body, _: f"{header}.{body}"), *FORM),
    case("four parts", parts(lambda header, body, tail: f"{header}.{body}.{tail}.{tail}"), *FORM),
    case("five parts, as if encrypted", parts(lambda header, body, tail: f"{header}.{body}.{tail}.{tail}.{tail}"), *FORM),
    case("an empty header", parts(lambda _, body, tail: f".{body}.{tail}"), *FORM),
    case("an empty payload", parts(lambda header, _, tail: f"{header}..{tail}"), *FORM),
    case("dots alone", lambda _: "..", *FORM),
    case("padded", parts(lambda header, body, tail: f"{header}.{body}.{tail}=="), *FORM),
    case("padded in the payload", parts(lambda header, body, tail: f"{header}.{body}=.{tail}"), *FORM),
    case("of the other alphabet", parts(lambda header, body, tail: f"{header}.{body}.{'+/' + tail[2:]}"), *FORM),
    case("a null byte in the header", lambda subject: f"{b64(json.dumps(subject.header).encode() + bytes(1))}." + subject.good.split(".", 1)[1], *FORM),
    case("as JSON", parts(lambda header, body, tail: b64({"payload": body, "protected": header, "signature": tail})), *FORM),
    case("too large", parts(lambda header, body, tail: f"{header}.{body}.{tail}{'A' * 20_000}"), "token_too_large"),
]  # fmt: skip


# For issuers whose key the tests have: what is signed and must not pass all the same


def says(**body):
    return lambda subject: subject.token(body=body)


def heads(**header):
    return lambda subject: subject.token(header=header)


def raw(payload):
    """A payload that is no object written in the usual way."""
    return lambda subject: signed(subject.key(), subject.header, payload(subject))


def raw_header(text):
    return lambda subject: signed(subject.key(), text(subject), subject.body, alg="RS256")


def encoded(encoding):
    return raw(lambda subject: json.dumps(subject.body | {"name": "é"}, ensure_ascii=False).encode(encoding))


def twice(name, value):
    """The name once more before the rest, so that parsers differ in which they take."""
    return raw(lambda subject: "{" + f"{json.dumps(name)}: {json.dumps(value)}, " + json.dumps(subject.body)[1:])


def in_der(subject):
    token = subject.token(header={"alg": "ES256"}, kid="ec")
    message, _, tail = token.rpartition(".")
    data = unpad(tail)
    return f"{message}.{b64(encode_dss_signature(int.from_bytes(data[:32]), int.from_bytes(data[32:])))}"


def of_zeros(kid, alg, size):
    return lambda subject: f"{b64({'alg': alg, 'kid': kid})}.{b64(subject.body)}.{b64(bytes(size))}"


def by(kid, alg):
    return lambda subject: subject.token(header={"alg": alg}, kid=kid)


def with_oct(subject):
    text = f"{b64({'alg': 'HS256', 'kid': 'oct'})}.{b64(subject.body)}"
    secret = b"a secret of 32 bytes, all shared"
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


ISSUER = ("issuer_unknown",)
KIND = ("token_use_invalid",)
AUDIENCE = ("audience_invalid",)
EXPIRED = ("token_expired",)
EARLY = ("token_not_yet_valid",)
NOW = int(time.time())

SIGNED = [
    case("by a key of 1024 bits in the set", by("small", "RS256"), "key_unknown"),
    case("by a key for encryption in the set", by("enc", "RS256"), "key_unknown"),
    case("by a key with other operations in the set", by("ops", "RS256"), "key_unknown"),
    case("by a secret in the set", with_oct, *ALGORITHM),
    case("PS256 by a key for RS256", by("rsa", "PS256"), *ALGORITHM),
    case("RS384 by a key for RS256", by("rsa", "RS384"), *ALGORITHM),
    case("RS256 by a key for PS256", by("pss", "RS256"), *ALGORITHM),
    case("ES384 by a key on P-256", by("ec", "ES384"), *ALGORITHM),
    case("ES256 by a key on P-384", by("ec384", "ES256"), *ALGORITHM),
    case("ES256 in DER", in_der, *BAD),
    case("ES256 of zeros", of_zeros("ec", "ES256", 64), *BAD),
    case("ES384 of zeros", of_zeros("ec384", "ES384", 96), *BAD),
    case("EdDSA of zeros", of_zeros("ed", "EdDSA", 64), *BAD),
    *[case(f"iss {iss!r}", says(iss=iss), *ISSUER) for iss in (
        ABSENT, None, "", "https://evil.example.com", 7, True, [], ["x"], {"iss": "x"},
    )],
    case("iss in a list", lambda subject: subject.token(body={"iss": [subject.body["iss"]]}), *ISSUER),
    case("iss with a slash more", lambda subject: subject.token(body={"iss": subject.body["iss"] + "/"}), *ISSUER),
    case("iss with a blank", lambda subject: subject.token(body={"iss": " " + subject.body["iss"]}), *ISSUER),
    case("iss in capitals", lambda subject: subject.token(body={"iss": subject.body["iss"].upper()}), *ISSUER),
    case("iss of a user at the host", lambda subject: subject.token(body={"iss": subject.body["iss"] + "@evil.example.com"}), *ISSUER),
    *[case(f"exp {exp!r}", says(exp=exp), *EXPIRED) for exp in (0, 1, NOW - 3600, 1.5)],
    *[case(f"exp {exp!r}", says(exp=exp), *FORM) for exp in (ABSENT, None, "9999999999", "", True, [9999999999], {}, -1, 10**18, 1e300)],
    *[case(f"nbf {nbf!r}", says(nbf=nbf), *EARLY) for nbf in (NOW + 3600, 9999999999)],
    *[case(f"nbf {nbf!r}", says(nbf=nbf), *FORM) for nbf in ("now", None, [], -1)],
    *[case(f"iat {iat!r}", says(iat=iat), *EARLY) for iat in (NOW + 3600, 9999999999)],
    *[case(f"iat {iat!r}", says(iat=iat), *FORM) for iat in ("now", None, {}, -1)],
    *[case(f"sub {sub!r}", says(sub=sub), *FORM) for sub in (ABSENT, None, "", 7, ["someone"], {"id": "someone"}, True)],
    *[case(f"{name} {value!r}", says(**{name: value}), *FORM) for name, value in (
        ("scope", 7), ("scope", [1]), ("scope", {}), ("scp", True), ("jti", 7), ("azp", ["app"]), ("origin_jti", {}),
    )],
    *[case(f"typ {typ!r}", heads(typ=typ), *KIND) for typ in (
        "logout+jwt", "secevent+jwt", "application/secevent+jwt", "dpop+jwt", "entity-statement+jwt", "JOSE+JSON", "JWE", "", "id_token",
    )],
    *[case(f"typ {typ!r}", heads(typ=typ), *FORM) for typ in (None, 5, ["JWT"])],
    *[case(f"{name} in a signed header", heads(**{name: value}), *HEADER) for name, value in (
        ("cty", "JWT"), ("zip", "DEF"), ("crit", ["exp"]), ("jku", "https://evil.example.com"), ("x5u", "https://evil.example.com"),
    )],
    *[case(f"{name} twice in the payload", twice(name, value), *FORM) for name, value in (
        ("sub", "root"), ("exp", 1), ("iss", "https://evil.example.com"), ("scope", "admin"),
    )],
    case("a name twice, once escaped", raw(lambda subject: '{"\\u0073ub": "root", ' + json.dumps(subject.body)[1:]), *FORM),
    case("a name twice, within", raw(lambda subject: json.dumps(subject.body)[:-1] + ', "a": {"b": 1, "b": 2}}'), *FORM),
    case("alg twice", raw_header(lambda subject: '{"alg": "none", ' + json.dumps(subject.header)[1:]), *FORM),
    case("kid twice", raw_header(lambda subject: '{"kid": "other", ' + json.dumps(subject.header)[1:]), *FORM),
    case("a payload in Latin 1", encoded("latin-1"), *FORM),
    case("a payload in UTF-16", encoded("utf-16"), *FORM),
    case("a payload in UTF-32", encoded("utf-32"), *FORM),
    case("a payload with a byte order mark", encoded("utf-8-sig"), *FORM),
    case("a header with a byte order mark", raw_header(lambda subject: "\ufeff" + json.dumps(subject.header)), *FORM),
    case("a payload with more behind it", raw(lambda subject: json.dumps(subject.body) + "{}"), *FORM),
    case("a payload with a comment", raw(lambda subject: json.dumps(subject.body)[:-1] + " /* x */ }"), *FORM),
    case("a payload with a comma too many", raw(lambda subject: json.dumps(subject.body)[:-1] + ",}"), *FORM),
    case("a payload in single quotes", raw(lambda subject: str(subject.body)), *FORM),
    case("a payload with NaN", raw(lambda subject: json.dumps(subject.body)[:-1] + ', "n": NaN}'), *FORM),
    case("a payload with an infinite number", raw(lambda subject: json.dumps(subject.body)[:-1] + ', "n": 1e999}'), *FORM),
    case("a payload with half a character", raw(lambda subject: json.dumps(subject.body)[:-1] + ', "n": "\\ud800"}'), *FORM),
    case("a payload with a control character", raw(lambda subject: json.dumps(subject.body)[:-1] + ', "n": "\n"}'), *FORM),
    case("a payload too deep", raw(lambda subject: json.dumps(subject.body)[:-1] + ', "n": ' + "[" * 3000 + "]" * 3000 + "}"), *FORM),
    *[case(f"a payload that is {json.dumps(value)}", raw(lambda _, value=value: json.dumps(value)), *FORM) for value in (
        None, True, 7, "text", [], [{"sub": "someone"}],
    )],
    case("a payload that is a token", lambda subject: signed(subject.key(), subject.header, subject.good), *FORM),
    case("a payload that is packed", lambda subject: signed(subject.key(), subject.header, zlib.compress(json.dumps(subject.body).encode())), *FORM),
    case("a payload that is empty", raw(lambda _: b""), *FORM),
]  # fmt: skip

# By the kind of the issuer: for whom a token is meant, and what it is (sections 3.9, 3.11 and 3.12)

OIDC = [
    case("aud twice in the payload", twice("aud", "x"), *FORM),
    *[case(f"aud {aud!r}", says(aud=aud), *AUDIENCE) for aud in (
        ABSENT, "", "other", "API", "api ", "api/", "ap", [], ["other"], ["API", "apis"],
    )],
    *[case(f"aud {aud!r}", says(aud=aud), *FORM) for aud in (None, 7, True, {"api": 1}, [7], ["api", 7], [["api"]], [None, "api"])],
    *[case(f"groups {groups!r}", says(groups=groups), *FORM) for groups in (7, [7], {"admins": True}, None)],
    *[case(f"events {events!r}", says(events=events), *KIND) for events in (
        {"http://schemas.openid.net/event/backchannel-logout": {}}, {}, None, "x",
    )],
]  # fmt: skip

COGNITO = [
    *[case(f"client_id {client!r}", says(client_id=client), *AUDIENCE) for client in (ABSENT, "", "other", "APP", "app ", None, 7, ["app"], True)],
    *[case(f"token_use {use!r}", says(token_use=use), *KIND) for use in (ABSENT, None, "", "refresh", "Access", "access ", 7, ["access"])],
    *[case(f"cognito:groups {groups!r}", says(**{"cognito:groups": groups}), *FORM) for groups in (7, [7], {"admins": True}, None)],
    case("an ID token", lambda subject: subject.token(body={"token_use": "id", "aud": "app", "client_id": ABSENT}), *KIND),
    case("an access token for another client with this one's aud", says(client_id="other", aud="app"), *AUDIENCE),
]  # fmt: skip


# What must pass, so that the gate does not refuse everything


def header_without(*names):
    return heads(**dict.fromkeys(names, ABSENT))


CONTROLS = [
    *[case(f"{alg} by {kid}", by(kid, alg)) for kid, alg in (
        ("rsa", "RS256"), ("ec", "ES256"), ("ec384", "ES384"), ("ec521", "ES512"), ("ed", "EdDSA"), ("ed", "Ed25519"), ("pss", "PS256"),
        ("bare", "RS256"), ("bare", "RS384"), ("bare", "RS512"), ("bare", "PS256"), ("bare", "PS384"), ("bare", "PS512"),
    )],
    case("no kid, first of its keys", header_without("kid")),
    case("no kid, another of its keys", lambda subject: signed(subject.key("bare"), {"alg": "RS256"}, subject.body)),
    case("no kid, elliptic", lambda subject: signed(subject.key("ec"), {"alg": "ES256"}, subject.body)),
    *[case(f"typ {typ}", heads(typ=typ)) for typ in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt")],
    case("a header of more names", heads(x="y", nested={"a": 1})),
    case("expired within the leeway", lambda subject: subject.token(body={"exp": int(time.time()) - 2})),
    case("valid from now on", lambda subject: subject.token(body={"nbf": int(time.time())})),
    case("issued within the leeway", lambda subject: subject.token(body={"iat": int(time.time()) + 3})),
    case("without iat", says(iat=ABSENT)),
    case("times with a fraction", lambda subject: subject.token(body={"exp": time.time() + 60.5})),
    case("scopes in a list", says(scope=["pets/read", "other"])),
    case("claims of any type that nobody asks for", says(custom={"a": [1, None, {}]}, name="é", deep=[[[[]]]])),
    case("escapes and blanks in the payload", raw(lambda subject: json.dumps(subject.body | {"sub": "sömeone"}, indent=4))),
]  # fmt: skip

CONTROLS_OIDC = [
    case("aud in a list", says(aud=["other", "api"])),
    case("aud once more", says(aud=["api", "api"])),
    case("without groups", says(groups=ABSENT)),
]

CONTROLS_COGNITO = [
    case("a client in a list of several", says(client_id="web")),
    case("aud that nobody asks for", says(aud="whoever")),
    case("without groups", says(**{"cognito:groups": ABSENT})),
]

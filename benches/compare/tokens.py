"""Tokens as a Cognito pool issues them, good and bad, and the key that signs them."""

import base64
import json
import multiprocessing
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SCOPES = "aws.cognito.signin.user.admin pets/read"


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def many(key, issuer, count):
    """Good tokens of as many users."""
    pem = private_pem(key)
    size = max(1, count // 100)
    parts = [(pem, issuer, at, min(size, count - at)) for at in range(0, count, size)]
    with multiprocessing.Pool() as pool:
        return [token for part in pool.map(sign_part, parts) for token in part]


def bad(key, issuer):
    """What no contender that checks tokens lets through: by what is wrong with it, the token and the statuses that say so."""
    good, now = claims(issuer, 0), int(time.time())
    stranger = new_key()
    signed = sign(key, good)
    return {
        "a signature that is altered": (altered(signed), {401}),
        "another key's signature": (sign(stranger, good), {401}),
        "another issuer": (sign(key, {**good, "iss": issuer + "x"}), {401}),
        "an expiry that is over": (sign(key, {**good, "exp": now - 3600}), {401}),
        "no scope for pets": (sign(key, {**good, "scope": "aws.cognito.signin.user.admin"}), {401, 403}),
        "no algorithm": (sign(key, good, alg="none"), {401}),
    }


def altered(token):
    """The token with other bits early in its signature; the last character's may be padding."""
    head, payload, signature = token.split(".")
    swap = "A" if signature[0] != "A" else "B"
    return f"{head}.{payload}.{swap}{signature[1:]}"


def sign_part(part):
    pem, issuer, first, count = part
    key = serialization.load_pem_private_key(pem, None)
    return [sign(key, claims(issuer, number)) for number in range(first, first + count)]


def subject(number):
    """The `sub` of one of the users."""
    return f"00000000-0000-4000-8000-{number:012}"


def claims(issuer, number):
    now = int(time.time())
    sub = subject(number)
    return {
        "sub": sub, "cognito:groups": ["readers"], "iss": issuer, "client_id": "bench", "origin_jti": sub,
        "event_id": sub, "token_use": "access", "scope": SCOPES, "auth_time": now, "exp": now + 86_400, "iat": now,
        "jti": sub, "username": f"user{number}",
    }  # fmt: skip


def sign(key, claims, alg="RS256"):
    head = b64(json.dumps({"kid": "bench", "alg": alg}).encode())
    text = f"{head}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def key_set(key):
    numbers = key.public_key().public_numbers()
    return {
        "keys": [{
            "kty": "RSA", "kid": "bench", "alg": "RS256", "use": "sig",
            "n": b64(numbers.n.to_bytes(256)), "e": b64(numbers.e.to_bytes(3)),
        }]
    }  # fmt: skip


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

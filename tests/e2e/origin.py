"""Services around the gate: an origin that tells what reached it, and an issuer with keys of its own."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa


class Service:
    """An HTTP/1.1 server on a port of the kernel's choice; `handle(request)` answers."""

    def __init__(self, port=0):
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                service.handle(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def reply(request, body, status=200, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("content-length", str(len(data)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)


class Origin(Service):
    """Says what it was asked; `/stream` waits between its chunks until it is let on."""

    def __init__(self, name="origin"):
        self.name = name
        self.arrived = threading.Event()
        self.go = threading.Event()
        self.seen = 0
        super().__init__()

    def handle(self, request):
        self.seen += 1
        if request.path == "/stream":
            return self.stream(request)
        length = int(request.headers.get("content-length", 0))
        body = b""
        if length:
            body = request.rfile.read(1)
            self.arrived.set()
            body += request.rfile.read(length - 1)
        elif "chunked" in request.headers.get("transfer-encoding", ""):
            body = chunked(request.rfile, self.arrived)
        reply(request, {
            "origin": self.name, "method": request.command, "path": request.path, "body": len(body),
            "headers": [[name.lower(), value] for name, value in request.headers.items()],
        })  # fmt: skip

    def stream(self, request):
        request.send_response(200)
        request.send_header("content-type", "text/event-stream")
        request.send_header("transfer-encoding", "chunked")
        request.end_headers()
        for part in (b"first", b"second"):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            request.wfile.flush()
            assert self.go.wait(20)
        request.wfile.write(b"0\r\n\r\n")


def chunked(file, arrived):
    body = b""
    while size := int(file.readline(), 16):
        body += file.read(size)
        arrived.set()
        file.readline()
    file.readline()
    return body


class Issuer(Service):
    """Discovery, a key set, and tokens signed by it."""

    def __init__(self, port=0):
        self.keys = {"rsa": rsa.generate_private_key(65537, 2048), "ec": ec.generate_private_key(ec.SECP256R1())}
        # Of the key set, and whatever was asked for, also in vain.
        self.fetches = self.calls = 0
        self.down = False
        super().__init__(port)
        self.issuer = f"{self.url}/us-east-1_Remote001"

    def handle(self, request):
        self.calls += 1
        if self.down:
            return reply(request, b"down", 500)
        if request.path.endswith("/.well-known/openid-configuration"):
            return reply(request, {"issuer": self.issuer, "jwks_uri": f"{self.url}/keys"})
        self.fetches += 1
        return reply(request, {"keys": [jwk(kid, key) for kid, key in self.keys.items()]})

    def token(self, kid="rsa", key=None, **changed):
        """An access token as Cognito makes them; a claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "someone", "client_id": "app", "token_use": "access", "scope": "pets/read other",
            "iat": now, "exp": now + 600, "jti": f"jti-{time.monotonic_ns()}", "cognito:groups": ["readers"],
        } | changed  # fmt: skip
        key = key or self.keys[kid]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        claims = {name: value for name, value in claims.items() if value is not None}
        # Below PyJWT's own checks of claims: hostile tokens are signed too.
        return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm, headers={"kid": kid})


def jwk(kid, key):
    numbers = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": number(numbers.n), "e": number(numbers.e)}
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": number(numbers.x, 32), "y": number(numbers.y, 32)}  # fmt: skip


def number(value, length=None):
    data = value.to_bytes(length or (value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

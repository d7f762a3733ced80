"""Key servers with faults, certificates of an authority of their own, and a forward proxy."""

import base64
import datetime
import ipaddress
import json
import select
import socket
import ssl
import threading
import time
import zlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from origin import Issuer, jwk, reply


class KeyServer(Issuer):
    """An issuer that counts and times what it is asked for, and answers `/keys` with a fault while it has one."""

    def __init__(self, fault=None, tls=None):
        self.fault = fault
        self.asked = []
        self.extra = []
        self.elsewhere = 0
        super().__init__()
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
            self.issuer = f"{self.url}/us-east-1_Remote001"

    def handle(self, request):
        if request.path == "/elsewhere":
            self.elsewhere += 1
            return reply(request, self.document())
        if not request.path.endswith("/.well-known/openid-configuration"):
            self.asked.append(time.monotonic())
            if self.fault:
                return self.fault(self, request)
            return reply(request, self.document())
        return super().handle(request)

    def document(self):
        return {"keys": [jwk(kid, key) for kid, key in self.keys.items()] + self.extra}


def status(code):
    return lambda server, request: reply(request, server.document(), code)


def body(content, **headers):
    """Answers 200 with this, or with what this makes of the server's key set."""

    def fault(server, request):
        data = content(server.document()) if callable(content) else content
        reply(request, data.encode() if isinstance(data, str) else data, **headers)

    return fault


def redirect(code):
    return lambda server, request: reply(request, b"", code, location=f"{server.url}/elsewhere")


def cut(server, request):
    """Promises more than it sends."""
    data = json.dumps(server.document()).encode()
    request.send_response(200)
    request.send_header("content-length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[:-20])
    request.close_connection = True


def drip(server, request):
    """Sends the whole set, a byte at a time."""
    data = json.dumps(server.document()).encode()
    request.send_response(200)
    request.send_header("content-length", str(len(data)))
    request.end_headers()
    try:
        for byte in data:
            request.wfile.write(bytes([byte]))
            request.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass  # The gate has given up, as it should.


def endless(_, request):
    """Sends chunks for as long as anybody reads them."""
    request.send_response(200)
    request.send_header("transfer-encoding", "chunked")
    request.end_headers()
    try:
        while True:
            request.wfile.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
    except OSError:
        request.close_connection = True


def silent(_, request):
    """Takes the request and says nothing."""
    request.connection.settimeout(30)
    try:
        request.connection.recv(1)
    except OSError:
        pass
    request.close_connection = True


def hang_up(_, request):
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def packed(data):
    """As `Content-Encoding: gzip` would have it."""
    machine = zlib.compressobj(wbits=31)
    return machine.compress(data) + machine.flush()


FAULTS = {
    "status 500": status(500),
    "status 404": status(404),
    "status 401": status(401),
    "status 204": lambda _, request: reply(request, b"", 204),
    "status 206": status(206),
    "redirect 301": redirect(301),
    "redirect 302": redirect(302),
    "redirect 307": redirect(307),
    "html": body("<html><body>Sign in to the hotel's network</body></html>", content_type="text/html"),
    "empty": body(""),
    "no JSON": body("{'keys': []}"),
    "half": body(lambda document: json.dumps(document)[:-5]),
    "two documents": body(lambda document: json.dumps(document) * 2),
    "a list": body(lambda document: json.dumps(document["keys"])),
    "keys is an object": body(lambda document: json.dumps({"keys": dict(enumerate(document["keys"]))})),
    "keys is text": body(lambda document: json.dumps({"keys": json.dumps(document["keys"])})),
    "keys twice": body(lambda document: json.dumps(document)[:-1] + ', "keys": []}'),
    "no keys": body('{"keys": []}'),
    "keys of wrong types": body('{"keys": [1, null, "key", [], {}, {"kty": 1}, {"kty": "RSA", "n": 5, "e": []}]}'),
    "a secret key": body('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa", "alg": "HS256"}]}'),
    "for encryption": body(lambda document: json.dumps({"keys": [key | {"use": "enc"} for key in document["keys"]]})),
    "too many keys": body(lambda document: json.dumps({"keys": [document["keys"][1]] * 101})),
    "huge": body(lambda document: json.dumps(document | {"pad": "x" * 200_000})),
    "deep": body(lambda document: json.dumps(document)[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}"),
    "not UTF-8": body(lambda document: json.dumps(document).encode("utf-16")),
    "packed": body(lambda document: packed(json.dumps(document).encode()), content_encoding="gzip"),
    "a bomb": body(lambda document: packed(json.dumps(document).encode() + b" " * 50_000_000), content_encoding="gzip"),
    "endless": endless,
    "cut": cut,
    "drip": drip,
    "silent": silent,
    "hang up": hang_up,
}


class Authority:
    """A certificate authority that no machine knows."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certificate("authority", self.key.public_key(), ca=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _certificate(self, name, public, ca=False, names=("localhost", "127.0.0.1"), days=2):
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if ca else self.certificate.subject
        start, end = sorted([now - datetime.timedelta(days=1 if days > 0 else 9), now + datetime.timedelta(days=days)])
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )  # fmt: skip
        if not ca:
            of = lambda name: x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)  # noqa: E731
            builder = builder.add_extension(x509.SubjectAlternativeName([of(name) for name in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, stem="server", **more):
        """A context for servers with a certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(stem, key.public_key(), **more)
        file = self.folder / f"{stem}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class ForwardProxy:
    """Takes `CONNECT` from whoever has the password, and nothing else."""

    def __init__(self, user="gate", password="hunter2"):
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.asked = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := client.recv(4096)):
                    return
                head += more
            lines = head.decode().split("\r\n")
            method, target, _ = lines[0].split(" ")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            self.asked.append((method, target))
            if method != "CONNECT" or fields.get("proxy-authorization") != self.expected:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            host, port = target.rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                relay(client, server)

    def stop(self):
        self.socket.close()


def relay(one, other):
    while True:
        readable, _, _ = select.select([one, other], [], [], 30)
        for source in readable:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
        if not readable:
            return

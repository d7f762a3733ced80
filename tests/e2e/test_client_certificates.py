"""Certificates of callers: who may connect, what policies and upstreams know of them, and for how long."""

import datetime
import json
import socket
import ssl
import subprocess
import time

import pytest
import yaml
from cryptography.x509.oid import ExtendedKeyUsageOID

from authority import Authority, named, now
from origin import Issuer, Origin
from portcullis import Portcullis, run, wait_until
from test_gate import CERTIFICATE
from test_reload import degraded
from test_streams import Events
from wire import Http2, connect, head_end, status

SPIFFE = "spiffe://example.org/api"
SCHEMA = """
namespace Pets {
  entity User;
  entity Application;
  type Certificate = {
    subject: String, dns: Set<String>, uris: Set<String>, emails: Set<String>, ips: Set<String>,
    fingerprint: String, serial: String,
  };
  type Context = { certificate?: Certificate };
  action "api", "bare" appliesTo { principal: User, resource: Application, context: Context };
  action "strict" appliesTo { principal: User, resource: Application, context: { certificate: Certificate } };
}
"""
POLICIES = f"""
@id("api") permit (principal, action == Pets::Action::"api", resource)
when {{ context has certificate && context.certificate.uris.contains("{SPIFFE}") }};
@id("bare") permit (principal, action == Pets::Action::"bare", resource) unless {{ context has certificate }};
@id("strict") permit (principal, action == Pets::Action::"strict", resource);
"""
TOLD = {f"x-{name}": f"{{certificate.{name}}}" for name in ("subject", "dns", "uris", "emails", "ips", "fingerprint", "serial")}
# What a caller or a proxy might say of a certificate, in more than one spelling.
FORGED = ["x-subject", "X_Subject", "x-fingerprint", "X-Forwarded-Client-Cert", "X_Forwarded_Client_Cert", "Client-Cert",
          "X-SSL-Client-Verify", "ssl-client-subject-dn", "X-Client-Cert", "X-Amzn-Mtls-Clientcert"]  # fmt: skip


def route(path, action, issuer):
    return {
        "match": {"path": path}, "authenticate": {"bearer": {"issuers": ["remote"]}},
        "authorize": {"policies": "pets", "action": action}, "upstream": {"to": "origin", "headers": TOLD},
    }  # fmt: skip


class Gate:
    """With a listener for each mode, and one that asks nobody."""

    def __init__(self, folder, origin, events, issuer, ca, limits=None, **clients):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*CERTIFICATE, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)
        (folder / "tls.key").chmod(0o600)
        (folder / "pets").mkdir(exist_ok=True)
        (folder / "pets/pets.cedar").write_text(POLICIES)
        (folder / "pets/pets.cedarschema").write_text(SCHEMA)
        (folder / "ca.crt").write_bytes(ca.file.read_bytes())
        own = [{"cert": "tls.crt", "key": "tls.key"}]
        asks = lambda mode: {"certificates": own, "client_certificates": {"ca": ["ca.crt"], "mode": mode, **clients}}  # noqa: E731
        open_ = {"authenticate": "none", "authorize": "none"}
        self.settings = {
            "listeners": [
                {"address": "127.0.0.1:0", "tls": tls}
                for tls in (asks("required"), asks("optional"), {"certificates": own})
            ],
            "admin": {"address": "127.0.0.1:0"},
            "log": {"decisions": "decisions.jsonl"},
            "limits": limits or {},
            "issuers": {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}},
            "policies": {"pets": {"path": "pets", "principal": "Pets::User"}},
            "upstreams": {"origin": {"servers": [origin.url]}, "events": {"servers": [events.url]}},
            "routes": [
                {"match": {"path": "/open"}, **open_, "upstream": {"to": "origin", "headers": {**TOLD, "x-fixed": "yes"}}},
                {"match": {"path": "/events"}, **open_, "upstream": {"to": "events"}},
                *(route(f"/{action}", action, issuer) for action in ("api", "bare", "strict")),
            ],
        }  # fmt: skip
        self.file = folder / "portcullis.yaml"
        self.write()
        self.gate = Portcullis(folder, command=["serve", "--config", self.file])
        self.required, self.optional, self.plain = (int(listen.rsplit(":", 1)[1]) for listen in self.gate.listeners)

    def write(self):
        self.file.write_text(yaml.safe_dump(self.settings))

    def put(self, name, content):
        """A file anew, all at once."""
        (self.folder / "draft").write_bytes(content)
        (self.folder / "draft").rename(self.folder / name)

    def reloads(self, result="success"):
        line = f'portcullis_reloads_total{{result="{result}"}} '
        return sum(int(text.removeprefix(line)) for text in self.gate.metrics().splitlines() if text.startswith(line))

    def reload(self, change, result="success"):
        before = self.reloads(result)
        change()
        wait_until(lambda: self.reloads(result) > before, f"a reload: {result}")

    def records(self):
        text = (self.folder / "decisions.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def stop(self):
        if self.gate.process.poll() is None:
            self.gate.stop()


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    """What stands around gates: services, an authority, and callers that it vouches for."""
    folder = tmp_path_factory.mktemp("authority")
    found = {"origin": Origin(), "events": Events(), "issuer": Issuer()}
    found["ca"] = ca = Authority(folder)
    subject = named(country="DE", organization="Pets, Inc.", common="api")
    found["api"] = ca.issue(
        "api", subject, dns=["API.example.org", "b.example.org"], uris=[SPIFFE], emails=["ops@example.org"], ips=["192.0.2.7", "2001:db8::7"]
    )
    found["other"] = ca.issue("other", uris=["spiffe://example.org/other"])
    yield found
    for name in ("origin", "events", "issuer"):
        found[name].stop()


@pytest.fixture(scope="module")
def gate(around, tmp_path_factory):
    gate = start(around, tmp_path_factory.mktemp("callers") / "data")
    wait_until(lambda: ask(gate.optional, "/bare", token=around["issuer"].token())[0] == 200, "the keys are fetched")
    yield gate
    gate.stop()


@pytest.fixture
def own(around, tmp_path):
    """A gate for one test alone."""
    started = []

    def make(**more):
        started.append(start(around, tmp_path / "data", **more))
        return started[-1]

    yield make
    for gate in started:
        gate.stop()


def start(around, folder, ca=None, **more):
    return Gate(folder, around["origin"], around["events"], around["issuer"], ca or around["ca"], **more)


def fields(token=None, *more):
    bearer = [("authorization", f"Bearer {token}")] if token else []
    return [*bearer, *more]


def request(path, pairs, close=True):
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*pairs, *([("Connection", "close")] if close else [])])
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def answer(connection):
    """Status, header fields and body of one answer; the status is `None` where there is none."""
    data = b""
    try:
        while head_end(data) is None and (more := connection.recv(65536)):
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[1:]
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(found.get("content-length", 0)) and (more := connection.recv(65536)):
            body += more
    except (ConnectionResetError, ssl.SSLEOFError):
        return None, {}, b""
    return status(data), found, body


def ask(port, path, certificate=None, token=None, more=(), version="1"):
    """The status, and what the origin saw of the request, of one on a connection of its own."""
    pairs = fields(token, *more)
    if version == "2":
        with Http2(port, True, certificate=certificate and certificate.file) as connection:
            pairs = [(name.lower().encode(), value.encode()) for name, value in pairs]
            stream = connection.request(pairs, path=path.encode())
            found, body = connection.answer(stream), connection.bodies.get(stream, b"")
    else:
        with connect(port, True, ["http/1.1"], certificate=certificate and certificate.file) as connection:
            connection.sendall(request(path, pairs))
            found, _, body = answer(connection)
    return found, told(body) if found == 200 else body


def told(body):
    return {name: value for name, value in json.loads(body)["headers"]}


def refused(port, certificate=None, version=None):
    """Whether no request is answered: the alert that ends the connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate.file)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(request("/open", []))
                # On TLS 1.3 a client hears of it only now.
                found = connection.recv(65536)
                assert status(found) == 200, found
                return None
        except ssl.SSLError as error:
            return error.reason
        except (ConnectionResetError, BrokenPipeError):
            return "RESET"


VERSIONS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
VERSION = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
HTTP = pytest.mark.parametrize("http", ["1", "2"])


# Who may connect


@VERSION
def test_without_a_certificate_nobody_connects_where_one_is_required(gate, around, version):
    alert = refused(gate.required, version=version)
    assert alert and ("CERTIFICATE_REQUIRED" in alert or "HANDSHAKE_FAILURE" in alert), alert
    assert refused(gate.required, around["api"], version) is None
    assert refused(gate.optional, version=version) is None
    assert refused(gate.optional, around["api"], version) is None


def bad(around):
    """Callers by what is wrong with them, and the alert they get."""
    ca, hour = around["ca"], datetime.timedelta(hours=1)
    strange = Authority(ca.folder / "strange", "strange")
    # Of the same name, with another key.
    impostor = Authority(ca.folder / "impostor")
    return {
        "of a stranger": (strange.issue("s", uris=[SPIFFE]), "UNKNOWN_CA"),
        "of an impostor": (impostor.issue("i", uris=[SPIFFE]), "DECRYPT_ERROR UNKNOWN_CA BAD_CERTIFICATE"),
        "self-signed": (ca.issue("alone", uris=[SPIFFE], alone=True), "UNKNOWN_CA"),
        "expired": (ca.issue("expired", start=now() - 2 * hour, end=now() - hour), "CERTIFICATE_EXPIRED"),
        "of tomorrow": (ca.issue("early", start=now() + hour, end=now() + 2 * hour), "CERTIFICATE_EXPIRED BAD_CERTIFICATE"),
        "a server's": (ca.issue("server", usage=ExtendedKeyUsageOID.SERVER_AUTH), "UNSUPPORTED_CERTIFICATE BAD_CERTIFICATE"),
        "with a name that is no text": (ca.issue("odd", uris=["spiffe://example.org/\0"]), "BAD_CERTIFICATE"),
    }


@VERSION
def test_a_certificate_that_is_shown_must_be_good(gate, around, version):
    for kind, (caller, alerts) in bad(around).items():
        for port in (gate.required, gate.optional):
            alert = refused(port, caller, version)
            assert alert and any(name in alert for name in alerts.split()), (kind, alert)
        assert refused(gate.plain, caller, version) is None, "nobody is asked there"
    # Nothing of it has hurt the process.
    assert refused(gate.required, around["api"], version) is None
    assert "panic" not in gate.gate.log.read_text()


def test_only_an_authority_vouches_for_another(gate, around):
    between = Authority(around["ca"].folder / "between", "between", above=around["ca"])
    assert refused(gate.required, between.issue("below")) is None
    caller = Authority(around["ca"].folder / "caller", "caller", above=around["ca"], ca=False)
    assert refused(gate.required, caller.issue("made up"))


# What is known of them


@HTTP
def test_upstreams_are_told_who_calls(gate, around, http):
    api = around["api"]
    found, seen = ask(gate.required, "/open", api, version=http)
    assert found == 200
    assert {name: seen.get(name) for name in TOLD} == {
        "x-subject": "CN=api,O=Pets\\, Inc.,C=DE", "x-dns": "api.example.org,b.example.org", "x-uris": SPIFFE,
        "x-emails": "ops@example.org", "x-ips": "192.0.2.7,2001:db8::7", "x-fingerprint": api.fingerprint,
        "x-serial": api.serial.to_bytes((api.serial.bit_length() + 7) // 8).hex(),
    }  # fmt: skip
    found, seen = ask(gate.required, "/open", around["other"], version=http)
    assert (found, seen.get("x-subject"), seen.get("x-dns")) == (200, "CN=other", None)
    for port in (gate.optional, gate.plain):
        found, seen = ask(port, "/open", version=http)
        assert found == 200 and not TOLD.keys() & seen.keys() and seen["x-fixed"] == "yes"


def test_a_subject_is_written_as_openssl_does(gate, around):
    subject = named(country="DE", organization='A "B" <C>; D+E\\F', unit=" # ", email="a@example.org", common="#api, Müller")
    caller = around["ca"].issue("written", subject)
    written = lambda *options: subprocess.run(  # noqa: E731
        ["openssl", "x509", "-in", caller.file, "-noout", "-subject", "-nameopt", *options], check=True, capture_output=True, text=True
    ).stdout.strip()
    expected = written("RFC2253,utf8,-esc_msb").removeprefix("subject=")
    assert ask(gate.required, "/open", caller)[1]["x-subject"].encode("latin-1").decode() == expected


@HTTP
def test_nobody_else_says_who_calls(gate, around, http):
    for name in FORGED:
        for port, caller in ((gate.required, around["other"]), (gate.optional, None), (gate.plain, None)):
            found, seen = ask(port, "/open", caller, more=[(name, "forged")], version=http)
            assert found == 200 and "forged" not in seen.values(), name


@HTTP
def test_policies_know_certificates(gate, around, http):
    token = around["issuer"].token()
    api, other = around["api"], around["other"]
    # Twice, so that what is remembered of one is there for another.
    for _ in range(2):
        for port, path, caller, expected in (
            (gate.required, "/api", api, 200),
            (gate.required, "/api", other, 403),
            (gate.optional, "/api", None, 403),
            (gate.optional, "/api", api, 200),
            (gate.plain, "/api", None, 403),
            (gate.optional, "/bare", None, 200),
            (gate.optional, "/bare", api, 403),
            (gate.optional, "/strict", other, 200),
            (gate.optional, "/strict", None, 403),
        ):
            found, body = ask(port, path, caller, token, version=http)
            assert found == expected, (path, caller, body)
    # It proves no more than it says: without a token there is no caller.
    assert ask(gate.required, "/api", api, version=http)[0] == 401


def test_records_name_the_certificate(gate, around):
    path, start = "/strict", len(gate.records())
    token = around["issuer"].token()
    ask(gate.optional, path, None, token)
    ask(gate.optional, path, around["api"], token)

    def found():
        records = [record for record in gate.records()[start:] if record["path"] == path]
        return len(records) == 2 and records

    without, shown = wait_until(found, "two records")
    assert "certificate" not in without and without["code"] == "input_missing"
    assert shown["certificate"] == around["api"].fingerprint and shown["outcome"] == "allow"
    text = (gate.folder / "decisions.jsonl").read_text() + gate.gate.log.read_text()
    assert SPIFFE not in text and "ops@example.org" not in text


# For how long


class Kept:
    """A connection that is kept."""

    def __init__(self, port, certificate):
        self.socket = connect(port, True, ["http/1.1"], certificate=certificate and certificate.file)

    def ask(self, path="/open"):
        """Status, whether the connection goes on, and the code of a refusal."""
        self.socket.sendall(request(path, [], close=False))
        found, head, body = answer(self.socket)
        code = json.loads(body)["code"] if found != 200 and body else None
        return found, head.get("connection") != "close", code

    def is_over(self):
        return self.socket.recv(1) == b""


def test_authorities_are_replaced_by_a_reload(own, around, tmp_path):
    gate = own()
    api, next_ca = around["api"], Authority(tmp_path / "next", "next")
    newer = next_ca.issue("newer")
    kept, second = Kept(gate.required, api), Http2(gate.required, True, certificate=api.file)
    anonymous = Kept(gate.optional, None)
    events = connect(gate.required, True, ["http/1.1"], certificate=api.file)
    events.sendall(request("/events", []))
    assert b"data: first" in read_until(events, b"data: first")
    assert kept.ask()[0] == second.answer(second.request(path=b"/open")) == anonymous.ask()[0] == 200
    assert refused(gate.required, newer) == "TLSV1_ALERT_UNKNOWN_CA"

    # Both, as authorities are changed in practice: nobody is cut off.
    both = around["ca"].file.read_bytes() + next_ca.file.read_bytes()
    gate.reload(lambda: gate.put("ca.crt", both))
    assert refused(gate.required, newer) is None and refused(gate.required, api) is None
    assert kept.ask() == (200, True, None) and second.answer(second.request(path=b"/open")) == 200

    gate.reload(lambda: gate.put("ca.crt", next_ca.file.read_bytes()))
    assert refused(gate.required, api) == "TLSV1_ALERT_UNKNOWN_CA"
    assert refused(gate.required, newer) is None
    # What is open is held against it too.
    assert kept.ask() == (421, False, "certificate_outdated")
    assert kept.is_over()
    assert second.answer(second.request(path=b"/open")) == 421
    assert second.until(lambda: second.farewell is not None), "it is told to come back"
    assert read_until(events, b"0\r\n\r\n").endswith(b"0\r\n\r\n"), "a stream ends in its own way"
    assert anonymous.ask() == (200, True, None)
    wait_until(lambda: sum(one["code"] == "certificate_outdated" for one in gate.records()) == 3, "records")


def test_a_listener_begins_to_ask_at_a_reload(own, around):
    gate = own()
    kept = Kept(gate.optional, None)
    assert kept.ask()[0] == 200
    clients = gate.settings["listeners"][1]["tls"]["client_certificates"]
    clients["mode"] = "required"
    gate.reload(gate.write)
    assert degraded(gate.gate) == {}
    assert kept.ask() == (421, False, "certificate_outdated")
    assert refused(gate.optional)
    shown = Kept(gate.optional, around["api"])
    assert shown.ask()[0] == 200
    del gate.settings["listeners"][1]["tls"]["client_certificates"]
    gate.reload(gate.write)
    # Nobody vouches for it any more.
    assert shown.ask() == (421, False, "certificate_outdated")
    assert "x-subject" not in ask(gate.optional, "/open", around["api"])[1]


@pytest.mark.parametrize("content", [b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None], ids=["no PEM", "no certificate", "gone"])
def test_a_reload_with_bad_authorities_changes_nothing(own, around, content):
    gate = own()
    kept = Kept(gate.required, around["api"])
    assert kept.ask()[0] == 200

    def change():
        (gate.folder / "ca.crt").unlink() if content is None else gate.put("ca.crt", content)

    gate.reload(change, "failure")
    why = degraded(gate.gate)["settings"]
    assert "listeners[0].tls.client_certificates.ca[0]" in why and "ca.crt" in why
    assert kept.ask() == (200, True, None)
    assert refused(gate.required, around["api"]) is None and refused(gate.required)
    checked = run("check", "--config", gate.file)
    assert checked.returncode == 1 and "client_certificates.ca[0]: `" in checked.stdout
    gate.reload(lambda: gate.put("ca.crt", around["ca"].file.read_bytes()))
    wait_until(lambda: degraded(gate.gate) == {}, "all is well again")


def test_the_revoked_are_refused(own, around):
    ca = around["ca"]
    stays, goes = ca.issue("stays"), ca.issue("goes")
    gate = own(crl=[str(ca.revoke("revoked"))])
    staying, going = Kept(gate.required, stays), Kept(gate.required, goes)
    assert staying.ask()[0] == going.ask()[0] == 200
    gate.reload(lambda: ca.revoke("revoked", goes))
    assert "REVOKED" in refused(gate.required, goes) and refused(gate.required, stays) is None
    assert staying.ask() == (200, True, None)
    assert going.ask() == (421, False, "certificate_outdated")
    # A list that is out of date says nothing of anybody.
    gate.reload(lambda: ca.revoke("revoked", days=-1))
    assert refused(gate.required, stays)
    assert staying.ask() == (421, False, "certificate_outdated")


def test_a_certificate_ends_while_its_connection_is_open(own, around):
    gate = own()
    end = datetime.datetime.fromtimestamp(int(time.time()) + 3, datetime.timezone.utc)
    short = around["ca"].issue("short", end=end)
    kept, second = Kept(gate.required, short), Http2(gate.optional, True, certificate=short.file)
    events = Http2(gate.required, True, certificate=short.file)
    stream = events.request(path=b"/events")
    assert events.until(lambda: b"first" in events.bodies.get(stream, b""))
    answers = []

    def ends():
        answers.append((time.time(), kept.ask()))
        return answers[-1][1][0] != 200

    wait_until(ends, "the end of the certificate")
    # All of its last second is part of it.
    assert time.time() >= end.timestamp() + 1 and answers[-2][0] >= end.timestamp()
    assert answers[-1][1] == (421, False, "certificate_outdated")
    assert second.answer(second.request(path=b"/open")) == 421
    assert events.until(lambda: stream in events.ended) and stream not in events.reset
    assert refused(gate.required, short) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    wait_until(lambda: 'streams_ended_total{cause="permission"} 1' in gate.gate.metrics(), "its count")


@HTTP
def test_callers_are_sent_away_before_their_certificates_end(own, around, http):
    gate = own(limits={"header_seconds": 2})
    end = datetime.datetime.fromtimestamp(int(time.time()) + 8, datetime.timezone.utc)
    short = around["ca"].issue("short", end=end)
    if http == "1":
        kept = Kept(gate.required, short)

        def left():
            found, goes_on, _ = kept.ask()
            assert found == 200
            return not goes_on
    else:
        kept = Http2(gate.required, True, certificate=short.file)

        def left():
            assert kept.answer(kept.request(path=b"/open")) == 200
            return kept.farewell is not None

    wait_until(left, "a farewell with an answer that is good", within=12)
    assert end.timestamp() - 4 < time.time() < end.timestamp() + 1


def read_until(connection, mark):
    data = b""
    while mark not in data and (more := connection.recv(65536)):
        data += more
    return data


# Sessions that are resumed have the certificate of another handshake.


def sessions(port, certificate, version):
    """Whether a second connection resumed the session of the first."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate.file)
    session, reused = None, None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
                connection.sendall(request("/open", []))
                assert answer(connection)[0] == 200
                session, reused = connection.session, connection.session_reused
    return reused


@VERSION
def test_sessions_are_not_resumed_where_certificates_are_asked_for(gate, around, version):
    assert sessions(gate.plain, None, version), "this is how it would look"
    for port, caller in ((gate.required, around["api"]), (gate.optional, around["api"]), (gate.optional, None)):
        assert not sessions(port, caller, version)


# What can have no effect


def test_settings_that_ask_for_certificates_in_vain_are_told(own, around, tmp_path):
    gate = own()
    for listener in gate.settings["listeners"]:
        listener["tls"].pop("client_certificates", None)
    gate.write()
    checked = run("check", "--config", gate.file)
    assert checked.returncode == 1
    assert "routes[0].upstream.headers.x-subject: no listener asks for certificates" in checked.stdout
    for one in gate.settings["routes"]:
        one["upstream"].pop("headers", None)
    gate.write()
    checked = run("check", "--config", gate.file)
    assert checked.returncode == 1
    for place in ("routes[2].authorize", "routes[4].authorize"):
        assert f"{place}: nobody can ever be permitted" in checked.stdout, checked.stdout
    assert "for which no listener asks" in checked.stdout and "requires `context.certificate`" in checked.stdout

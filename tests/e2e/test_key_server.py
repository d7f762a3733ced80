"""An issuer whose key server has faults: what was known stays in force, and nothing else is believed."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from keyserver import FAULTS, Authority, ForwardProxy, KeyServer
from origin import Origin, jwk
from portcullis import Portcullis, wait_until


class World:
    """A gate in front of an origin, for tokens of one key server."""

    def __init__(self, folder, server, ready=True, env=None, **issuer):
        self.folder, self.server, self.origin = folder, server, Origin()
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "portcullis.yaml"
        self.issuer = {"kind": "cognito", "issuer": server.issuer, "clients": ["app"]} | issuer
        self.write()
        self.gate = Portcullis(folder, command=["serve", "--config", self.file], env=env)

    def write(self):
        self.file.write_text(yaml.safe_dump({
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "data": "kept",
            "issuers": {"company": self.issuer},
            "upstreams": {"origin": {"servers": [self.origin.url]}},
            "routes": [{
                "match": {"path": "/me"}, "authenticate": {"bearer": {"issuers": ["company"]}},
                "authorize": "authenticated", "upstream": {"to": "origin"},
            }],
        }))  # fmt: skip

    def get(self, token=None):
        return self.gate.get("/me", token or self.server.token())

    def recovers(self):
        """Alone: no request but these."""
        return wait_until(lambda: self.get().status_code == 200, "the keys are loaded", within=30)

    def view(self):
        return requests.get(f"{self.gate.admin_url}/issuers", timeout=5).json()[0]

    def degraded(self):
        found = self.gate.readyz().json()["degraded"]
        return next((entry["why"] for entry in found if entry["what"] == "issuers.company"), None)

    def unknown(self, number=0):
        """A token of the issuer's own making, under a name that its key set lacks: the gate looks for it."""
        return self.server.token(f"unknown{number}", self.server.keys["rsa"])

    def stop(self):
        self.gate.stop()
        self.server.stop()
        self.origin.stop()


@pytest.fixture
def world(tmp_path):
    worlds = []

    def make(server=None, **more):
        worlds.append(World(tmp_path / f"world{len(worlds)}", server or KeyServer(), **more))
        return worlds[-1]

    yield make
    for world in worlds:
        world.stop()


# Faults


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_the_start_stops_only_until_it_is_over(world, name):
    server = KeyServer(FAULTS[name])
    this = world(server)
    why = wait_until(lambda: (why := this.degraded()) and "never been loaded: " in why and why, "the fault is told", within=15)
    assert server.url in why or "keys" in why
    refused = this.get()
    assert (refused.status_code, refused.json()["code"]) == (503, "keys_unavailable")
    assert refused.headers["retry-after"] and "www-authenticate" not in refused.headers
    view = this.view()
    assert (view["loaded"], view["keys"], view["age_seconds"]) == (False, [], None)
    assert view["last_error"] and view["fetches"]["succeeded"] == 0
    assert server.elsewhere == 0, "a redirect was followed"
    server.fault = None
    this.recovers()
    assert this.degraded() is None


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_later_changes_nothing_that_was_known(world, name):
    server = KeyServer()
    this = world(server)
    this.recovers()
    server.fault = FAULTS[name]
    before = len(server.asked)
    refused = this.get(this.unknown())
    assert (refused.status_code, refused.json()["code"]) == (401, "key_unknown")
    assert len(server.asked) > before, "nothing was fetched, so nothing is shown"
    assert this.get().status_code == 200, "a token that was not seen before"
    assert {key["kid"] for key in this.view()["keys"]} == {"rsa", "ec"}
    assert "its last good keys are in use: " in this.degraded()
    assert server.elsewhere == 0, "a redirect was followed"


@pytest.mark.parametrize("name", ["status 500", "html", "drip", "a secret key"])
def test_a_restart_during_an_outage_begins_with_the_keys_on_disk(world, name):
    server = KeyServer()
    this = world(server)
    this.recovers()
    this.gate.stop()
    server.fault = FAULTS[name]
    this.gate.start()
    assert this.get().status_code == 200
    assert this.view()["loaded"]
    wait_until(lambda: "last good keys are in use" in (this.degraded() or ""), "the outage is told", within=15)
    assert this.get(server.token("rsa", rsa.generate_private_key(65537, 2048))).status_code == 401


def test_a_server_that_is_gone_stops_nobody(world):
    server = KeyServer()
    this = world(server)
    this.recovers()
    server.stop()
    this.gate.stop()
    this.gate.start()
    assert this.get().status_code == 200
    wait_until(lambda: "no answer from" in (this.degraded() or ""), "the outage is told", within=15)


def test_keys_on_disk_are_for_the_issuer_they_came_from(world, tmp_path):
    first = world()
    first.recovers()
    first.gate.stop()
    kept = first.folder / "kept" / "keys" / "company.json"
    other = KeyServer(FAULTS["status 500"])
    this = world(other)
    this.gate.stop()
    (this.folder / "kept" / "keys").mkdir(parents=True)
    (this.folder / "kept" / "keys" / "company.json").write_bytes(kept.read_bytes())
    this.gate.start()
    assert this.get(other.token("rsa", first.server.keys["rsa"])).status_code == 503
    assert "fetched for other settings" in this.degraded()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"source": {}, "set": {"keys": []}}'])
def test_damaged_keys_on_disk_are_told_and_replaced(world, content):
    server = KeyServer()
    this = world(server)
    this.recovers()
    this.gate.stop()
    (this.folder / "kept" / "keys" / "company.json").write_bytes(content)
    server.fault = FAULTS["status 500"]
    this.gate.start()
    assert this.get().status_code == 503
    assert "company.json" in this.degraded() and this.gate.readyz().status_code == 200
    server.fault = None
    this.recovers()
    assert this.degraded() is None
    assert json.loads((this.folder / "kept" / "keys" / "company.json").read_text())["set"]["keys"]


def test_a_disk_that_cannot_keep_keys_is_told(world):
    server = KeyServer(FAULTS["status 500"])
    this = world(server)
    (this.folder / "kept").mkdir()
    (this.folder / "kept" / "keys").write_text("in the way")
    server.fault = None
    this.recovers()
    assert "the next start has no keys of it" in this.degraded() and "cannot be written" in this.degraded()
    assert "cannot be written" in this.view()["kept_error"]


# How often


@pytest.mark.parametrize("fault", [None, "status 500", "html"])
def test_a_thousand_unknown_keys_are_one_fetch(world, fault):
    server = KeyServer()
    this = world(server)
    this.recovers()
    server.fault = fault and FAULTS[fault]
    before, started = len(server.asked), time.monotonic()
    tokens = [this.unknown(number) for number in range(1000)]
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(this.get, tokens))
    took = time.monotonic() - started
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "key_unknown")}
    assert 1 <= len(server.asked) - before <= 1 + took // 10, "one in 10 s"
    times = server.asked[before:]
    assert all(later - earlier > 9.9 for earlier, later in zip(times, times[1:]))
    assert this.get().status_code == 200


def test_those_who_wait_for_a_slow_fetch_hold_nobody_up(world):
    server = KeyServer()
    this = world(server)
    this.recovers()
    server.fault = FAULTS["silent"]
    slow = [threading.Thread(target=this.get, args=(this.unknown(number),)) for number in range(20)]
    for thread in slow:
        thread.start()
    wait_until(lambda: len(server.asked) >= 2, "the fetch is under way")
    started = time.monotonic()
    for _ in range(20):
        assert this.get().status_code == 200
    assert time.monotonic() - started < 3
    for thread in slow:
        thread.join(20)
        assert not thread.is_alive()


# What a set may hold


def test_a_rotation_is_followed_at_the_first_token(world):
    server = KeyServer()
    this = world(server)
    this.recovers()
    old = server.token()
    server.keys = {"new": rsa.generate_private_key(65537, 2048)}
    assert this.get(server.token("new")).status_code == 200
    assert this.get(old).status_code == 401, "the old key is gone"
    assert [key["kid"] for key in this.view()["keys"]] == ["new"]


def test_two_keys_of_one_name_both_count(world):
    server = KeyServer()
    other = rsa.generate_private_key(65537, 2048)
    server.extra = [jwk("rsa", other), jwk("ec", other)]
    this = world(server)
    this.recovers()
    for kid, key in [("rsa", server.keys["rsa"]), ("rsa", other), ("ec", server.keys["ec"]), ("ec", other)]:
        assert this.get(server.token(kid, key)).status_code == 200, kid
    mine = rsa.generate_private_key(65537, 2048)
    assert this.get(server.token("rsa", mine)).json()["code"] == "signature_invalid"


def test_keys_without_a_name_are_used(world):
    server = KeyServer()
    server.extra = [{name: value for name, value in key.items() if name != "kid"} for key in server.document()["keys"]]
    named, server.keys = server.keys, {}
    this = world(server)
    wait_until(lambda: this.get(server.token("rsa", named["rsa"])).status_code == 200, "the keys are loaded")
    assert this.get(server.token("ec", named["ec"])).status_code == 200
    assert [key["kid"] for key in this.view()["keys"]] == [None, None]
    mine = rsa.generate_private_key(65537, 2048)
    assert this.get(server.token("rsa", mine)).status_code == 401


def test_keys_that_cannot_be_used_spoil_no_others(world):
    server = KeyServer()
    server.extra = [
        1, None, "key", [], {}, {"kty": "oct", "k": "AAAA", "kid": "rsa"}, {"kty": "new"}, {"kty": "RSA", "n": 1, "e": {}},
        jwk("small", rsa.generate_private_key(65537, 1024)), jwk("enc", server.keys["rsa"]) | {"use": "enc"},
    ]  # fmt: skip
    this = world(server)
    this.recovers()
    assert {key["kid"] for key in this.view()["keys"]} == {"rsa", "ec"}


def test_operators_see_how_an_issuer_stands(world):
    server = KeyServer()
    bare = {name: value for name, value in jwk("bare", server.keys["rsa"]).items() if name != "alg"}
    server.extra = [bare]
    this = world(server)
    this.recovers()
    view = this.view()
    assert view["keys"] == [
        {"kid": "rsa", "algorithms": ["RS256"]},
        {"kid": "ec", "algorithms": ["ES256"]},
        {"kid": "bare", "algorithms": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]},
    ]
    assert (view["name"], view["issuer"], view["embedded"], view["loaded"]) == ("company", server.issuer, False, True)
    assert 0 <= view["age_seconds"] < 60 and 200 < view["next_refresh_seconds"] <= 300
    assert (view["last_error"], view["kept_error"], view["fetches"]) == (None, None, {"succeeded": 1, "failed": 0})


# The way there


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_a_certificate_of_an_unknown_authority_is_refused(world, authority):
    this = world(KeyServer(tls=authority.server()))
    wait_until(lambda: "never been loaded" in (this.degraded() or ""), "the fault is told")
    assert this.get().status_code == 503 and this.server.asked == []


def test_a_private_authority_vouches_for_the_issuer(world, authority):
    this = world(KeyServer(tls=authority.server()), fetch={"ca": str(authority.file)})
    this.recovers()


@pytest.mark.parametrize("certificate", [{"names": ("other.example.com",)}, {"days": -1}], ids=["name", "expired"])
def test_a_private_authority_does_not_make_certificates_fit(world, authority, certificate):
    this = world(KeyServer(tls=authority.server("unfit", **certificate)), fetch={"ca": str(authority.file)})
    wait_until(lambda: "never been loaded" in (this.degraded() or ""), "the fault is told")
    assert this.get().status_code == 503 and this.server.asked == []


def test_an_authority_that_is_replaced_counts_without_a_restart(world, authority, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority(other).file.read_bytes())
    this = world(KeyServer(tls=authority.server()), fetch={"ca": str(ca)})
    wait_until(lambda: "never been loaded" in (this.degraded() or ""), "the fault is told")
    ca.write_bytes(authority.file.read_bytes())
    this.recovers()
    ca.write_bytes((other / "authority.pem").read_bytes())
    wait_until(lambda: "last good keys are in use" in (this.degraded() or ""), "the other authority is in force")
    assert this.get().status_code == 200, "keys that were known stay in force"


def test_a_forward_proxy_is_asked_with_its_password(world, authority, tmp_path):
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    password.chmod(0o600)
    proxy = ForwardProxy()
    way = {"ca": str(authority.file), "proxy": {"url": proxy.url, "user": "gate", "password": {"file": str(password)}}}
    this = world(KeyServer(tls=authority.server()), fetch=way)
    this.recovers()
    assert set(proxy.asked) == {("CONNECT", f"localhost:{this.server.port}")}
    for page in ("config", "issuers", "readyz", "routes"):
        assert "hunter2" not in requests.get(f"{this.gate.admin_url}/{page}", timeout=5).text
    assert "hunter2" not in this.gate.log.read_text()
    proxy.stop()


def test_a_proxy_that_refuses_is_told_without_the_password(world, authority, tmp_path):
    password = tmp_path / "password"
    password.write_text("guessed-wrong\n")
    password.chmod(0o600)
    proxy = ForwardProxy()
    way = {"ca": str(authority.file), "proxy": {"url": proxy.url, "user": "gate", "password": {"file": str(password)}}}
    this = world(KeyServer(tls=authority.server()), fetch=way)
    wait_until(lambda: "never been loaded" in (this.degraded() or ""), "the fault is told")
    assert this.get().status_code == 503 and this.server.asked == []
    assert "guessed-wrong" not in this.gate.log.read_text() + this.degraded()
    password.write_text("hunter2\n")
    this.recovers()
    proxy.stop()


def test_the_environment_names_no_proxy(world, authority):
    nowhere = "http://127.0.0.1:9"
    names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    this = world(
        KeyServer(tls=authority.server()), fetch={"ca": str(authority.file)}, env=dict.fromkeys(names, nowhere)
    )
    this.recovers()

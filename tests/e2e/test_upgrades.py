"""Upgrades: a new process takes the place of one that serves, and no caller notices."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
import yaml

import portcullis
import served
from origin import Issuer, Origin
from portcullis import PASSWORD, Portcullis, Writers, sdk, wait_until

# `make soak-upgrades` asks for many.
UPGRADES = int(os.environ.get("UPGRADES", 4))
RELOADS = int(os.environ.get("RELOADS", 4))
ANSWERS = int(os.environ.get("ANSWERS", 50))
# Seconds without an answer to anybody; a machine that runs tests stands still at times.
GAP = float(os.environ.get("GAP", 2))


class Chain:
    """A gate and its successors: the one that serves is the last."""

    def __init__(self, folder, origin, binary=None, **more):
        self.folder, self.file = folder, folder / "portcullis.yaml"
        folder.mkdir()
        self.settings = {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "limits": {"drain_seconds": 3},
            "upstreams": {"origin": {"servers": [origin.url]}},
            "routes": [
                {"match": {"path": "/{rest*}"}, "authenticate": "none", "authorize": "none", "upstream": {"to": "origin"}}
            ],
        } | more  # fmt: skip
        self.write()
        self.gate = Portcullis(folder, command=["serve", "--config", self.file], binary=binary)
        self.pid = self.gate.process.pid
        self.read, self.said = 0, []
        self.admin_socket = listening_on(self.gate.admin)

    def write(self):
        self.file.write_text(yaml.safe_dump(self.settings))

    def announced(self):
        """The lines in which processes say where they listen; each line is whole, whichever process said it."""
        for line in self.gate.lines[self.read :]:
            self.read += 1
            if "listen" in (said := json.loads(line)):
                self.said.append(said)
        return self.said

    def upgrade(self):
        """Upgrades, and returns once the next process serves and the one before it has heard of that."""
        before, seen = self.pid, len(self.announced())
        os.kill(before, signal.SIGQUIT)
        line = wait_until(lambda: self.announced()[seen:], "a successor", within=30)[0]
        self.pid = line["pid"]
        wait_until(lambda: self.admin_socket not in sockets(before), "it is handed over", within=30)
        return line

    def log(self):
        return self.gate.log.read_text()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def end(self):
        for pid in {line["pid"] for line in self.announced()} | {self.gate.process.pid}:
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)
        self.gate.process.wait(10)


def is_there(pid):
    """Whether it runs; one that nobody has asked for its end yet does not."""
    with contextlib.suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:4]
    return False


def sockets(pid):
    """Inodes of a process's sockets (proc(5))."""
    found = set()
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(fd))
    return {name.removeprefix("socket:[").rstrip("]") for name in found if name.startswith("socket:[")}


def listening_on(address):
    """The inode of the socket that listens there, which stays the same in whichever process."""
    port = f":{int(address.rsplit(':', 1)[1]):04X}"
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return next(row[9] for row in table if row[3] == "0A" and row[1].endswith(port))


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.go.set()
    origin.stop()


@pytest.fixture
def chain(tmp_path, origin):
    chain = Chain(tmp_path / "gate", origin)
    yield chain
    chain.end()


class Callers:
    """Ask without a pause, each in a process of its own: one half on connections that are kept, one on a new one each time."""

    def __init__(self, address, count=4):
        # When each of them was answered.
        self.answers = [[] for _ in range(count)]
        self.failed, self.processes, self.threads = [], [], []
        for number in range(count):
            command = [sys.executable, Path(__file__).with_name("caller.py"), address, str(number % 2)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.processes.append(process)
            self.threads.append(threading.Thread(target=self._hear, args=(process, self.answers[number]), daemon=True))
            self.threads[-1].start()

    def _hear(self, process, answers):
        for line in process.stdout:
            when, failure = line.decode().rstrip("\n").split(" ", 1)
            if failure:
                self.failed.append(failure)
            else:
                answers.append(float(when))

    @property
    def answered(self):
        """When anybody was, in order."""
        return sorted(when for answers in self.answers for when in answers)

    def more(self, count=ANSWERS):
        """Waits until so many more are answered in all, and one of them to each."""
        seen = [len(answers) for answers in self.answers]

        def has_come():
            new = [len(answers) - before for answers, before in zip(self.answers, seen)]
            return sum(new) > count and min(new) > 0 or self.failed

        wait_until(has_come, "requests go on", within=60)

    def stop(self):
        for process in self.processes:
            process.stdin.close()
        for process, thread in zip(self.processes, self.threads):
            assert process.wait(30) == 0
            thread.join(30)

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait(10)

    def gaps(self):
        """Times without an answer to anybody, the longest first."""
        times = self.answered
        return sorted((later - earlier for earlier, later in zip(times, times[1:])), reverse=True)


@pytest.fixture
def fast_chain(tmp_path):
    """In front of an upstream that no test slows down."""
    answers = {"match": {"path": "/{rest*}"}, "authenticate": "none", "authorize": "none", "respond": {"body": "pets\n"}}
    upstream = served.serve(tmp_path / "upstream", None, routes=[answers])
    chain = Chain(tmp_path / "gate", upstream)
    yield chain
    chain.end()
    upstream.kill()


def test_upgrades_and_reloads_under_load_cost_nobody_an_answer(fast_chain):
    chain, callers = fast_chain, Callers(fast_chain.gate.listen)
    try:
        callers.more()
        first = chain.descriptors()
        for number in range(max(UPGRADES, RELOADS)):
            if number < UPGRADES:
                chain.upgrade()
                callers.more()
            if number < RELOADS:
                generation = chain.gate.readyz().json()["generation"]
                os.kill(chain.pid, signal.SIGHUP)
                wait_until(lambda: chain.gate.readyz().json()["generation"] > generation, "a new generation")
                callers.more()
        last = chain.descriptors()
        callers.stop()
    finally:
        callers.kill()
    longest = ", ".join(f"{gap * 1000:.0f}" for gap in callers.gaps()[:5])
    print(
        f"\n{UPGRADES} upgrades and {RELOADS} reloads: {len(callers.answered)} answers, {len(callers.failed)} failures, "
        f"the longest times without an answer {longest} ms, descriptors {first} at first and {last} at last"
    )
    assert callers.failed == []
    assert callers.gaps()[0] < GAP
    assert last < first + 20


def test_what_is_under_way_is_finished_by_the_one_who_began_it(chain, origin):
    with requests.get(chain.gate.url + "/stream", stream=True, timeout=30) as stream:
        pieces = stream.iter_content(None)
        assert next(pieces) == b"first"
        before = chain.pid
        chain.upgrade()
        assert chain.gate.get("/pets").status_code == 200
        assert is_there(before)
        origin.go.set()
        assert b"".join(pieces) == b"second"
    wait_until(lambda: not is_there(before), "it has ended")
    assert chain.gate.process.wait(10) == 0


def test_a_connection_that_waits_is_not_closed_under_its_request(chain):
    """It may send one the moment it is to end; the answer tells it that it was the last."""
    host, port = chain.gate.listen.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as silent:
        kept = http.client.HTTPConnection(host, int(port), timeout=20)
        kept.request("GET", "/pets")
        assert not kept.getresponse().read() == b""
        chain.upgrade()
        kept.request("GET", "/pets")
        answer = kept.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        silent.sendall(b"GET /pets HTTP/1.1\r\nHost: a\r\n\r\n")
        assert silent.recv(100).startswith(b"HTTP/1.1 200 ")


def test_one_that_cannot_serve_changes_nothing(chain):
    chain.settings["workers"] = "many"
    chain.write()
    os.kill(chain.pid, signal.SIGQUIT)
    wait_until(lambda: "The upgrade failed; this process stays" in chain.log(), "it is told")
    assert "workers" in chain.log()
    assert chain.gate.get("/pets").status_code == 200
    assert is_there(chain.pid) and len(chain.announced()) == 0
    del chain.settings["workers"]
    chain.write()
    chain.upgrade()
    assert chain.gate.get("/pets").status_code == 200


def test_a_process_serves_once_it_can(tmp_path, origin):
    """Until its keys are there, the one before it does; and so it goes on where the next one is told to end meanwhile."""
    issuer = Issuer()
    issuers = {"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}}
    authenticated = {"authenticate": {"bearer": {"issuers": ["remote"]}}, "authorize": "authenticated"}
    routes = [{"match": {"path": "/{rest*}"}, **authenticated, "upstream": {"to": "origin"}}]
    chain = Chain(tmp_path / "gate", origin, issuers=issuers, routes=routes, data=str(tmp_path / "gate/data"))
    bearer = {"authorization": f"Bearer {issuer.token()}"}
    get = lambda: requests.get(f"http://{chain.gate.listeners[0]}/pets", headers=bearer, timeout=10).status_code  # noqa: E731
    try:
        wait_until(lambda: get() == 200, "the keys are fetched")
        shutil.rmtree(tmp_path / "gate/data", ignore_errors=True)
        issuer.down = True
        asked = issuer.calls
        os.kill(chain.pid, signal.SIGQUIT)
        pid = json.loads(wait_until(lambda: [line for line in chain.log().splitlines() if '"Upgrading"' in line], "a successor")[-1])["pid"]
        wait_until(lambda: issuer.calls > asked, "it asks for keys")
        assert {get() for _ in range(50)} == {200}
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: "The upgrade failed; this process stays" in chain.log(), "it is told")
        assert get() == 200 and is_there(chain.pid)
        asked = issuer.calls
        os.kill(chain.pid, signal.SIGQUIT)
        wait_until(lambda: issuer.calls > asked, "the next one asks for keys")
        assert {get() for _ in range(50)} == {200}
        issuer.down = False
        wait_until(chain.announced, "it serves", within=30)
        assert {get() for _ in range(50)} == {200}
    finally:
        chain.end()
        issuer.stop()


POOL, CLIENT, OPERATOR = "us-east-1_Upgraded1", "upgraded", ("AKIAUPGRADES", "operator-secret-of-upgrades")


@pytest.fixture
def pools(tmp_path, origin):
    """A gate with pools on SQLite, and what it guards."""
    folder = tmp_path / "gate"
    pools = {
        "store": "sqlite:pools.db", "seal": {"file": "../seal.key"}, "public_url": "https://auth.example.test",
        "operators": [{"access_key_id": OPERATOR[0], "secret": {"file": "../operator.key"}, "pools": ["*"]}],
        "declare": [{"id": POOL, "name": "staff", "clients": [
            {"id": CLIENT, "name": "web", "flows": ["USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"]},
        ]}],
    }  # fmt: skip
    for name, secret in (("seal.key", "5e" * 32), ("operator.key", OPERATOR[1])):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    me = {"authenticate": {"bearer": {"issuers": ["staff"]}}, "authorize": "authenticated", "upstream": {"to": "origin"}}
    routes = [{"match": {"path": "/"}, "serve": "pools"}, {"match": {"path": "/me", "methods": ["GET"]}, **me}]
    chain = Chain(folder, origin, issuers={"staff": {"embedded": POOL}}, routes=routes, pools=pools, data=str(folder / "data"))
    yield chain
    chain.end()


def test_pools_on_sqlite_change_hands_without_a_loss(pools):
    """Both processes write the one file for the moment; what either has answered stands, and what it ended stays ended."""
    idp = sdk(pools.gate.url, *OPERATOR, read_timeout=30, max_pool_connections=32)

    def sign_in(name):
        idp.admin_create_user(UserPoolId=POOL, Username=name, MessageAction="SUPPRESS")
        idp.admin_set_user_password(UserPoolId=POOL, Username=name, Password=PASSWORD, Permanent=True)
        parameters = {"USERNAME": name, "PASSWORD": PASSWORD}
        answer = idp.initiate_auth(ClientId=CLIENT, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)
        return answer["AuthenticationResult"]["AccessToken"]

    stays, ends = sign_in("stays"), sign_in("ends")
    idp.global_sign_out(AccessToken=ends)
    writers = Writers([idp], POOL, count=3)
    try:
        for _ in range(3):
            writers.more(20)
            pools.upgrade()
            assert pools.gate.get("/me", stays).status_code == 200
            assert pools.gate.get("/me", ends).json()["code"] == "token_revoked"
        writers.more(20)
    finally:
        writers.stop()
    assert writers.failed == []
    for name, _ in writers.made:
        assert idp.admin_get_user(UserPoolId=POOL, Username=name)["Username"] == name


def test_listeners_change_with_an_upgrade(chain):
    """Of the same address they are handed on; others are opened, or closed."""
    first = chain.gate.listeners[0]
    chain.settings["listeners"].append({"address": "127.0.0.1:0"})
    chain.write()
    both = chain.upgrade()["listen"]
    assert both[0] == first and len(both) == 2
    for address in both:
        assert requests.get(f"http://{address}/pets", timeout=10).status_code == 200
    chain.settings["listeners"].pop()
    chain.write()
    assert chain.upgrade()["listen"] == [first]
    host, port = both[1].rsplit(":", 1)

    def is_closed():
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
            return False
        return True

    wait_until(is_closed, "the other is closed")


def test_the_binary_that_is_there_now_is_started(tmp_path, origin):
    link, other = tmp_path / "portcullis", tmp_path / "other"
    link.symlink_to(portcullis.BINARY)
    shutil.copy(portcullis.BINARY, other)
    chain = Chain(tmp_path / "gate", origin, binary=link)
    try:
        assert os.readlink(f"/proc/{chain.pid}/exe") == str(portcullis.BINARY.resolve())
        link.unlink()
        link.symlink_to(other)
        chain.upgrade()
        assert os.readlink(f"/proc/{chain.pid}/exe") == str(other)
    finally:
        chain.end()


def test_sigterm_ends_both(chain):
    """One that is not ready yet goes with the one that started it."""
    os.kill(chain.pid, signal.SIGQUIT)
    os.kill(chain.pid, signal.SIGTERM)
    assert chain.gate.process.wait(15) == 0
    for line in chain.announced():
        wait_until(lambda: not is_there(line["pid"]), "the successor has ended")


def test_nobody_upgrades_by_hand(chain):
    found = portcullis.run("serve", "--config", chain.file, "--upgrade")
    assert found.returncode == 1
    assert "is for a process that another one starts" in found.stderr

"""Every protocol on every kind of route, whatever happens to it in the middle. What held is told as a table at the run's end."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import ends
import served
import table
from keyserver import Authority
from line import PATIENCE, Broken
from protocols import CALLERS, ENDS, FINISHES, ORIGINS, PROTOCOLS, Cue, Over, Refused, Stage

POLICY = '@id("users") permit (principal in Pets::Group::"us-east-1_Remote001|readers", action, resource);'
SCHEMA = """
namespace Pets {
  entity Group;
  entity User in [Group];
  entity Application;
  action "use" appliesTo { principal: User, resource: Application };
}
"""
BEARER = {"bearer": {"issuers": ["remote"], "scopes": ["pets/read"]}}
KINDS = {
    "open": {"authenticate": "none", "authorize": "none"},
    "token": {"authenticate": BEARER, "authorize": "authenticated"},
    "policies": {"authenticate": {"bearer": {"issuers": ["remote"]}}, "authorize": {"policies": "pets", "action": "use"}},
}
# What callers are told who lack what a route asks for.
LACKS = {
    "open": {}, "token": {"401": "token_missing", "403": "scope_missing"},
    "policies": {"401": "token_missing", "403": "no_permit"},
}  # fmt: skip
AT_ONCE = 256


class Directed:
    """The origins, which do with an exchange what its test has said."""

    def __init__(self, authority):
        self.cues = {}
        self.servers = {
            name: ends.Server(self.handle, version, authority.server(name) if tls else None)
            for name, (version, tls) in ORIGINS.items()
        }  # fmt: skip

    def handle(self, exchange):
        serve, cue = self.cues[exchange.path.rsplit("/", 1)[1]]
        cue.seen.set()
        serve(exchange, cue)

    def stop(self):
        for server in self.servers.values():
            server.stop()


@pytest.fixture(scope="module")
def origins(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    origins = Directed(authority)
    origins.authority = authority
    yield origins
    origins.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, issuer, origins):
    """With a route of each kind to each origin, at `/<kind>/<origin>/`."""
    folder = tmp_path_factory.mktemp("protocols") / "gate"
    (folder / "pets").mkdir(parents=True)
    (folder / "pets/pets.cedar").write_text(POLICY)
    (folder / "pets/pets.cedarschema").write_text(SCHEMA)
    upstreams = {name: {"servers": [server.url]} for name, server in origins.servers.items()}
    upstreams["h2c"]["protocol"] = "http2"
    routes = [
        {"match": {"path": f"/{kind}/{name}/{{rest*}}"}, **terms, "upstream": {"to": name, "websocket": name in ("h1", "h1-tls")}}
        for kind, terms in KINDS.items() for name in upstreams
    ]  # fmt: skip
    with served.running(
        folder, None, routes, upstreams=upstreams, tokens={"leeway_seconds": 0},
        issuers={"remote": {"kind": "cognito", "issuer": issuer.issuer, "clients": ["app"]}},
        policies={"pets": {"path": "pets", "principal": "Pets::User", "group": "Pets::Group"}},
        # The authority's word counts for upstreams.
        env={"SSL_CERT_FILE": str(origins.authority.file)}, limits={"requests_per_client": 1000, "connections_per_client": 1000},
        log={"decisions": "none"},
    ) as gate:  # fmt: skip
        yield gate


@pytest.fixture(scope="module")
def stages(gate):
    """By who calls."""
    listeners = {False: served.ports(gate)["plain"][0], True: served.ports(gate)["tls"][0]}
    roots = (gate.data / "tls.crt").read_bytes()
    return {name: Stage(listeners[tls], version, tls, roots) for name, (version, tls) in CALLERS.items()}


class Tokens:
    """What callers have: tokens that are good, lack what routes ask for, or are soon over."""

    def __init__(self, issuer, seconds=8):
        self.over = int(time.time()) + seconds
        self.end = threading.Event()
        timer = threading.Timer(self.over + 0.3 - time.time(), self.end.set)
        timer.daemon = True
        timer.start()
        self.of = {
            "expired": issuer.token(exp=self.over), "401": None,
            "403": issuer.token(scope="other", **{"cognito:groups": []}),
        }  # fmt: skip
        self.good = issuer.token()

    def token(self, event):
        return self.of.get(event, self.good)


class Middle:
    """The middle of an exchange: what is to happen happens."""

    def __init__(self, event, cue, tokens, goes_on):
        self.event, self.cue, self.tokens, self.goes_on = event, cue, tokens, goes_on
        self.cue.end = event if event in ("closed", "reset") else None

    def __call__(self):
        if self.event == "expired":
            assert time.time() < self.tokens.over, "the machine is too slow for a token that lives so shortly"
            # The origin has it too.
            assert self.cue.seen.wait(PATIENCE)
            if not self.goes_on:
                return False
            self.tokens.end.wait(PATIENCE)
        self.cue.go.set()
        return True


numbers = iter(range(1, 10**9))


def play(protocol, stage, kind, name, event, origins, tokens):
    """One exchange, and what must come of it."""
    number, cue = str(next(numbers)), Cue()
    origins.cues[number] = (protocol.serve, cue)
    may = protocol.without_permission(name) if event == "expired" else {FINISHES}
    token = None if kind == "open" else tokens.token(event)
    try:
        told = protocol.ask(stage, f"/{kind}/{name}/{number}", token, Middle(event, cue, tokens, FINISHES in may))
    except (Refused, Over, Broken) as error:
        told = error
    finally:
        cue.go.set()
    if event in ("closed", "reset"):
        is_right = isinstance(told, Broken) if protocol.has_begun else said(told, 502, "upstream_invalid")
    elif event in LACKS[kind]:
        is_right = said(told, int(event), LACKS[kind][event])
        assert not cue.seen.is_set(), "it reached the origin"
    elif isinstance(told, (Over, Refused)) and protocol.over(told):
        is_right = ENDS in may
        assert time.time() < tokens.over + 3, "it ended late"
    else:
        is_right = told == protocol.expected and FINISHES in may
    assert is_right, repr(told)[:200]


def said(told, *what):
    return isinstance(told, Refused) and told.args == what


def play_all(names, events, stages, origins, tokens):
    """Exchanges of these protocols on all ways and kinds of routes at once; each of these events must come of one."""
    cells = [
        (name, kind, caller, upstream, event)
        for name in names for event in events for kind in KINDS for caller in PROTOCOLS[name][1] for upstream in PROTOCOLS[name][2]
        if kind != "open" or event in ("allowed", "closed", "reset")
    ]  # fmt: skip
    # One request's connection is that of others on HTTP/2, which end with it.
    is_alone = lambda cell: cell[4] in ("closed", "reset") and cell[3] != "h1"  # noqa: E731
    done = {}
    for number, some in ((AT_ONCE, [cell for cell in cells if not is_alone(cell)]), (1, list(filter(is_alone, cells)))):
        with ThreadPoolExecutor(number) as pool:
            for cell in some:
                name, kind, caller, upstream, event = cell
                done[cell] = pool.submit(play, PROTOCOLS[name][0], stages[caller], kind, upstream, event, origins, tokens)
    failed = []
    for (name, kind, caller, upstream, event), future in done.items():
        error = future.exception()
        table.note(name, kind, (caller, upstream), event, "FAILED" if error else "ok")
        if error:
            failed.append(f"{name}, {caller} → {upstream}, {kind}, {event}: {error!r}")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol(name, stages, origins, issuer):
    play_all([name], ["allowed", "401", "403", "closed", "reset"], stages, origins, Tokens(issuer))


def test_what_a_token_outlives(stages, origins, issuer):
    """All at once, as all of them wait for its end."""
    play_all(PROTOCOLS, ["expired"], stages, origins, Tokens(issuer))


@pytest.mark.xfail(strict=True, reason="Pingora hands callers on HTTP/2 no interim answer")
@pytest.mark.parametrize("caller, name", [("h2", "h1"), ("h2c", "h2c")])
def test_callers_on_http_2_are_told_to_go_on(stages, origins, caller, name):
    """RFC 9110 section 15.2; who expects it goes on by himself after a while."""

    def serve(exchange, cue):
        exchange.inform(100)
        exchange.answer(200)
        exchange.finish()

    number = str(next(numbers))
    origins.cues[number] = (serve, Cue())
    with contextlib.closing(stages[caller].open()) as exchange:
        exchange.ask("POST", f"/open/{name}/{number}", [("expect", "100-continue")], "unknown")
        assert exchange.await_interim() == 100

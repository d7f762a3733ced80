"""Bodies of any size, in bounded memory: who reads slowly keeps who writes waiting, and the gate holds nothing for them."""

import contextlib
import os
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

import ends
import served
import table
from keyserver import Authority
from line import PATIENCE
from protocols import CALLERS, ORIGINS, USUAL

PIECE = os.urandom(65536)
MIB = 1 << 20
# `PORTCULLIS_LARGE=1` has bodies be a gibibyte.
LARGE = 1024 * MIB if os.environ.get("PORTCULLIS_LARGE") else 64 * MIB
# More than everybody's buffers hold: those of four sockets, and what of a body a gate may have in its hands.
STUCK, MOST_ON_THE_WAY = 32 * MIB, 20 * MIB
# What the gate may grow by, however large a body is, and for each exchange that is stuck.
MOST, MOST_EACH = 24 * MIB, 1 * MIB
WAYS = [(caller, origin) for caller in USUAL for origin in ORIGINS]


def send(exchange, length):
    for _ in range(length // len(PIECE)):
        exchange.send(PIECE)
    exchange.finish()


def check(length):
    """What `read` gives of so much."""
    crc = 0
    for _ in range(length // len(PIECE)):
        crc = zlib.crc32(PIECE, crc)
    return length, crc


def read(exchange):
    length, crc = 0, 0
    while piece := exchange.read():
        length, crc = length + len(piece), zlib.crc32(piece, crc)
    return length, crc


class Bulk:
    """Origins that give a body of the length that is asked for, or say of one that comes what it is, once they may read it."""

    def __init__(self, authority):
        self.exchanges, self.may_read = {}, threading.Event()
        self.may_read.set()
        self.servers = {
            name: ends.Server(self.handle, version, authority.server(name) if tls else None)
            for name, (version, tls) in ORIGINS.items()
        }  # fmt: skip

    def handle(self, exchange):
        self.exchanges[exchange.path] = exchange
        if exchange.method == "GET":
            exchange.answer(200)
            return send(exchange, int(exchange.field("x-length")))
        assert self.may_read.wait(PATIENCE)
        length, crc = read(exchange)
        exchange.answer(200)
        exchange.send(f"{length} {crc}".encode())
        exchange.finish()

    def stop(self):
        for server in self.servers.values():
            server.stop()


@pytest.fixture(scope="module")
def origins(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    origins = Bulk(authority)
    origins.authority = authority
    yield origins
    origins.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory, origins):
    upstreams = {name: {"servers": [server.url]} for name, server in origins.servers.items()}
    upstreams["h2c"]["protocol"] = "http2"
    routes = [{"match": {"path": f"/{name}/{{rest*}}"}, **served.OPEN, "upstream": {"to": name}} for name in upstreams]
    with served.running(
        tmp_path_factory.mktemp("flow") / "gate", None, routes, upstreams=upstreams, limits={"body_bytes": 2 * LARGE},
        env={"SSL_CERT_FILE": str(origins.authority.file)},
    ) as gate:  # fmt: skip
        yield gate


def call(gate, caller):
    version, tls = CALLERS[caller]
    return ends.call(served.ports(gate)["tls" if tls else "plain"][0], version, tls)


@contextlib.contextmanager
def bounded(gate, most):
    """The process must not grow by more in this block, at any time (proc(5), `VmHWM`)."""
    process = f"/proc/{gate.process.pid}"

    def peak():
        with open(f"{process}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    with open(f"{process}/clear_refs", "w") as peaks:
        peaks.write("5")
    before = peak()
    yield
    grown = peak() - before
    assert grown < most, f"it grew by {grown / MIB:.1f} MiB"


@pytest.mark.parametrize("caller, origin", [pytest.param(*way, id=" to ".join(way)) for way in WAYS])
def test_a_large_body_takes_no_more_memory_than_a_small_one(gate, caller, origin):
    for direction, run in {"download": download, "upload": upload}.items():
        with bounded(gate, MOST), contextlib.closing(call(gate, caller)) as exchange:
            assert run(exchange, origin, LARGE) == check(LARGE)
        table.note(f"{direction} of {LARGE // MIB} MiB", "open", (caller, origin), "allowed")


def download(exchange, origin, length):
    exchange.ask("GET", f"/{origin}/bulk", [("x-length", str(length))])
    assert exchange.head() == 200
    return read(exchange)


def upload(exchange, origin, length):
    exchange.ask("POST", f"/{origin}/bulk", length="unknown")
    send(exchange, length)
    assert exchange.head() == 200
    return tuple(int(word) for word in exchange.rest().split())


def until_stuck(exchange):
    """How much has been sent when nothing more is."""
    sent, since = 0, time.monotonic()
    end = since + PATIENCE
    while not sent or time.monotonic() - since < 0.7:
        assert time.monotonic() < end, "it goes on and on"
        if exchange.sent != sent:
            sent, since = exchange.sent, time.monotonic()
        time.sleep(0.01)
    return sent


def on_all_ways(test, what):
    with ThreadPoolExecutor(len(WAYS)) as pool:
        done = {way: pool.submit(test, *way) for way in WAYS}
    for way, future in done.items():
        table.note(what, "open", way, "allowed", "FAILED" if future.exception() else "ok")
    for future in done.values():
        future.result()


def test_who_reads_slowly_keeps_the_origin_waiting(gate, origins):
    def slow_reader(caller, origin):
        path = f"/{origin}/{caller}"
        with contextlib.closing(call(gate, caller)) as exchange:
            exchange.ask("GET", path, [("x-length", str(STUCK))])
            assert exchange.head() == 200
            assert until_stuck(origins.exchanges[path]) < MOST_ON_THE_WAY
            stuck.wait(PATIENCE)
            assert read(exchange) == check(STUCK)

    # All of them wait at once before any goes on.
    stuck = threading.Barrier(len(WAYS), timeout=PATIENCE)
    with bounded(gate, MOST + len(WAYS) * MOST_EACH):
        on_all_ways(slow_reader, "slow reader")


def test_an_origin_that_reads_slowly_keeps_its_caller_waiting(gate, origins):
    def slow_origin(caller, origin):
        with contextlib.closing(call(gate, caller)) as exchange:
            exchange.ask("POST", f"/{origin}/{caller}", length="unknown")
            sender = threading.Thread(target=send, args=(exchange, STUCK), daemon=True)
            sender.start()
            assert until_stuck(exchange) < MOST_ON_THE_WAY
            if stuck.wait(PATIENCE) == 0:
                origins.may_read.set()
            sender.join(PATIENCE)
            assert exchange.head() == 200
            assert tuple(int(word) for word in exchange.rest().split()) == check(STUCK)

    origins.may_read.clear()
    stuck = threading.Barrier(len(WAYS), timeout=PATIENCE)
    try:
        with bounded(gate, MOST + len(WAYS) * MOST_EACH):
            on_all_ways(slow_origin, "slow origin")
    finally:
        origins.may_read.set()

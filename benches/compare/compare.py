"""Compares the gate with bare Pingora, nginx and HAProxy on one machine: `make compare`.

Every contender proxies to the same nginx, on one worker thread, pinned to the first processor; upstream and load
generator have the second. What counts is the processor time of the proxy's process for a request, as the kernel accounts
it, and the ratios within one run: absolute figures of such machines double within the hour.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import tokens

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
POOL = "us-east-1_PetStore1"
PROXY_CPU, LOAD_CPU = 0, 1
CONNECTIONS = 32
# Tokens that are taken in turn, and those that a process sees once.
IN_TURN = 10_000
# How many remembered tokens memory is asked for.
REMEMBERED = 100_000
# Seconds between two requests of one connection, where requests are sent at their time.
PAUSE = 0.02
# Seconds; a stall of the machine is in few of these, the tail of a proxy in all.
WINDOW = 0.25


def main():
    args = arguments()
    if os.cpu_count() < 2:
        sys.exit("two processors are needed: one for the proxy, one for the load")
    with tempfile.TemporaryDirectory(prefix="portcullis-compare-") as folder:
        bench = Bench(pathlib.Path(folder), args)
        with bench.upstream():
            measured = rounds(bench, args)
            latencies = tails(bench, measured, args)
            memory = memories(bench, args) if args.memory else {}
    report(measured, latencies, memory, args)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is measured (3)")
    parser.add_argument("--seconds", type=int, default=4, help="how long, each time (4)")
    parser.add_argument("--tokens", type=int, default=150_000, help="tokens made ahead for the lanes that need new ones")
    parser.add_argument("--only", default="", help="lanes whose name has this regular expression")
    parser.add_argument("--memory", action="store_true", help="memory too: idle, with 100,000 tokens, ten minutes of load")
    parser.add_argument("--minutes", type=float, default=10, help="minutes of load for the slope of memory (10)")
    parser.add_argument("--portcullis", default=ROOT / "target/dist/portcullis", type=pathlib.Path)
    parser.add_argument("--bare", default=ROOT / "target/dist/examples/bare", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    return parser.parse_args()


class Lane:
    """One contender in one situation: which process, which path, which tokens."""

    def __init__(self, name, start, path="/pets/7", tokens=None, warm=True, remembers=None, versus=()):
        self.name, self.start, self.path, self.tokens, self.warm = name, start, path, tokens, warm
        # Whether the gate remembers tokens and decisions here, where it is asked for them.
        self.remembers, self.versus = remembers, versus


LANES = [
    Lane("bare Pingora", "bare"),
    Lane("nginx", "nginx"),
    Lane("HAProxy", "haproxy"),
    Lane("HAProxy jwt_verify, one token", "haproxy_jwt", tokens="one"),
    Lane("HAProxy jwt_verify, new tokens", "haproxy_jwt", tokens="new", warm=False),
    Lane("gate, open", "gate", path="/open", versus=[("bare Pingora", None)]),
    Lane("gate, one token, remembered", "gate", tokens="one", remembers=(True, True),
         versus=[("bare Pingora", 1.2), ("HAProxy jwt_verify, one token", 0.6)]),
    Lane("gate, 10,000 tokens in turn", "gate", tokens="turn", remembers=(True, True),
         versus=[("bare Pingora", 1.3)]),
    Lane("gate, decided afresh", "gate", path="/afresh/7", tokens="one", remembers=(True, False),
         versus=[("bare Pingora", 1.5)]),
    Lane("gate, decided afresh, by the time", "gate", path="/timed/7", tokens="one", remembers=(True, False),
         versus=[("bare Pingora", None)]),
    Lane("gate, new tokens", "gate", tokens="new", warm=False, remembers=(False, None),
         versus=[("HAProxy jwt_verify, new tokens", 1.35)]),
    Lane("gate, one token, with records", "gate_records", tokens="one", remembers=(True, True),
         versus=[("gate, one token, remembered", 1.15)]),
]  # fmt: skip


class Bench:
    """What all lanes share: the folder, the ports, the tokens, the upstream."""

    PORTS = ("UPSTREAM", "PORT", "PLAIN", "JWT", "ADMIN")

    def __init__(self, folder, args):
        self.folder, self.args = folder, args
        self.ports = dict(zip(self.PORTS, free_ports(len(self.PORTS))))
        self.issuer = f"http://127.0.0.1:{self.ports['UPSTREAM']}/{POOL}"
        self.key = tokens.new_key()
        self.bad_tokens = tokens.bad(self.key, self.issuer)
        (folder / "gate").mkdir()
        (folder / "public.pem").write_bytes(tokens.public_pem(self.key))
        shutil.copytree(ROOT / "policies/petstore", folder / "timed")
        (folder / "timed/timed.cedar").write_text(TIMED)
        self.tokens = self.write_tokens(args.tokens)

    def write_tokens(self, count):
        started = time.monotonic()
        made = tokens.many(self.key, self.issuer, count)
        print(f"{count} tokens signed in {time.monotonic() - started:.0f} s", file=sys.stderr)
        files = {"one": made[:1], "turn": made[:IN_TURN], "new": made[IN_TURN:]}
        for name, some in files.items():
            (self.folder / f"{name}.tokens").write_text("\n".join(some) + "\n")
        return {name: len(some) for name, some in files.items()}

    def configure(self, template, target, **more):
        text = (HERE / template).read_text()
        values = {
            **self.ports, "DIR": self.folder, "ISSUER": self.issuer,
            "PETSTORE": ROOT / "policies/petstore", **more,
        }  # fmt: skip
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        (self.folder / target).write_text(text)
        return str(self.folder / target)

    @contextlib.contextmanager
    def upstream(self, more=""):
        keys = json.dumps(tokens.key_set(self.key))
        server = f"location = /jwks.json {{ return 200 '{keys}'; }} {more} location / {{ return 200 'a pet\\n'; }}"
        config = self.configure(
            "nginx.conf", "upstream.conf", ROLE="upstream", PORT=self.ports["UPSTREAM"], SERVER=server
        )
        with running(["nginx", "-c", config], LOAD_CPU, self.ports["UPSTREAM"]):
            yield

    # Each of these starts a contender and gives its process and its port.

    @contextlib.contextmanager
    def bare(self):
        port = self.ports["PORT"]
        command = [str(self.args.bare), f"127.0.0.1:{port}", f"127.0.0.1:{self.ports['UPSTREAM']}"]
        with running(command, PROXY_CPU, port) as process:
            yield process.pid, port

    @contextlib.contextmanager
    def nginx(self):
        port = self.ports["PORT"]
        server = 'location / { proxy_pass http://pets; proxy_http_version 1.1; proxy_set_header Connection ""; }'
        config = self.configure("nginx.conf", "proxy.conf", ROLE="proxy", PORT=port, SERVER=server)
        with running(["nginx", "-c", config], PROXY_CPU, port) as process:
            yield children(process.pid)[0], port

    @contextlib.contextmanager
    def haproxy(self, port="PLAIN"):
        config = self.configure("haproxy.cfg", "haproxy.cfg")
        with running(["haproxy", "-db", "-f", config], PROXY_CPU, self.ports[port]) as process:
            yield process.pid, self.ports[port]

    def haproxy_jwt(self):
        return self.haproxy("JWT")

    @contextlib.contextmanager
    def gate(self, decisions="none"):
        port = self.ports["PORT"]
        config = self.configure("portcullis.yaml", "portcullis.yaml", DECISIONS=decisions)
        with running([str(self.args.portcullis), "serve", "--config", config], PROXY_CPU, port) as process:
            until(lambda: self.admin("/readyz", "degraded") == [], "the gate has its keys")
            yield process.pid, port

    def gate_records(self):
        return self.gate(self.folder / "decisions.jsonl")

    def admin(self, path, member):
        return json.loads(fetch(f"http://127.0.0.1:{self.ports['ADMIN']}{path}"))[member]

    def hits(self):
        """Of tokens and decisions that were looked up: how many were remembered, and how many in all."""
        text = fetch(f"http://127.0.0.1:{self.ports['ADMIN']}/metrics").decode()
        found = re.findall(r'portcullis_(token|decision)_cache_total\{result="(\w+)"\} (\d+)', text)
        counts = {kind: {result: int(count) for of, result, count in found if of == kind} for kind in ("token", "decision")}
        return {kind: (results.get("hit", 0), sum(results.values())) for kind, results in counts.items()}

    def first_token(self):
        return (self.folder / "one.tokens").read_text().strip()


def rounds(bench, args):
    """Every lane once a round, in turn, so that a slower minute of the machine meets all of them."""
    wanted = [lane for lane in LANES if re.search(args.only, lane.name)]
    measured = {lane.name: [] for lane in wanted}
    for number in range(args.rounds):
        for lane in wanted:
            one = measure(bench, lane, args.seconds)
            measured[lane.name].append(one)
            print(f"round {number + 1}: {lane.name}: {one}", file=sys.stderr)
    return measured


def measure(bench, lane, seconds):
    with getattr(bench, lane.start)() as (pid, port):
        expect_answer(bench, lane, port)
        if lane.warm:
            warm(bench, lane, port)
        is_gate = lane.start.startswith("gate")
        before = bench.hits() if is_gate else {}
        cpu = processor_seconds(pid)
        result = wrk(bench, lane, port, seconds)
        cpu = processor_seconds(pid) - cpu
        result["micros"] = cpu * 1e6 / result["requests"]
        result["rss_mb"] = resident(pid)
        if is_gate:
            after = bench.hits()
            for kind, (hits, asked) in after.items():
                asked -= before[kind][1]
                result[f"{kind}_hits"] = (hits - before[kind][0]) / asked if asked else None
            expect_memory(lane, result)
        if lane.tokens == "new" and result["requests"] > bench.tokens["new"]:
            sys.exit(f"{lane.name}: the new tokens ran out; raise --tokens")
        return result


def warm(bench, lane, port):
    """Loads a lane until connections are there and each of its tokens was sent."""
    sent = 0
    while sent <= bench.tokens.get(lane.tokens, 0):
        sent += wrk(bench, lane, port, 2, first=sent)["requests"]


def expect_answer(bench, lane, port):
    """The lane does what it is named for, before it is measured: lets its token through, and none that is bad, nor none."""
    url = f"http://127.0.0.1:{port}{lane.path}"
    token = bench.first_token() if lane.tokens else None
    if (got := status(url, token)) != 200:
        sys.exit(f"{lane.name}: answers {got}")
    bad = {"no token": (None, {401}), **bench.bad_tokens} if lane.tokens else {}
    for what, (token, refused) in bad.items():
        if (got := status(url, token)) not in refused:
            sys.exit(f"{lane.name}: answers {got} to a request with {what}")


def expect_memory(lane, result):
    """The gate remembered what the lane is about, or did not, nearly always."""
    for kind, wanted in zip(("token", "decision"), lane.remembers or ()):
        share = result[f"{kind}_hits"] or 0.0
        if wanted is not None and (share < 0.99 if wanted else share > 0.01):
            sys.exit(f"{lane.name}: of the {kind}s, {share:.1%} were remembered")


def wrk(bench, lane, port, seconds, first=0):
    """Loads one lane, with its tokens in turn from the given one on."""
    command = ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency"]
    url = f"http://127.0.0.1:{port}{lane.path}"
    if lane.tokens:
        file = bench.folder / f"{lane.tokens}.tokens"
        command += ["-s", str(HERE / "tokens.lua"), url, "--", str(file), str(first)]
    else:
        command.append(url)
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"wrk failed: {ended.stdout}{ended.stderr}")
    said = ended.stdout
    if re.search(r"Non-2xx|Socket errors", said):
        sys.exit(f"{lane.name}: not every request was answered with 200:\n{said}")
    return {
        "requests": int(re.search(r"(\d+) requests in", said)[1]),
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
        "p50_ms": milliseconds(re.search(r"^ +50% +(\S+)", said, re.M)[1]),
        "p99_ms": milliseconds(re.search(r"^ +99% +(\S+)", said, re.M)[1]),
    }


def tails(bench, measured, args):
    """The p99 at half of what bare Pingora can do, with requests sent at their time whatever the answers do."""
    names = ["bare Pingora", "gate, one token, remembered"]
    if not all(name in measured for name in names):
        return {}
    rate = statistics.median(one["rate"] for one in measured["bare Pingora"]) / 2
    lanes = [lane for lane in LANES if lane.name in names]
    found = {name: [] for name in names}
    for _ in range(args.rounds):
        for lane in lanes:
            with getattr(bench, lane.start)() as (_, port):
                wrk(bench, lane, port, 2)
                found[lane.name].append(open_loop(bench, lane, port, rate, args.seconds * 2))
    return {
        "rate": rate,
        "p99_ms": {name: statistics.median(p99 for rounds in values for p99 in rounds["windows"]) for name, values in found.items()},
        "whole_p99_ms": {name: statistics.median(rounds["whole"] for rounds in values) for name, values in found.items()},
        "all": found,
    }  # fmt: skip


def open_loop(bench, lane, port, rate, seconds):
    """The p99 in milliseconds of requests that are sent at their time: of each window, and of all.

    A connection of h2load looks no more than a hundred times a second whether its time has come, then sends all that is due,
    one after the other. So there are as many connections as it takes for each to send one request in a `PAUSE`, longer than
    any answer takes, and they begin one after the other, so that their times are spread. Every lane is sent the same octets,
    with a token: the load generator and the upstream have a processor to themselves, and what more octets cost them there
    is not the proxy's.
    """
    log = bench.folder / "h2load.log"
    log.unlink(missing_ok=True)
    connections = math.ceil(rate * PAUSE)
    command = ["taskset", "-c", str(LOAD_CPU), "h2load", "--h1", "-t1", f"-c{connections}", f"--rps={1 / PAUSE:.0f}"]
    command += [f"-n{connections * round(seconds / PAUSE)}", f"--log-file={log}"]
    command += [f"--rate={math.ceil(connections / PAUSE / 1000)}", "--rate-period=1ms"]
    command += ["-H", f"Authorization: Bearer {bench.first_token()}"]
    subprocess.run([*command, f"http://127.0.0.1:{port}{lane.path}"], check=True, capture_output=True)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    if any(row[1] != "200" for row in rows):
        sys.exit(f"{lane.name}: not every request was answered with 200")
    starts = [int(row[0]) for row in rows]
    first = min(starts)
    if (sent := len(rows) / (max(starts) - first) * 1e6) < 0.9 * rate:
        print(f"{lane.name}: only {sent:.0f} of {rate:.0f} requests/s were sent: no quiet machine", file=sys.stderr)
    windows = {}
    for start, row in zip(starts, rows, strict=True):
        windows.setdefault(int((start - first) / 1e6 / WINDOW), []).append(int(row[2]))
    whole = [micros for window in windows.values() for micros in window]
    # The first connections begin in the first window, and the last one is a part.
    return {"windows": [p99(windows[number]) for number in sorted(windows)[1:-1]], "whole": p99(whole)}


def p99(micros):
    return sorted(micros)[int(len(micros) * 0.99)] / 1000


def memories(bench, args):
    """Resident memory of the gate: idle, with 100,000 tokens remembered, and its slope under ten minutes of load."""
    lanes = {lane.name: lane for lane in LANES}
    with bench.gate() as (pid, _):
        idle = resident(pid)
    with bench.gate() as (pid, port):
        full, remembered = filled(bench, lanes["gate, new tokens"], pid, port)
    lane = lanes["gate, 10,000 tokens in turn"]
    samples = []
    with bench.gate() as (pid, port):
        started = time.monotonic()
        while (passed := time.monotonic() - started) < args.minutes * 60:
            wrk(bench, lane, port, 10)
            samples.append((passed, resident(pid)))
    late = [mb for at, mb in samples if at >= args.minutes * 30]
    return {
        "idle_mb": idle, "tokens": remembered, "tokens_mb": full,
        "growth_mb": late[-1] - late[0], "load_mb": late[-1],
    }  # fmt: skip


def filled(bench, lane, pid, port):
    """Resident memory once so many tokens are remembered, and their number."""
    if bench.tokens["new"] < REMEMBERED:
        sys.exit(f"memory is asked with {REMEMBERED} tokens; raise --tokens")
    seen = 0
    while seen < REMEMBERED:
        wrk(bench, lane, port, 2, first=seen)
        hits, asked = bench.hits()["token"]
        seen = asked - hits
    full = resident(pid)
    # What was forgotten meanwhile would be new.
    wrk(bench, lane, port, 2)
    again, asked_again = bench.hits()["token"]
    if again - hits < 0.99 * (asked_again - asked):
        sys.exit(f"of the first of {seen} tokens, only {again - hits} of {asked_again - asked} were remembered")
    return full, seen


def report(measured, latencies, memory, args):
    middle = {
        name: {key: median([one.get(key) for one in ones]) for key in ones[0]} for name, ones in measured.items()
    }
    print("| | CPU µs a request | requests/s | p50 ms | p99 ms | MB | tokens, decisions remembered |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, one in middle.items():
        hits = ", ".join(f"{one[key]:.1%}" for key in ("token_hits", "decision_hits") if one.get(key) is not None)
        print(
            f"| {name} | {one['micros']:.1f} | {one['rate']:.0f} | {one['p50_ms']:.2f} | {one['p99_ms']:.2f} "
            f"| {one['rss_mb']:.0f} | {hits} |"
        )
    print("\n| ratio | CPU a request | each round | asked |\n|---|---:|---|---:|")
    for line in ratios(measured):
        print(line)
    if latencies:
        bare, gate = latencies["p99_ms"].values()
        whole = list(latencies["whole_p99_ms"].values())
        print(
            f"\np99 at {latencies['rate']:.0f} requests/s, half of what bare Pingora can, in the median window of {WINDOW} s: "
            f"{gate:.2f} ms, bare Pingora {bare:.2f} ms: {gate / bare:.2f} (asked: ≤ 1.3); "
            f"of whole rounds {whole[1]:.2f} ms, bare Pingora {whole[0]:.2f} ms: {whole[1] / whole[0]:.2f}"
        )
    if memory:
        print(
            f"\nMemory: idle {memory['idle_mb']:.0f} MB (asked: < 40); {memory['tokens_mb']:.0f} MB with "
            f"{memory['tokens']} tokens (< 200); {memory['load_mb']:.0f} MB under load, {memory['growth_mb']:+.2f} MB "
            f"over the second half of {args.minutes:.0f} minutes (< 1)"
        )
    if args.json:
        args.json.write_text(json.dumps({"lanes": measured, "tails": latencies, "memory": memory}, indent=1))


def ratios(measured):
    for lane in LANES:
        for other, asked in lane.versus:
            if lane.name in measured and other in measured:
                each = [a["micros"] / b["micros"] for a, b in zip(measured[lane.name], measured[other])]
                ratio = statistics.median(each)
                limit = f"≤ {asked}" + (" missed" if ratio > asked else "") if asked else ""
                rest = ", ".join(f"{one:.2f}" for one in each)
                yield f"| {lane.name} : {other} | {ratio:.2f} | {rest} | {limit} |"


def median(values):
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


@contextlib.contextmanager
def running(command, cpu, port):
    process = subprocess.Popen(
        ["taskset", "-c", str(cpu), *command], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until(lambda: process.poll() is not None or is_open(port), f"{command[0]} listens")
        if process.poll() is not None:
            sys.exit(f"{command[0]} ended with {process.returncode}")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def processor_seconds(pid):
    """What all threads of a process spent on a processor, in the kernel's nanoseconds; ended threads are not there."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def children(pid):
    found = []
    until(lambda: found.extend(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) or found, "a worker")
    return [int(child) for child in found]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def is_open(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(holds, what):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if holds():
                return
        time.sleep(0.02)
    sys.exit(f"waited for nothing: {what}")


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def status(url, token=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def milliseconds(text):
    told = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not told:
        sys.exit(f"wrk tells a latency of `{text}`: too few answers, raise --seconds")
    number, unit = told.groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


TIMED = """\
// No decision that rests on the time is remembered.
@id("in-this-century")
forbid (principal, action == PetStore::Action::"get /pets/{petId}", resource)
unless { context.time < datetime("2100-01-01") };
"""

if __name__ == "__main__":
    main()

"""Compares the gate with bare Pingora where connections are not one request after the other: `make compare-protocols`.

HTTP/2 callers before an HTTP/1.1 upstream, unary gRPC, a gigabyte in one answer and in one WebSocket, ten thousand silent
WebSockets, and the same ones decided anew after a change of policies. As in `compare.py`, each proxy has one worker thread on the
first processor, load and upstreams have the second; the gate is asked with a token, its policies and a decision in each.
"""

import argparse
import contextlib
import math
import os
import pathlib
import re
import resource
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import tokens
from compare import (
    LOAD_CPU, POOL, PROXY_CPU, ROOT, Bench, fetch, processor_seconds, resident, running, status, until,
)  # fmt: skip

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS, STREAMS = 8, 4
GIGABYTE = 1 << 30
# Requests beside the WebSockets.
SPARE = 200


def main():
    args = arguments()
    # What is started has it too. The gate takes no more requests than 30 % of it.
    files = math.ceil((args.sockets + SPARE) / 0.3)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files > hard:
        sys.exit(f"{args.sockets} WebSockets take a limit of {files} open files, and it is {hard} (`ulimit -Hn`); give --sockets fewer")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="portcullis-protocols-") as folder:
        bench = Protocols(pathlib.Path(folder), args)
        with bench.upstreams():
            wanted = [measure for measure in (http2, grpc, gigabyte, talking, silent) if re.search(args.only, measure.__name__)]
            print("| | bare Pingora | gate | ratio or difference | asked |\n|---|---:|---:|---|---|")
            for measure in wanted:
                for line in measure(bench, args):
                    print(line, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender is measured (5), but for silent WebSockets")
    parser.add_argument("--seconds", type=int, default=4, help="how long, each time (4)")
    parser.add_argument("--sockets", type=int, default=10_000, help="silent WebSockets (10,000)")
    parser.add_argument("--only", default="", help="measurements whose name has this: http2, grpc, gigabyte, talking, silent")
    parser.add_argument("--portcullis", default=ROOT / "target/dist/portcullis", type=pathlib.Path)
    parser.add_argument("--bare", default=ROOT / "target/dist/examples/bare", type=pathlib.Path)
    args = parser.parse_args()
    args.tokens = max(args.sockets, 1)
    return args


class Protocols(Bench):
    """Upstreams of each kind, and the two contenders in front of them."""

    PORTS = (*Bench.PORTS, "CALLS", "SOCKETS")

    def __init__(self, folder, args):
        super().__init__(folder, args)
        # nginx's worker reads in it.
        folder.chmod(0o711)
        self.policies = folder / "pets"
        shutil.copytree(ROOT / "policies/petstore", self.policies)
        with open(folder / "gigabyte", "wb") as file:
            file.truncate(GIGABYTE)

    @contextlib.contextmanager
    def upstreams(self):
        # As a call is answered: with a message of a few octets, and its status behind it.
        calls = "location / { default_type application/grpc; add_trailer grpc-status 0; return 200 'hello'; }"
        config = self.configure(
            "nginx.conf", "calls.conf", ROLE="calls", PORT=f"{self.ports['CALLS']} http2", SERVER=calls
        )
        sockets = [sys.executable, str(HERE / "sockets.py"), "serve", str(self.ports["SOCKETS"])]
        gigabyte = f"location = /pets/gigabyte {{ alias {self.folder}/gigabyte; }}"
        with (
            self.upstream(gigabyte),
            running(["nginx", "-c", config], LOAD_CPU, self.ports["CALLS"]),
            running(sockets, LOAD_CPU, self.ports["SOCKETS"]),
        ):
            yield

    @contextlib.contextmanager
    def bare(self, upstream="UPSTREAM"):
        port = self.ports["PORT"]
        command = [str(self.args.bare), f"127.0.0.1:{port}", f"127.0.0.1:{self.ports[upstream]}"]
        command += ["h2"] if upstream == "CALLS" else []
        with running(command, PROXY_CPU, port) as process:
            yield process.pid, port

    @contextlib.contextmanager
    def gate(self, _upstream="UPSTREAM"):
        port = self.ports["PORT"]
        config = self.configure("protocols.yaml", "portcullis.yaml", MOST=self.args.sockets + SPARE)
        with running([str(self.args.portcullis), "serve", "--config", config], PROXY_CPU, port) as process:
            until(lambda: self.admin("/readyz", "degraded") == [], "the gate has its keys")
            for path in ("/pets/7", "/sockets/silent"):
                if (got := status(f"http://127.0.0.1:{port}{path}")) != 401:
                    sys.exit(f"the gate answers {got} without a token")
            yield process.pid, port

    def open_streams(self):
        text = fetch(f"http://127.0.0.1:{self.ports['ADMIN']}/metrics").decode()
        return int(re.search(r'portcullis_streams_open\{route="sockets"\} (\d+)', text)[1])

    def each(self, upstream="UPSTREAM"):
        """Both, in turn: name, process and port."""
        for start in (self.bare, self.gate):
            with start(upstream) as (pid, port):
                yield start.__name__, pid, port

    def authorization(self):
        return f"Authorization: Bearer {self.first_token()}"


def in_turn(bench, args, upstream, measure):
    """What each contender gives, a round after the other; as many lists as a measurement has figures."""
    found = []
    for number in range(args.rounds):
        for name, pid, port in bench.each(upstream):
            figures = measure(pid, port)
            print(f"round {number + 1}: {name}: {', '.join(f'{one:.1f}' for one in figures)}", file=sys.stderr)
            found = found or [{"bare": [], "gate": []} for _ in figures]
            for lists, one in zip(found, figures):
                lists[name].append(one)
    return found


def row(what, found, unit, asked=None, better=None):
    """Medians, and the ratio that the median round has."""
    bare, gate = (statistics.median(found[name]) for name in ("bare", "gate"))
    each = [gate / bare for bare, gate in zip(found["bare"], found["gate"])]
    ratio = statistics.median(each)
    limit = "" if asked is None else f"{asked}" if better(ratio, asked) else f"{asked} missed"
    rest = ", ".join(f"{one:.2f}" for one in each)
    return f"| {what} | {bare:.1f} {unit} | {gate:.1f} {unit} | {ratio:.2f} ({rest}) | {limit} |"


def at_most(ratio, asked):
    return ratio <= asked


def at_least(ratio, asked):
    return ratio >= asked


def h2load(bench, args, path, octets, *more):
    """Processor microseconds of a request of HTTP/2 callers, each of which must be answered with so many octets."""

    def measure(pid, port):
        command = ["taskset", "-c", str(LOAD_CPU), "h2load", "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}"]
        command += ["-H", bench.authorization(), *more, f"http://127.0.0.1:{port}{path}"]
        run = lambda seconds: subprocess.run([*command, f"-D{seconds}"], capture_output=True, text=True, check=True).stdout  # noqa: E731
        run(2)
        cpu = processor_seconds(pid)
        said = run(args.seconds)
        cpu = processor_seconds(pid) - cpu
        done, failed = re.search(r"(\d+) succeeded, (\d+ failed, \d+ errored, \d+ timeout)\n", said).groups()
        # A refused call of gRPC has the status 200 too, and nothing in it.
        data = int(re.search(r"\((\d+)\) data$", said, re.M)[1])
        # h2load counts what is not 2xx as failed.
        if failed != "0 failed, 0 errored, 0 timeout" or int(done) < 1000 or data < int(done) * octets:
            sys.exit(f"not every request was answered as it should be:\n{said}")
        return (cpu * 1e6 / int(done),)

    return measure


def http2(bench, args):
    (found,) = in_turn(bench, args, "UPSTREAM", h2load(bench, args, "/pets/7", len("a pet\n")))
    yield row("HTTP/2 to HTTP/1.1, CPU a request", found, "µs", 1.2, at_most)


def grpc(bench, args):
    message = bench.folder / "message"
    message.write_bytes(bytes(5))
    call = ["-d", str(message), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    (found,) = in_turn(bench, args, "CALLS", h2load(bench, args, "/calls/7", len("hello"), *call))
    yield row("gRPC, unary, CPU a call", found, "µs", 1.2, at_most)


def gigabyte(bench, args):
    def measure(pid, port):
        url = f"http://127.0.0.1:{port}/pets/gigabyte"
        command = ["taskset", "-c", str(LOAD_CPU), "curl", "-sfo", "/dev/null", "-w", "%{size_download} %{time_total}"]
        cpu = processor_seconds(pid)
        said = subprocess.run([*command, "-H", bench.authorization(), url], capture_output=True, text=True, check=True)
        cpu = processor_seconds(pid) - cpu
        size, seconds = said.stdout.split()
        if int(size) != GIGABYTE:
            sys.exit(f"only {size} octets came")
        return GIGABYTE / 1e6 / float(seconds), cpu * 1000

    rate, cpu = in_turn(bench, args, "UPSTREAM", measure)
    yield row("one answer of a GiB", rate, "MB/s", 0.9, at_least)
    yield row("its CPU", cpu, "ms")


def sockets(port, *command):
    path = {"open": "/sockets/silent", "read": "/sockets/talking"}[command[0]]
    return ["taskset", "-c", str(LOAD_CPU), sys.executable, str(HERE / "sockets.py"), command[0], str(port), path, *command[1:]]


def talking(bench, args):
    def measure(pid, port):
        command = sockets(port, "read", str(bench.folder / "one.tokens"), str(GIGABYTE))
        cpu = processor_seconds(pid)
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        cpu = processor_seconds(pid) - cpu
        return GIGABYTE / 1e6 / float(said.stdout), cpu * 1000

    rate, cpu = in_turn(bench, args, "SOCKETS", measure)
    yield row("a GiB in one WebSocket, whose frames are followed", rate, "MB/s", 0.8, at_least)
    yield row("its CPU", cpu, "ms")


def silent(bench, args):
    """Memory of WebSockets, and the processor's time when policies change under them."""
    kilobytes, more = {}, []
    file = str(bench.folder / "turn.tokens")
    for name, pid, port in bench.each("SOCKETS"):
        # Once connections were made and ended; what that takes is taken once.
        subprocess.run(sockets(port, "open", file, "200"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        before = resident(pid)
        command = sockets(port, "open", file, str(args.sockets))
        callers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if said(callers) != ["open"]:
                sys.exit("the WebSockets do not open")
            settled(pid)
            if callers.poll() is not None:
                sys.exit("the WebSockets are gone")
            kilobytes[name] = (resident(pid) - before) * 1024 / args.sockets
            if name == "gate":
                more = list(decided_anew(bench, args, pid, callers))
        finally:
            callers.kill()
            callers.wait()
    bare, gate = kilobytes["bare"], kilobytes["gate"]
    missed = "" if gate - bare < 15 else " missed"
    yield f"| {args.sockets} silent WebSockets, memory of each | {bare:.1f} KiB | {gate:.1f} KiB | {gate - bare:+.1f} KiB | +15 KiB{missed} |"
    yield from more


def said(process, seconds=60):
    """The words of its next line."""
    if not select.select([process.stdout], [], [], seconds)[0]:
        sys.exit(f"nothing is said within {seconds} s")
    return process.stdout.readline().split()


def settled(pid):
    """Waits until a process takes no more memory."""
    before = 0
    while (now := resident(pid)) != before:
        before = now
        time.sleep(1)


def decided_anew(bench, args, pid, callers):
    """A policy more, by which all go on but one, and one by which none does. Each has a caller of its own."""
    generation = lambda: bench.admin("/readyz", "generation")  # noqa: E731
    rest = spent(pid, 5)
    before, at = generation(), all_seconds(pid)
    (bench.policies / "more.cedar").write_text(f'@id("more")\n{ONE}')
    until(lambda: generation() > before, "the policy is in force")
    time.sleep(5)
    cpu = all_seconds(pid) - at - rest
    missed = "" if cpu < 1 else " missed"
    yield f"| all decided anew, CPU | | {cpu:.2f} s | | 1 s{missed} |"
    if bench.open_streams() != args.sockets - 1:
        sys.exit(f"{bench.open_streams()} of {args.sockets} are open under a policy that permits all but one")
    (bench.policies / "more.cedar").write_text(f'@id("more")\n{EVERYBODY}')
    changed = time.monotonic()
    if (ended := said(callers)) != ["closed", str(args.sockets)]:
        sys.exit(f"not all were closed: {ended}")
    yield f"| all closed by a policy that forbids them, after | | {time.monotonic() - changed:.2f} s | | |"
    (bench.policies / "more.cedar").unlink()


def spent(pid, seconds):
    at = all_seconds(pid)
    time.sleep(seconds)
    return all_seconds(pid) - at


def all_seconds(pid):
    """What a process spent on processors, with the threads that have ended (proc(5)), in hundredths of a second."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The caller of the first token.
ONE = f'forbid (principal == PetStore::User::"{POOL}|{tokens.subject(0)}", action, resource);\n'
EVERYBODY = 'forbid (principal, action == PetStore::Action::"get /pets/{petId}", resource);\n'

if __name__ == "__main__":
    main()

"""A real PostgreSQL of the test run's own, in a temporary folder."""

import itertools
import os
import subprocess
from pathlib import Path

# Ends when its standard input does, in whichever way the tests end.
SCRIPT = """
set -eu
trap '' INT
dir=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-postgres.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --locale-provider=icu --icu-locale=en-US --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
start() {
    "$1/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=200 -c fsync=off >>"$dir/log" 2>&1 &
    server=$!
    until "$1/pg_isready" --quiet --host="$dir"; do
        kill -0 $server 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
        sleep 0.05
    done
}
start "$1"
echo "$dir"
while read -r command; do
    case $command in
    crash) kill -QUIT $server && wait $server || true ;;
    start) start "$1" ;;
    esac
    echo "$command"
done
kill -INT $server 2>/dev/null || true
wait $server || true
"""


class Postgres:
    """A running server, reached through a socket in its folder."""

    def __init__(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
        assert found, "PostgreSQL is not installed: `apt-get install postgresql`, or run `make test`, which does"
        self.binaries = found[-1].parent
        # initdb refuses root.
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [*become, "sh", "-c", SCRIPT, "sh", self.binaries],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
        )  # fmt: skip
        self.folder = self.process.stdout.readline().decode().strip()
        assert self.folder, "PostgreSQL did not start"
        self._numbers = itertools.count()

    def database(self):
        """Makes an empty database and returns its URL."""
        name = f"e2e_{next(self._numbers)}"
        subprocess.run([self.binaries / "createdb", "--username=postgres", "--host", self.folder, name], check=True)
        return f"postgres://postgres@localhost/{name}?host={self.folder}"

    def socket(self):
        """The path of its Unix socket."""
        return f"{self.folder}/.s.PGSQL.5432"

    def crash(self):
        """Ends every connection at once, without a checkpoint; the next `start` recovers."""
        self._tell("crash")

    def start(self):
        self._tell("start")

    def _tell(self, command):
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        told = self.process.stdout.readline().decode().strip()
        assert told == command, "PostgreSQL's keeper has ended"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)

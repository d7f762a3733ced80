"""Asks a gate without a pause until its standard input ends: `caller.py HOST:PORT 0|1`, with 1 on one connection.

A line for each request: when it was answered, in seconds of the machine's monotonic clock, and what failed, if it did.
"""

import http.client
import sys
import threading
import time


def main(address, keeps):
    host, port = address.rsplit(":", 1)
    stopped = threading.Event()

    def wait():
        sys.stdin.buffer.read()
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    connection = None
    while not stopped.is_set():
        failure = ""
        try:
            connection = connection or http.client.HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", "/pets")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failure = str(answer.status)
            if not keeps or answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            failure, connection = repr(error), None
        print(time.monotonic(), failure, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "1")

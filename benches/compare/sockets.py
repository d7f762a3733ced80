"""WebSockets for `protocols.py`: an upstream that says binary frames without end, or nothing, and its callers.

    sockets.py serve PORT
    sockets.py open PORT PATH TOKENS COUNT    opens so many, with the tokens of a file in turn, says `open`, and keeps them until
                                              its input ends; if all end before, says `closed` and how many by a close frame
    sockets.py read PORT PATH TOKENS BYTES    reads so many octets of one, and says in how many seconds
"""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
# Binary frames of 64 KiB.
FRAME = b"\x82\x7f" + (65536).to_bytes(8) + bytes(65536)
PIECE = FRAME * 16


def ask(port, path, token):
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def serve(port):
    async def talk(reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            if b"/talking " in head.split(b"\r\n")[0]:
                while True:
                    writer.write(PIECE)
                    await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


async def keep_open(port, path, tokens, count):
    limit = asyncio.Semaphore(64)

    async def one(number):
        async with limit:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(ask(port, path, tokens[number % len(tokens)]))
            said = await reader.readuntil(b"\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 101"), said
            return reader, writer

    everyone = await asyncio.gather(*(one(number) for number in range(count)))
    print("open", flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # Those whom the gate closes are read to their end, and counted.
    closed = asyncio.gather(*(reader.read() for reader, _ in everyone))
    done, _ = await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
    if closed in done:
        print("closed", sum(b"\x88" == said[:1] for said in closed.result()), flush=True)
        await ended
    # They end with the process.
    os._exit(0)


def read(port, path, token, count):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(ask(port, path, token))
        said = connection.recv(65536)
        assert said.startswith(b"HTTP/1.1 101"), said
        started, left, buffer = time.monotonic(), count, bytearray(1 << 20)
        while left > 0:
            left -= connection.recv_into(buffer) or sys.exit("it ended early")
    print(time.monotonic() - started)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", port]:
            asyncio.run(serve(int(port)))
        case ["open", port, path, tokens, count]:
            asyncio.run(keep_open(int(port), path, Path(tokens).read_text().split(), int(count)))
        case ["read", port, path, tokens, count]:
            read(int(port), path, Path(tokens).read_text().split()[0], int(count))

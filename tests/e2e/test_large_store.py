"""A store of many users, which a process has to be ready on as soon as on an empty one."""

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress

import requests
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from portcullis import PASSWORD, wait_until

# `make soak-store` asks for a million, and for less time.
USERS = int(os.environ.get("USERS", 20_000))
# Seconds from the start of a process to its `/readyz`; machines that test are slow at times.
READY = float(os.environ.get("READY", 2))
ROUNDS = 5


def copy_users(store, pool, like, count):
    """Makes users who differ from one in name and mail address only, with that one's password."""
    with closing(sqlite3.connect(store)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(users)")]
        changed = {
            "sub": "printf('%08x-0000-4000-8000-%012x', n * 2654435761 % 4294967296, n)",
            "username": "printf('copy%d', n)",
            "username_key": "printf('copy%d', n)",
            "email": "printf('copy%d@example.com', n)",
            "attributes": """printf('{"email":"copy%d@example.com"}', n)""",
        }
        connection.execute(
            f"""
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
            INSERT INTO users ({", ".join(columns)})
            SELECT {", ".join(changed.get(column, column) for column in columns)}
            FROM numbers, (SELECT * FROM users WHERE pool_id = ? AND username = ?)
            """,
            (count, pool, like),
        )


def test_a_killed_process_is_ready_again_at_once_however_many_users_there_are(own):
    gate = own()
    who = {"UserPoolId": gate.pool, "Username": "first"}
    gate.idp().admin_create_user(**who, UserAttributes=[{"Name": "email", "Value": "a@example.com"}], MessageAction="SUPPRESS")
    gate.idp().admin_set_user_password(**who, Password=PASSWORD, Permanent=True)
    gate.stop()
    store = gate.data / yaml.safe_load((gate.data / "portcullis.yaml").read_text())["pools"]["store"].removeprefix("sqlite:")
    copy_users(store, gate.pool, "first", USERS)
    gate.start()

    took = []
    for number in range(ROUNDS):
        # Killed in the middle of writes, it leaves a log behind that the next one has to read.
        written, stopped = [], threading.Event()

        def write(number=number, written=written, stopped=stopped):
            idp = gate.idp()
            with suppress(ClientError, BotoCoreError):
                while not stopped.is_set():
                    name = f"new{number}-{len(written)}"
                    idp.admin_create_user(UserPoolId=gate.pool, Username=name, MessageAction="SUPPRESS")
                    written.append(name)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        wait_until(lambda written=written: len(written) > 50, "users are written", within=60)
        gate.kill()
        stopped.set()
        writer.join()
        begun = time.monotonic()
        gate.start(ready=False)
        wait_until(lambda: requests.get(f"{gate.admin_url}/readyz", timeout=5).status_code == 200, "ready")
        took.append(time.monotonic() - begun)
        gate.idp().admin_get_user(UserPoolId=gate.pool, Username=written[-1])
    print(f"\n{USERS} users: ready again after {', '.join(f'{each * 1000:.0f}' for each in took)} ms")
    assert sorted(took)[ROUNDS // 2] < READY
    found = gate.idp().list_users(UserPoolId=gate.pool, Filter=f'username = "copy{USERS}"')["Users"]
    assert [user["Username"] for user in found] == [f"copy{USERS}"]

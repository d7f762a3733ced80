"""A store of many users, which a process has to be ready on as soon as on an empty one."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import yaml

from portcullis import PASSWORD, Writers

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
        writers = Writers([gate.idp()], gate.pool, stem=f"new{number}", count=1)
        writers.more(50)
        gate.kill()
        writers.stopped.set()
        assert Path(f"{store}-wal").stat().st_size > 0
        gate.start()
        took.append(gate.ready_after)
        writers.stop()
        gate.idp().admin_get_user(UserPoolId=gate.pool, Username=writers.made[-1][0])
    print(f"\n{USERS} users: ready again after {', '.join(f'{each * 1000:.0f}' for each in took)} ms")
    assert sorted(took)[ROUNDS // 2] < READY
    found = gate.idp().list_users(UserPoolId=gate.pool, Filter=f'username = "copy{USERS}"')["Users"]
    assert [user["Username"] for user in found] == [f"copy{USERS}"]

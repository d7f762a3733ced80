"""Running it: reload, logs, backup, crashes, and the starts that must be refused."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest
import requests
import yaml

import served
from origin import Origin
from portcullis import BINARY, PASSWORD, ROOT, environment, refused, run, wait_until
from wire import connect


def settings_of(gate):
    return yaml.safe_load((gate.data / "portcullis.yaml").read_text())


def store_of(gate):
    return gate.data / settings_of(gate)["pools"]["store"].removeprefix("sqlite:")


def refused_start(gate):
    """Starts it again on the same folder, where it must end by itself, and returns what it said."""
    done = run("dev", "--data", gate.data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert done.returncode not in (0, -6, 101), done.stderr
    assert "panicked" not in done.stderr
    return done.stderr + done.stdout


@pytest.mark.parametrize("burst", range(2))
def test_every_answered_sign_up_survives_a_kill(own, burst):
    gate = own()
    answered, stop = [], threading.Event()

    def sign_up(worker):
        session = requests.Session()
        for number in range(1000):
            if stop.is_set():
                return
            username = f"w{worker}n{number}"
            body = {"ClientId": gate.client, "Username": username, "Password": PASSWORD,
                    "UserAttributes": [{"Name": "email", "Value": f"{username}@example.com"}]}  # fmt: skip
            try:
                answer = session.post(
                    gate.url + "/", data=json.dumps(body), timeout=10,
                    headers={"content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSCognitoIdentityProviderService.SignUp"},
                )  # fmt: skip
            except requests.RequestException:
                return
            if answer.status_code == 200:
                answered.append((username, answer.json()["UserSub"]))

    workers = [threading.Thread(target=sign_up, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    wait_until(lambda: len(answered) >= 25, "a burst of sign-ups", within=60)
    gate.kill()
    stop.set()
    for worker in workers:
        worker.join()

    gate.start()
    stored = {}
    for page in gate.idp().get_paginator("list_users").paginate(UserPoolId=gate.pool):
        for entry in page["Users"]:
            stored[entry["Username"]] = next(a["Value"] for a in entry["Attributes"] if a["Name"] == "sub")
    assert [pair for pair in answered if stored.get(pair[0]) != pair[1]] == []
    with sqlite3.connect(f"file:{store_of(gate)}?mode=ro", uri=True) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_revocations_survive_a_kill(own):
    gate = own()
    idp = gate.idp()
    idp.admin_create_user(UserPoolId=gate.pool, Username="u", MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=gate.pool, Username="u", Password=PASSWORD, Permanent=True)
    auth = {"ClientId": gate.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "u", "PASSWORD": PASSWORD}}  # fmt: skip
    tokens = idp.initiate_auth(**auth)["AuthenticationResult"]
    assert gate.get("/pets", tokens["AccessToken"]).status_code == 403
    idp.revoke_token(Token=tokens["RefreshToken"], ClientId=gate.client)
    gate.kill()
    gate.start()
    answer = gate.get("/pets", tokens["AccessToken"])
    # The issuer follows the port where the gate listens, so after a restart it may be unknown: never let in.
    assert answer.status_code == 401


def test_a_store_sealed_with_another_key_is_refused(own):
    gate = own()
    gate.stop()
    key = gate.data / settings_of(gate)["pools"]["seal"]["file"]
    kept = key.read_text()
    key.write_text("00" * 32 + "\n")
    text = refused_start(gate)
    assert re.search("seal|key", text), text
    assert kept.strip() not in text
    key.write_text(kept)
    gate.start()


def test_a_newer_store_is_refused(own):
    gate = own()
    gate.stop()
    with sqlite3.connect(store_of(gate)) as store:
        store.execute("INSERT INTO schema_migrations VALUES (9999, 'from the future', '', 0)")
    text = refused_start(gate)
    assert "9999" in text and re.search("newer|versions? up to", text), text
    with sqlite3.connect(store_of(gate)) as store:
        store.execute("DELETE FROM schema_migrations WHERE version = 9999")
    gate.start()


def test_sighup_reloads_and_a_bad_file_changes_nothing(own):
    gate = own()
    generation = gate.readyz().json()["generation"]
    file = gate.data / "portcullis.yaml"
    good = file.read_text()
    gate.signal(signal.SIGHUP)
    wait_until(lambda: gate.readyz().json()["generation"] > generation, "a new generation")

    file.write_text(good + "\nno_such_setting: 1\n")
    gate.signal(signal.SIGHUP)
    degraded = wait_until(lambda: gate.readyz().json()["degraded"], "the mistake shows")
    assert "no_such_setting" in json.dumps(degraded)
    assert gate.get("/pets").status_code == 401 and gate.process.poll() is None
    assert re.search(r'portcullis_reloads_total\{[^}]*result="failure"', gate.metrics())
    file.write_text(good)
    wait_until(lambda: not gate.readyz().json()["degraded"], "well again, by the changed file alone")


def test_sigusr1_reopens_log_files(own):
    gate = own()
    settings = settings_of(gate)
    gate.stop()
    settings["log"] = {"file": "portcullis.log", "decisions": "decisions.jsonl"}
    (gate.data / "portcullis.yaml").write_text(yaml.safe_dump(settings))
    gate.start()
    records = gate.data / "decisions.jsonl"
    gate.get("/pets?before")
    wait_until(lambda: records.exists() and records.read_text(), "a decision record")
    records.rename(gate.data / "rotated.jsonl")
    gate.signal(signal.SIGUSR1)
    wait_until(records.exists, "a new file")
    gate.get("/pets?after")
    record = json.loads(wait_until(lambda: records.read_text().splitlines(), "a record in it")[-1])
    assert record["outcome"] == "deny" and record["code"] == "token_missing" and record["status"] == 401
    assert record["request_id"] and record["generation"] >= 1 and "micros" in record


def test_records_and_logs_hold_no_secrets(own):
    gate = own()
    idp = gate.idp()
    idp.admin_create_user(UserPoolId=gate.pool, Username="u", MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=gate.pool, Username="u", Password=PASSWORD, Permanent=True)
    auth = {"ClientId": gate.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "u", "PASSWORD": PASSWORD}}  # fmt: skip
    tokens = idp.initiate_auth(**auth)["AuthenticationResult"]
    gate.get("/pets", tokens["AccessToken"])
    gate.get("/pets", tokens["AccessToken"][:-4] + "AAAA")
    gate.stop()
    seen = gate.log.read_text() + "".join(gate.lines)
    seen += "".join(path.read_text() for path in gate.data.glob("*.jsonl") if path.name != "outbox.jsonl")
    for secret in (PASSWORD, gate.env["AWS_SECRET_ACCESS_KEY"], tokens["RefreshToken"], tokens["AccessToken"].split(".")[2]):
        assert secret not in seen


def test_a_backup_is_a_whole_store(own, tmp_path):
    gate = own()
    gate.idp().admin_create_user(UserPoolId=gate.pool, Username="kept", MessageAction="SUPPRESS")
    copy = tmp_path / "copy.db"
    done = run("backup", "--config", gate.data / "portcullis.yaml", copy)
    assert done.returncode == 0, done.stderr
    assert copy.stat().st_mode & 0o77 == 0
    again = run("backup", "--config", gate.data / "portcullis.yaml", copy)
    assert again.returncode != 0 and "copy.db" in again.stderr, "nothing is overwritten"
    # To SQLite this is a URI, which names another file.
    done = run("backup", "--config", gate.data / "portcullis.yaml", "file:second.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file:second.db").stat().st_size >= copy.stat().st_size
    assert not list(tmp_path.glob("*.partial")) and not (tmp_path / "second.db").exists()

    gate.idp().admin_delete_user(UserPoolId=gate.pool, Username="kept")
    gate.stop()
    store = store_of(gate)
    for left in store.parent.glob(store.name + "*"):
        left.unlink()
    copy.rename(store)
    gate.start()
    assert gate.idp().admin_get_user(UserPoolId=gate.pool, Username="kept")["Username"] == "kept"


def test_a_damaged_store_is_refused(own):
    gate = own()
    gate.stop()
    store = store_of(gate)
    for left in store.parent.glob(store.name + "-*"):
        left.unlink()
    store.write_bytes(b"this is no database, whatever its name says\n" * 100)
    assert refused_start(gate).strip()


def test_a_taken_port_is_named(gate, tmp_path):
    done = run("dev", "--data", tmp_path / "data", "--listen", gate.listen, "--admin", "127.0.0.1:0")
    assert done.returncode not in (0, 101, -6) and gate.listen in done.stderr


def test_sigterm_drains(own):
    gate = own()
    assert gate.stop() == 0


def is_listening(gate):
    try:
        connect(int(gate.listen.rsplit(":", 1)[1])).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_drain_gives_load_balancers_time_to_see_it(tmp_path):
    wait, origin = 3, Origin()
    limits = {"drain_wait_seconds": wait, "drain_seconds": 20}
    with served.running(tmp_path / "gate", origin, limits=limits) as gate, requests.Session() as kept:
        assert kept.get(f"{gate.url}/", timeout=5).status_code == 200
        under_way = requests.get(f"{gate.url}/stream", stream=True, timeout=20).iter_content(None)
        assert next(under_way) == b"first"
        begun = time.monotonic()
        gate.signal(signal.SIGTERM)
        wait_until(lambda: gate.readyz().status_code == 503, "readiness is gone", within=wait / 3)
        assert gate.readyz().json()["status"] == "draining"
        while time.monotonic() - begun < wait * 0.7:
            for session in (requests, kept):
                assert session.get(f"{gate.url}/", timeout=5).status_code == 200
            assert gate.readyz().status_code == 503
        wait_until(lambda: not is_listening(gate), "listeners are closed", within=wait)
        assert wait - 0.1 < time.monotonic() - begun
        assert gate.process.poll() is None and gate.readyz().status_code == 503
        origin.go.set()
        assert b"".join(under_way) == b"second"
        assert gate.process.wait(10) == 0
    origin.stop()


def test_metrics_have_their_names(gate, pool, user, sign_in):
    this = pool()
    sign_in(this.client_id, user(this.id))
    gate.get("/pets")
    text = gate.metrics()
    for metric in (
        "portcullis_requests_total", "portcullis_request_seconds", "portcullis_stage_seconds", "portcullis_token_cache_total",
        "portcullis_decision_cache_total", "portcullis_generation", "portcullis_sign_ins_total", "portcullis_api_calls_total",
        "portcullis_store_seconds", "portcullis_hash_queue", "portcullis_upstream_healthy", "portcullis_reloads_total",
        "portcullis_streams_open", "portcullis_streams_ended_total",
    ):  # fmt: skip
        assert re.search(rf"^# TYPE {metric} ", text, re.M), metric
    assert requests.get(f"{gate.admin_url}/healthz", timeout=5).status_code == 200


def test_signing_keys_rotate_with_overlap(gate, pool, user, sign_in):
    this = pool()
    idp, url = gate.idp(), f"{gate.url}/{this.id}/.well-known/jwks.json"
    username = user(this.id)
    token = sign_in(this.client_id, username)["AccessToken"]
    before = {key["kid"] for key in requests.get(url, timeout=5).json()["keys"]}
    done = run("pool", "rotate-keys", this.id, env=gate.env)
    assert done.returncode == 0, done.stderr
    after = wait_until(
        lambda: (kids := {key["kid"] for key in requests.get(url, timeout=5).json()["keys"]}) - before and kids, "new keys"
    )
    assert before < after, "old tokens live on"
    idp.get_user(AccessToken=token)
    idp.get_user(AccessToken=sign_in(this.client_id, username)["AccessToken"])
    with_wrong = run("pool", "rotate-keys", this.id, env=gate.env | {"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert with_wrong.returncode != 0


def test_two_processes_share_a_store_during_an_upgrade(own, tmp_path):
    """What one is told, the other knows within a second."""
    one = own()
    settings = settings_of(one)
    settings["listeners"] = [{"address": "127.0.0.1:0"}]
    settings["admin"] = {"address": "127.0.0.1:0"}
    settings["pools"]["public_url"] = one.public_url
    file = one.data / "second.yaml"
    file.write_text(yaml.safe_dump(settings))
    two = own(tmp_path / "second", command=["serve", "--config", file])
    idp = one.idp()
    idp.admin_create_user(UserPoolId=one.pool, Username="u", MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=one.pool, Username="u", Password=PASSWORD, Permanent=True)
    auth = {"ClientId": one.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "u", "PASSWORD": PASSWORD}}  # fmt: skip
    token = idp.initiate_auth(**auth)["AuthenticationResult"]["AccessToken"]
    body = {"AccessToken": token}
    assert two.raw("GetUser", body).status_code == 200
    idp.global_sign_out(AccessToken=token)
    wait_until(lambda: two.raw("GetUser", body).status_code == 400, "the other process knows", within=2)


@pytest.mark.parametrize("example", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_checks_clean(example, tmp_path):
    """In a copy, after the commands that its comment says to run first."""
    for folder in ("config", "policies"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    text = example.read_text()
    made = re.search(r"^# {3}mkdir.*?(?=^# {3}portcullis|^#$)", text, re.M | re.S)
    if made:
        commands = re.sub(r"^# ?", "", made[0], flags=re.M)
        subprocess.run(["bash", "-euc", commands], cwd=tmp_path, check=True, capture_output=True)
    secrets = {name: "x" * 40 for name in re.findall(r"env: *([A-Z][A-Z0-9_]*)", text)}
    done = run("check", "--config", tmp_path / "config" / example.name, env=secrets)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_policies_pass_their_tests():
    for folder in sorted(path.parent for path in (ROOT / "policies").glob("**/*.cedarschema")):
        for command in ("check", "test"):
            done = run("policy", command, folder)
            assert done.returncode == 0, done.stdout + done.stderr


def test_a_failing_policy_test_fails(tmp_path):
    folder = tmp_path / "petstore"
    subprocess.run(["cp", "-r", ROOT / "policies/petstore", folder], check=True)
    tests = next(path for path in folder.glob("**/*.yaml"))
    text = tests.read_text()
    assert "expect: allow" in text
    tests.write_text(text.replace("expect: allow", "expect: deny"))
    assert run("policy", "test", folder).returncode != 0


def test_check_lists_open_routes_first(gate):
    done = run("check", "--config", gate.data / "portcullis.yaml")
    assert done.returncode == 0 and "/pets" in done.stdout


def test_help_names_every_command():
    done = run("--help")
    for command in ("dev", "serve", "check", "policy", "pool", "backup"):
        assert re.search(rf"^ +{command} ", done.stdout, re.M), command
    assert subprocess.run([BINARY, "no-such"], capture_output=True, env=environment()).returncode == 2


def test_a_deleted_pool_takes_its_tokens_with_it(own):
    gate = own()
    idp = gate.idp()
    idp.admin_create_user(UserPoolId=gate.pool, Username="u", MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=gate.pool, Username="u", Password=PASSWORD, Permanent=True)
    auth = {"ClientId": gate.client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "u", "PASSWORD": PASSWORD}}  # fmt: skip
    token = idp.initiate_auth(**auth)["AuthenticationResult"]["AccessToken"]
    assert gate.get("/pets", token).status_code == 403
    idp.delete_user_pool_client(UserPoolId=gate.pool, ClientId=gate.client)
    wait_until(lambda: gate.get("/pets", token).status_code == 401, "the client's tokens end", within=1)
    with refused("ResourceNotFoundException"):
        idp.initiate_auth(**auth)


def test_a_store_that_is_moved_away_is_noticed(own):
    gate = own()
    store = store_of(gate)
    away = store.with_name("away.db")
    store.rename(away)
    wait_until(lambda: gate.readyz().status_code == 503, "a store that is gone")
    said = gate.readyz().json()
    assert said["status"] == "store_lost"
    assert any(one["what"] == "pools.store" and str(store) in one["why"] for one in said["degraded"]), said
    assert "The pools' store is not where it was opened" in gate.log.read_text()
    away.rename(store)
    wait_until(lambda: gate.readyz().status_code == 200, "the store is back")

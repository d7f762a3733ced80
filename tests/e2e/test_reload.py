"""What changes while it runs, and what it says of the rest."""

import signal
import socket
import subprocess

import yaml

from portcullis import BINARY, environment, run, wait_until


def settings_of(gate):
    return yaml.safe_load(file_of(gate).read_text())


def file_of(gate):
    return gate.data / "portcullis.yaml"


def change(gate, settings):
    file_of(gate).write_text(yaml.safe_dump(settings))


def write_secret(path, secret):
    path.touch(0o600)
    path.write_text(secret + "\n")


def degraded(gate):
    return {entry["what"]: entry["why"] for entry in gate.readyz().json()["degraded"]}


# By a signed call


def ask(gate, **keys):
    """Has the gate reload, as `portcullis reload` does."""
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY"}
    changed = {names[name]: value for name, value in keys.items()}
    return run("reload", env={"AWS_ENDPOINT_URL": gate.url} | gate.env | changed)


def test_a_signed_call_reloads_and_says_what_is_in_force(own):
    gate = own()
    settings = settings_of(gate)
    settings["routes"].append({"match": {"path": "/hello"}, "authenticate": "none", "authorize": "none", "respond": {"body": "hi"}})
    settings["workers"] = 1
    # More than one change, and no wait for any: what was written before the call is in force after it.
    for number in range(3):
        settings["routes"][-1]["respond"]["body"] = f"hi {number}"
        change(gate, settings)
        done = ask(gate)
        assert done.returncode == 0, done.stderr
        assert gate.get("/hello").text == f"hi {number}"
    assert int(done.stdout) == gate.readyz().json()["generation"] >= 4
    assert "`workers` has changed and waits for a restart" in done.stderr


def test_a_signed_call_says_what_is_wrong_and_changes_nothing(own):
    gate = own()
    generation = gate.readyz().json()["generation"]
    kept = file_of(gate).read_text()
    change(gate, settings_of(gate) | {"upstreams": {}, "workers": "many"})
    done = ask(gate)
    assert done.returncode == 1 and done.stdout == ""
    assert "ReloadFailedException" in done.stderr and "workers" in done.stderr, done.stderr
    assert gate.readyz().json()["generation"] == generation and gate.get("/pets").status_code == 401
    file_of(gate).write_text(kept)
    assert ask(gate).returncode == 0 and degraded(gate) == {}


def test_who_may_not_touch_all_pools_may_not_reload(own):
    gate = own()
    settings = settings_of(gate)
    write_secret(gate.data / "scoped.secret", "scoped" * 6)
    scoped = {"access_key_id": "AKIASCOPED", "secret": {"file": "scoped.secret"}, "pools": [gate.pool]}
    settings["pools"]["operators"].append(scoped)
    change(gate, settings)
    assert ask(gate).returncode == 0
    generation = gate.readyz().json()["generation"]
    for keys, refusal in (
        ({"access_key_id": "AKIASCOPED", "secret": "scoped" * 6}, "AccessDeniedException"),
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"access_key_id": "AKIANOBODY"}, "UnrecognizedClientException"),
    ):
        done = ask(gate, **keys)
        assert done.returncode == 1 and refusal in done.stderr, done.stderr
    unsigned = gate.raw("", "{}", headers={"x-amz-target": "PortcullisOperator.Reload"})
    assert unsigned.json()["__type"] == "MissingAuthenticationTokenException"
    assert gate.readyz().json()["generation"] == generation


# Operators and secrets


def test_operators_change_without_a_restart(own):
    gate = own()
    second, key = "AKIASECONDOPERATOR01", gate.data / "second.secret"
    listed = lambda secret: gate.signed("ListUserPools", {"MaxResults": 1}, second, secret).status_code == 200  # noqa: E731
    settings = settings_of(gate)
    write_secret(key, "one" * 12)
    settings["pools"]["operators"].append({"access_key_id": second, "secret": {"file": key.name}, "pools": ["*"]})
    assert not listed("one" * 12)
    change(gate, settings)
    wait_until(lambda: listed("one" * 12), "the new operator's calls are taken")
    assert degraded(gate) == {}

    write_secret(key, "two" * 12)
    wait_until(lambda: listed("two" * 12), "the new secret counts")
    assert not listed("one" * 12) and degraded(gate) == {}

    settings["pools"]["operators"].pop()
    change(gate, settings)
    wait_until(lambda: not listed("two" * 12), "who is removed is refused")
    assert gate.signed("ListUserPools", {"MaxResults": 1}).status_code == 200 and degraded(gate) == {}


def test_an_operators_rights_change_without_a_restart(own):
    gate = own()
    settings = settings_of(gate)
    call = lambda: gate.signed("DescribeUserPool", {"UserPoolId": gate.pool})  # noqa: E731
    assert call().status_code == 200
    settings["pools"]["operators"][0]["pools"] = ["us-east-1_Other0001"]
    change(gate, settings)
    wait_until(lambda: call().status_code == 400, "rights end")
    assert call().json()["__type"] == "AccessDeniedException"


def test_an_empty_secret_changes_nothing(own):
    gate = own()
    key = gate.data / "operator.secret"
    kept = key.read_text()
    key.write_text("")
    wait_until(lambda: "settings" in degraded(gate), "the mistake shows")
    assert gate.signed("ListUserPools", {"MaxResults": 1}).status_code == 200
    key.write_text(kept)
    wait_until(lambda: degraded(gate) == {}, "well again, by the secret's file alone")


def test_secrets_that_take_a_restart_are_named(own):
    gate = own()
    key = gate.data / "seal.key"
    kept = key.read_text()
    key.write_text("ab" * 32 + "\n")
    why = wait_until(lambda: degraded(gate).get("pools.seal"), "the changed key shows")
    assert "restart" in why and "abab" not in gate.log.read_text() + why
    assert '"what":"pools.seal"' in gate.log.read_text()
    key.write_text(kept)
    wait_until(lambda: degraded(gate) == {}, "nothing waits for a restart")
    assert gate.signed("ListUserPools", {"MaxResults": 1}).status_code == 200


# Signals


def test_sigterm_right_after_the_first_line_drains(own):
    gate = own(ready=False)
    assert gate.stop() == 0


def test_sigterm_ends_a_start_that_waits_for_its_store(tmp_path):
    (tmp_path / "seal.key").touch(0o600)
    (tmp_path / "seal.key").write_text("ab" * 32)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (tmp_path / "portcullis.yaml").write_text(yaml.safe_dump({
            "listeners": [{"address": "127.0.0.1:0"}],
            "pools": {"store": f"postgres://u@127.0.0.1:{port}/d", "seal": {"file": "seal.key"}, "public_url": "http://127.0.0.1"},
            "routes": [{"match": {}, "serve": "pools"}],
        }))  # fmt: skip
        command = [BINARY, "serve", "--config", tmp_path / "portcullis.yaml"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        silent.settimeout(20)
        with silent.accept()[0]:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (1, "") and "before it served" in err

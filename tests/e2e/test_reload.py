"""What changes while it runs, and what it says of the rest."""

import yaml

from portcullis import wait_until


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

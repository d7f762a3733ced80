"""The commands as a newcomer meets them: what they say, and what they refuse."""

import json
import os
import re
import subprocess

import pytest
import requests
import yaml

from portcullis import BINARY, ROOT, environment, run, wait_until

DEV = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


# dev


def test_a_second_dev_on_the_same_folder_is_refused(own):
    gate = own()
    names = ("dev.env", "portcullis.yaml")
    before = [(gate.data / name).read_text() for name in names]
    done = run("dev", "--data", gate.data, *DEV)
    assert done.returncode == 1 and done.stdout == ""
    assert f"`{gate.data}`" in done.stderr and f"pid {gate.process.pid}" in done.stderr and "--data" in done.stderr
    assert [(gate.data / name).read_text() for name in names] == before
    gate.kill()
    gate.start()


def test_dev_env_overrules_what_the_shell_has(own):
    gate = own()
    shell = {"AWS_SESSION_TOKEN": "old", "AWS_SECURITY_TOKEN": "old", "AWS_PROFILE": "work", "AWS_DEFAULT_PROFILE": "work"}
    done = subprocess.run(
        ["bash", "-euc", "source dev.env; env"], cwd=gate.data, env=environment() | shell, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    left = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("AWS_"))
    assert not shell.keys() & left.keys()
    assert left["AWS_ENDPOINT_URL"] == gate.public_url


@pytest.mark.parametrize("anywhere", ["0.0.0.0", "[::]"])
def test_dev_on_every_address_is_reached_by_a_loopback_name(own, tmp_path, anywhere):
    data = tmp_path / "data"
    gate = own(data, command=["dev", "--data", data, "--listen", f"{anywhere}:0", "--admin", "127.0.0.1:0"])
    port = gate.listen.rsplit(":", 1)[1]
    assert gate.public_url == f"http://localhost:{port}" == gate.env["AWS_ENDPOINT_URL"]
    configuration = f"{gate.public_url}/{gate.pool}/.well-known/openid-configuration"
    assert requests.get(configuration, timeout=5).json()["issuer"] == f"{gate.public_url}/{gate.pool}"


# serve


def test_serve_without_pools_names_no_public_url(tmp_path):
    data = tmp_path / "plain"
    data.mkdir()
    settings = yaml.safe_load((ROOT / "config/minimal.yaml").read_text())
    settings |= {"listeners": [{"address": "127.0.0.1:0"}], "admin": {"address": "127.0.0.1:0"}}
    (data / "portcullis.yaml").write_text(yaml.safe_dump(settings))
    with subprocess.Popen(
        [BINARY, "serve", "--config", data / "portcullis.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(),
    ) as process:  # fmt: skip
        first = json.loads(process.stdout.readline())
        process.kill()
    assert first.keys() == {"listen", "admin", "pid"}


def test_keys_that_cannot_be_fetched_say_from_where_and_why(own, tmp_path):
    data = tmp_path / "keyless"
    data.mkdir()
    settings = yaml.safe_load((ROOT / "config/minimal.yaml").read_text())
    settings |= {"listeners": [{"address": "127.0.0.1:0"}], "admin": {"address": "127.0.0.1:0"}}
    settings["issuers"]["company"]["issuer"] = "http://127.0.0.1:1"
    (data / "portcullis.yaml").write_text(yaml.safe_dump(settings))
    gate = own(data, command=["serve", "--config", data / "portcullis.yaml"])
    said = "The issuer's keys could not be fetched"
    line = wait_until(lambda: [line for line in gate.log.read_text().splitlines() if said in line], said)[0]
    assert "http://127.0.0.1:1/.well-known/openid-configuration" in line and "refused" in line


def test_a_taken_port_says_what_to_do(gate, tmp_path):
    done = run("dev", "--data", tmp_path / "a", "--listen", gate.listen, "--admin", "127.0.0.1:0")
    assert gate.listen in done.stderr and "--listen" in done.stderr and "listeners" in done.stderr
    done = run("dev", "--data", tmp_path / "b", "--listen", "127.0.0.1:0", "--admin", gate.admin)
    assert gate.admin in done.stderr and "--admin" in done.stderr


# check, policy


def test_a_clean_check_says_so_last():
    for name in ("minimal", "sidecar"):
        done = run("check", "--config", ROOT / f"config/{name}.yaml")
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1] == f"no problems in {ROOT / 'config' / name}.yaml"


def test_policy_results_name_their_folder(tmp_path):
    folder = ROOT / "policies/petstore"
    assert run("policy", "check", folder).stdout.startswith(f"{folder}: ")
    tested = run("policy", "test", folder).stdout
    assert re.fullmatch(rf"{folder}: \d+ passed, 0 failed\n", tested), tested
    for command in ("check", "test"):
        done = run("policy", command, tmp_path / "absent")
        assert done.returncode == 1
        assert done.stdout.endswith(f"1 problem in {tmp_path / 'absent'}\n"), done.stdout
    (tmp_path / "broken").mkdir()
    for file in folder.iterdir():
        (tmp_path / "broken" / file.name).write_text(file.read_text())
    (tmp_path / "broken/a.cedar").write_text("permit(\n")
    done = run("policy", "check", tmp_path / "broken")
    assert done.returncode == 1 and "a.cedar:1" in done.stdout
    assert re.search(rf"\n\d+ problems? in {tmp_path / 'broken'}\n$", done.stdout), done.stdout


# pool, backup


def test_rotate_keys_prints_ids_and_says_what_they_are(gate, pool):
    this = pool()
    done = run("pool", "rotate-keys", this.id, env=gate.env)
    assert done.returncode == 0, done.stderr
    published = requests.get(f"{gate.url}/{this.id}/.well-known/jwks.json", timeout=5).json()["keys"]
    ids = done.stdout.split()
    assert ids and set(ids) <= {key["kid"] for key in published}
    assert f"`{this.id}`" in done.stderr and gate.env["AWS_ENDPOINT_URL"] in done.stderr


def test_rotate_keys_says_what_it_lacks(gate):
    keys = {name: gate.env[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    for arguments, env, said in (
        ([], {}, "--endpoint"),
        (["--endpoint", "here"], keys, "`here` is not a URL"),
        (["--endpoint", "localhost:8080"], keys, "`localhost:8080` is not .*http"),
        (["--endpoint", "http://ada:hidden@127.0.0.1:1"], keys, "user or password"),
        (["--endpoint", gate.url], {}, "AWS_ACCESS_KEY_ID is not set.*dev.env"),
        (["--endpoint", "http://127.0.0.1:1"], keys, "no engine.*`http://127.0.0.1:1/`.*refused"),
        (["--endpoint", gate.url], keys, "`us-east-1_Absent000`.*ResourceNotFoundException"),
        (["--endpoint", gate.url + "/nowhere"], keys, "`http.*/nowhere`.*404"),
    ):
        done = run("pool", "rotate-keys", "us-east-1_Absent000", *arguments, env=env)
        assert done.returncode == 1 and done.stdout == ""
        assert re.search(said, done.stderr), done.stderr
        assert "hidden" not in done.stderr


def test_a_backup_says_what_it_made(own, tmp_path):
    gate = own()
    copy, settings = tmp_path / "copy.db", gate.data / "portcullis.yaml"
    done = run("backup", "--config", settings, copy)
    assert done.returncode == 0 and done.stdout == f"{copy}\n"
    assert f"{os.stat(copy).st_size} bytes" in done.stderr and "seal key" in done.stderr
    done = run("backup", "--config", settings, tmp_path / "absent/copy.db")
    assert done.returncode == 1 and str(tmp_path / "absent") in done.stderr
    done = run("backup", "--config", ROOT / "config/minimal.yaml", tmp_path / "none.db")
    assert done.returncode == 1 and "minimal.yaml` has no `pools`" in done.stderr


# the admin listener


def test_the_admin_listener_lists_its_pages(gate):
    index = requests.get(gate.admin_url, timeout=5)
    assert index.status_code == 200 and index.headers["content-type"].startswith("text/plain")
    paths = re.findall(r"^(/\S+)", index.text, re.M)
    assert {"/metrics", "/healthz", "/readyz", "/routes", "/issuers", "/upstreams", "/config"} == set(paths)
    for path in paths:
        answer = requests.get(gate.admin_url + path, timeout=5)
        assert answer.status_code == 200 and answer.text.endswith("\n"), path
    absent = requests.get(gate.admin_url + "/absent", timeout=5)
    assert absent.status_code == 404 and "/absent" in absent.text and "/readyz" in absent.text

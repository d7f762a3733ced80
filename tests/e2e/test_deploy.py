"""What `deploy/` ships, as far as a machine without a service manager or a container engine can tell."""

import json
import re
import shutil
import subprocess

import yaml

from portcullis import BINARY, ROOT

UNIT = ROOT / "deploy/systemd/portcullis.service"


def unit_of_this_binary(tmp_path):
    """The unit as shipped, but for where the binary is: the verifier wants every command to exist."""
    text = UNIT.read_text()
    assert "/usr/bin/portcullis" in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/usr/bin/portcullis", str(BINARY)))
    return unit


def test_the_unit_verifies(tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit_of_this_binary(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_is_hardened(tmp_path):
    unit = unit_of_this_binary(tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)[1])
    assert exposure <= 2.0


def test_a_unit_without_hardening_fails_the_same_check(tmp_path):
    unit = tmp_path / "open.service"
    unit.write_text(f"[Service]\nExecStart={BINARY} serve\n")
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit], capture_output=True
    )
    assert done.returncode != 0


def test_compose_and_dockerfile_name_what_is_there():
    compose = yaml.safe_load((ROOT / "deploy/docker/compose.yaml").read_text())
    build = compose["services"]["portcullis"]["build"]
    context = (ROOT / "deploy/docker" / build["context"]).resolve()
    assert context == ROOT
    dockerfile = (context / build["dockerfile"]).read_text()
    version = re.search(r'channel = "([0-9.]+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    assert f"FROM rust:{version}-" in dockerfile
    assert "USER 65532:65532" in dockerfile


def compose():
    return yaml.safe_load((ROOT / "deploy/docker/compose.yaml").read_text())


def test_the_health_check_of_compose_follows_readiness(gate, tmp_path):
    kind, *command = compose()["services"]["portcullis"]["healthcheck"]["test"]
    assert kind == "CMD" and "127.0.0.1/9901" in command[-1]

    def check(address):
        command[-1] = command[-1].replace("$$", "$").replace("127.0.0.1/9901", address.replace(":", "/"))
        return subprocess.run(command, capture_output=True, timeout=10).returncode

    assert check(gate.admin) == 0
    command[-1] = compose()["services"]["portcullis"]["healthcheck"]["test"][-1].replace("/readyz", "/absent")
    assert check(gate.admin) != 0, "another status is not well"
    command[-1] = compose()["services"]["portcullis"]["healthcheck"]["test"][-1]
    assert check("127.0.0.1:1") != 0, "nobody there is not well"


def test_compose_waits_longer_than_the_drain():
    service = compose()["services"]["portcullis"]
    drain = json.loads((ROOT / "config/schema.json").read_text())["$defs"]["Limits"]["properties"]["drain_seconds"]
    assert int(service["stop_grace_period"].removesuffix("s")) > drain.get("default", 30)
    unit = UNIT.read_text()
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)[1]) > drain.get("default", 30)


def test_what_compose_keeps_is_on_volumes():
    """The root is read-only, so what the settings keep must be on a volume, in the folder that the image's user owns."""
    service = compose()["services"]["portcullis"]
    settings = yaml.safe_load((ROOT / "deploy/docker/portcullis.yaml").read_text())
    targets = {v["target"] if isinstance(v, dict) else v.split(":")[1]: v for v in service["volumes"]}
    assert service["read_only"] and settings["data"] in targets
    assert f"--home-dir {settings['data']}" in (ROOT / "deploy/docker/Dockerfile").read_text()
    for name in ("seal.key", "portcullis.yaml"):
        assert targets[f"/etc/portcullis/{name}"]["bind"] == {"create_host_path": False}, "no folder is made in its place"


def test_secrets_stay_out_of_the_image_and_the_repository():
    for ignored in (".gitignore", ".dockerignore"):
        lines = (ROOT / ignored).read_text().splitlines()
        assert {"/deploy/docker/seal.key", "/deploy/docker/.env"} <= set(lines), ignored


def test_the_settings_of_compose_check_clean(tmp_path):
    shutil.copy(ROOT / "deploy/docker/portcullis.yaml", tmp_path)
    settings = tmp_path / "portcullis.yaml"
    seal = tmp_path / "seal.key"
    seal.write_text("0" * 63 + "1\n")
    seal.chmod(0o600)
    settings.write_text(settings.read_text().replace("/etc/portcullis/seal.key", str(seal)))
    done = subprocess.run(
        [BINARY, "check", "--config", settings],
        capture_output=True,
        text=True,
        env={"STORE_URL": "postgres://portcullis:secret@postgres/portcullis", "OPERATOR_SECRET": "s" * 40},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret@" not in done.stdout + done.stderr

"""The manifests of deploy/kubernetes, as far as a machine without a cluster can tell."""

import copy
import re

import kubernetes_validate
import pytest
import yaml

from manifests import (
    VERSIONS, Pod, documents, drain_of, is_part, is_reloaded, mebibytes, most_memory, only, selected, unrestricted, validate,
)  # fmt: skip
from origin import Issuer, Origin
from portcullis import ROOT, wait_until

FOLDER = ROOT / "deploy/kubernetes"


def applied():
    """What `kubectl apply --kustomize` would apply: the kustomization names resources, and nothing else."""
    base = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert base.keys() == {"apiVersion", "kind", "resources"}
    return [d for name in base["resources"] for d in documents((FOLDER / name).read_text())]


ALL = applied()
POD = only(ALL, "Deployment")["spec"]["template"]["spec"]
[APP, GATE] = POD["containers"]
SETTINGS = yaml.safe_load(only(ALL, "ConfigMap", "pets-gate")["data"]["portcullis.yaml"])


def test_the_kustomization_names_every_manifest():
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(named) == sorted(path.name for path in FOLDER.iterdir() if path.name != "kustomization.yaml")


@pytest.mark.parametrize("manifest", ALL, ids=lambda d: f"{d['kind']}/{d['metadata']['name']}")
def test_manifests_fit_the_schemas(manifest):
    validate(manifest)


@pytest.mark.parametrize("spoil", [
    lambda pod: pod.update(terminationGracePeriod=40),
    lambda pod: pod["containers"][1]["livenessProbe"]["httpGet"].pop("port"),
    lambda pod: pod["containers"][1]["securityContext"].update(readOnlyRootFileSystem=True),
])  # fmt: skip
def test_a_manifest_that_is_wrong_does_not(spoil):
    wrong = copy.deepcopy(only(ALL, "Deployment"))
    spoil(wrong["spec"]["template"]["spec"])
    for version in VERSIONS:
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, version, strict=True)


def test_everything_selects_the_pods():
    assert all(selected(ALL).values()), selected(ALL)


def test_the_pod_is_restricted():
    assert unrestricted(POD) == []
    assert unrestricted({**POD, "hostNetwork": True, "securityContext": {}}) == [
        "hostNetwork", "pets: runAsNonRoot", "pets: seccompProfile", "portcullis: runAsNonRoot", "portcullis: seccompProfile",
    ]  # fmt: skip
    its = GATE["securityContext"]
    assert its["readOnlyRootFilesystem"] is True and POD["automountServiceAccountToken"] is False
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "deploy/docker/Dockerfile").read_text(), re.M)
    assert (str(its["runAsUser"]), str(its["runAsGroup"])) == user.groups()


def test_only_the_gate_can_be_reached():
    ports = {port["name"]: port["containerPort"] for port in GATE["ports"]}
    listens = {"gate": SETTINGS["listeners"][0]["address"], "admin": SETTINGS["admin"]["address"]}
    assert listens == {name: f"0.0.0.0:{port}" for name, port in ports.items()}
    assert [port["targetPort"] for port in only(ALL, "Service")["spec"]["ports"]] == ["gate"]
    everybody, some = only(ALL, "NetworkPolicy")["spec"]["ingress"]
    assert everybody == {"ports": [{"port": "gate"}]} and some["ports"] == [{"port": "admin"}] and some["from"]
    assert "ports" not in APP
    [listen] = [variable["value"] for variable in APP["env"] if variable["name"] == "LISTEN"]
    assert SETTINGS["upstreams"]["pets"]["servers"] == [f"http://{listen}"] and listen.startswith("127.0.0.1:")


def test_probes_ask_what_answers():
    paths = {name: GATE[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths["readinessProbe"] == {"path": "/readyz", "port": "admin"}
    assert paths["startupProbe"] == paths["livenessProbe"] == {"path": "/healthz", "port": "admin"}
    # The kubelet reaches the service through the gate alone, on a route that asks for no token.
    asked = APP["readinessProbe"]["httpGet"]
    [route] = [route for route in SETTINGS["routes"] if route["match"]["path"] == asked["path"]]
    assert asked["port"] == GATE["ports"][0]["containerPort"] and route["authenticate"] == "none"
    assert "livenessProbe" not in APP


def test_the_service_is_there_until_the_gate_has_drained():
    waits = APP["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits > drain_of(SETTINGS), "what is left is cut a second after the drain"
    assert POD["terminationGracePeriodSeconds"] > waits
    assert "lifecycle" not in GATE, "SIGTERM must not be late"


def test_what_can_come_together_fits_into_the_memory():
    assert most_memory(SETTINGS) < mebibytes(GATE["resources"]["limits"]["memory"])


def test_the_policies_are_those_of_the_pet_store():
    policies = only(ALL, "ConfigMap", "pets-policies")["data"]
    assert "petstore.cedarschema" in policies and len(policies) > 1
    for name, text in policies.items():
        assert text == (ROOT / "policies/petstore" / name).read_text(), name


def test_the_settings_check_clean(tmp_path):
    said = Pod(tmp_path, ALL).check()
    assert all(route["name"] in said for route in SETTINGS["routes"])


def test_a_changed_config_map_is_reloaded(own, tmp_path):
    """The settings as shipped, but for addresses of this machine, and volumes that change as the kubelet changes them."""
    assert is_reloaded(GATE)
    issuer, origin = Issuer(), Origin()
    issuer.issuer = f"{issuer.url}/us-east-1_PetStore1"
    client = SETTINGS["issuers"]["staff"]["clients"][0]
    pod = Pod(tmp_path, ALL)
    settings = pod.settings()
    settings["listeners"][0]["address"] = settings["admin"]["address"] = "127.0.0.1:0"
    settings["issuers"]["staff"]["issuer"] = issuer.issuer
    settings["upstreams"]["pets"]["servers"] = [origin.url]
    settings["limits"]["drain_wait_seconds"] = 0
    pod.write(settings)
    gate = own(tmp_path / "run", command=["serve", "--config", pod.file])
    reader, writer = (issuer.token(client_id=client, **{"cognito:groups": [group]}) for group in ("readers", "writers"))
    status = lambda token: gate.get("/pets", token).status_code  # noqa: E731
    wait_until(lambda: status(reader) == 200, "the issuer's keys are known")
    assert status(writer) == 403 and gate.get("/healthz").status_code == 200

    policies = only(ALL, "ConfigMap", "pets-policies")["data"]
    turned = {**policies, "readers.cedar": policies["readers.cedar"].replace("|readers", "|writers")}
    pod.volumes["/policies/pets"].write(turned)
    wait_until(lambda: (status(reader), status(writer)) == (403, 200), "other policies are in force")

    pod.write({**settings, "routes": settings["routes"][:1]})
    wait_until(lambda: status(writer) == 404, "other settings are in force")

    pod.write({**settings, "routes": "none"})
    wait_until(lambda: gate.readyz().json()["degraded"], "settings that cannot be loaded are told of")
    assert gate.get("/healthz").status_code == 200 and gate.readyz().status_code == 200
    pod.write(settings)
    wait_until(lambda: (status(writer), gate.readyz().json()["degraded"]) == (200, []), "the first settings are again")


def test_the_readmes_show_what_is_shipped():
    """What is shortened there is left out, and not otherwise."""
    headings = {"README.md": "In front of a service in Kubernetes", "deploy/helm/portcullis/README.md": "A sidecar"}
    for readme, heading in headings.items():
        section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", (ROOT / readme).read_text(), re.M | re.S)[1]
        [shown] = re.findall(r"^```yaml\n(.*?)^```$", section, re.M | re.S)
        shown = yaml.safe_load(shown)
        assert [container["name"] for container in shown["containers"]] == ["pets", "portcullis"]
        assert is_part(shown, POD), readme
    assert not is_part({"containers": [{"name": "portcullis", "ports": []}, {"name": "other"}]}, POD)

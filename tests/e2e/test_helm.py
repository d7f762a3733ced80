"""The chart of deploy/helm, rendered by Helm's own library; what its README shows, and what it must refuse."""

import copy
import json
import platform
import re
import subprocess

import pytest
import yaml

from chart import CHART, Helm, Refused
from manifests import (
    FOREIGN, Pod, documents, drain_of, is_reloaded, mebibytes, most_memory, only, selected, unrestricted, validate,
)  # fmt: skip
from portcullis import ROOT
from test_gate import CERTIFICATE

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="Helm's library comes for x86-64 only")

LEAST, EDGE, POOLS, _SIDECAR = (
    yaml.safe_load(block)
    for block in re.findall(r"^```yaml\n(.*?)^```$", (CHART / "README.md").read_text(), re.M | re.S)
)


def merged(*parts):
    """As Helm merges files of values: mappings by their keys, all else by the last one."""
    whole = {}
    for part in parts:
        for key, value in copy.deepcopy(part).items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else value
    return whole


@pytest.fixture(scope="module")
def helm():
    helm = Helm()
    yield helm
    helm.stop()


@pytest.fixture(scope="module")
def rendered(helm):
    """Renders the chart with these values, the last of which count, and returns the manifests."""

    def render(*values):
        texts = helm.render(merged(*values))
        return [d for name, text in texts.items() if name.endswith(".yaml") for d in documents(text)]

    return render


def pod_of(documents):
    return only(documents, "Deployment")["spec"]["template"]["spec"]


def settings_of(documents):
    return yaml.safe_load(only(documents, "ConfigMap", "gate-portcullis")["data"]["portcullis.yaml"])


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """What the Secrets hold that the README names."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "tls.key", folder / "tls.crt"
    subprocess.run([*CERTIFICATE, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {
        "api-example-com-tls": {"tls.key": key.read_text(), "tls.crt": certificate.read_text()},
        "portcullis-seal": {"seal.key": "0" * 63 + "1"},
        "portcullis-operator": {"secret": "s" * 40},
    }


@pytest.mark.parametrize("values", [[LEAST], [LEAST, EDGE], [LEAST, POOLS], [LEAST, EDGE, POOLS]])
def test_what_the_readme_shows_is_rendered_right(rendered, values, secrets, tmp_path):
    found = rendered(*values)
    for document in found:
        if document["kind"] not in FOREIGN:
            validate(document)
    assert all(selected(found).values()), selected(found)
    assert unrestricted(pod_of(found)) == []
    [container] = pod_of(found)["containers"]
    assert is_reloaded(container) and container["securityContext"]["readOnlyRootFilesystem"] is True
    said = Pod(tmp_path, found, secrets).check(env={"STORE_URL": "postgres://portcullis:hidden@postgres/portcullis"})
    assert ("api.example.com" in said or "auth.example.com" in said) and "hidden" not in said


@pytest.mark.parametrize("values", [[LEAST], [LEAST, EDGE, POOLS]])
def test_the_linter_has_nothing_to_say(helm, values):
    assert helm.lint(merged(*values)) == ["icon is recommended"]


def test_versions_and_user_are_those_of_the_binary_and_the_image(rendered):
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1] == version
    pod = pod_of(rendered(LEAST))
    assert pod["containers"][0]["image"].endswith(f":{version}")
    user = f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert user in (ROOT / "deploy/docker/Dockerfile").read_text()
    # Files of Secrets: the gate does not start where others may read them.
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


@pytest.mark.parametrize("values, named", [
    ({"setings": {}}, "setings"),
    ({"settings": {"routes": []}}, "routes"),
    ({"settings": {"admin": {"address": "127.0.0.1:9901"}}}, "admin/address"),
    ({"settings": {"listeners": [{"address": "0.0.0.0:0"}]}}, "listeners/0/address"),
    ({"settings": {"data": "data"}}, "data"),
    ({"settings": {"limits": {"drain_seconds": "30"}}}, "drain_seconds"),
    ({"policies": {"pets": {"configMap": "elsewhere"}}}, "policies/pets"),
    ({"policies": {"Pets": {"configMap": "elsewhere"}}}, "Pets"),
    ({"secrets": {"env": {"STORE_URL": "postgres://in:clear@text"}}}, "secrets/env"),
    ({"service": {"ports": [{"port": 80}]}}, "service/ports/0"),
    ({"service": {"ports": [{"port": 80, "to": 8081}]}}, "no listener in settings has port 8081"),
    ({"settings": {"pools": {"store": "sqlite:/var/lib/portcullis/pools.db"}}}, "a SQLite file would be lost with its pod"),
])  # fmt: skip
def test_values_that_cannot_be_meant_are_refused(rendered, values, named):
    rendered(LEAST)
    with pytest.raises(Refused) as refused:
        rendered(LEAST, values)
    assert named in str(refused.value), refused.value


def test_values_and_their_schema_name_the_same():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert values.keys() == schema.keys() - {"global"}
    for name, value in values.items():
        if schema[name].get("additionalProperties") is False:
            assert value.keys() == schema[name]["properties"].keys(), name


def test_settings_are_kept_as_they_are_written(rendered):
    given = {"settings": {"tokens": {"remembered_bytes": 134217728}, "workers": None, "trusted_peers": ["10.0.0.0/8"]}}
    settings = settings_of(rendered(LEAST, given))
    assert settings["tokens"] == {"remembered_bytes": 134217728} and settings["trusted_peers"] == ["10.0.0.0/8"]
    assert "workers" not in settings and settings["routes"] == LEAST["settings"]["routes"]


def test_what_the_gate_reloads_replaces_no_pod(rendered):
    template = lambda *values: only(rendered(LEAST, *values), "Deployment")["spec"]["template"]  # noqa: E731
    route = {"match": {"path": "/open"}, "authenticate": "none", "authorize": "none", "upstream": {"to": "pets"}}
    before = template()
    for same in ({"settings": {"routes": [route]}}, {"policies": {"pets": {"files": {"readers.cedar": ""}}}}):
        assert template(same) == before, same
    assert template(POOLS, {"settings": {"pools": {"operators": []}}}) == template(POOLS)
    assert template(POOLS, {"settings": {"pools": {"region": "eu-west-1"}}}) != template(POOLS)
    # As the gate names what waits for a restart.
    source = (ROOT / "proxy/gateway/src/reload/fixed.rs").read_text()
    fixed = set(re.findall(r'^ +\("(\w+)", ', source, re.M))
    assert {"listeners", "limits", "pools"} <= fixed
    other = {
        "listeners": [{"address": "0.0.0.0:8080", "proxy_protocol": {"from": ["10.0.0.0/8"]}}],
        "admin": {"address": "[::]:9901"}, "data": "/var/lib/other", "workers": 3, "log": {"level": "debug"},
        "limits": {"body_bytes": 1}, "pools": POOLS["settings"]["pools"],
    }  # fmt: skip
    assert other.keys() == fixed
    for name, value in other.items():
        changed = template({"settings": {name: value}})["metadata"]["annotations"]
        assert changed != before["metadata"]["annotations"], name


def test_the_pod_is_given_more_than_the_drain(rendered):
    for limits in ({}, {"drain_wait_seconds": 20, "drain_seconds": 300}):
        found = rendered(LEAST, {"settings": {"limits": limits}})
        assert pod_of(found)["terminationGracePeriodSeconds"] > drain_of(settings_of(found)) + 1


def test_what_can_come_together_fits_into_the_memory(rendered):
    found = rendered(LEAST)
    [container] = pod_of(found)["containers"]
    assert most_memory(settings_of(found)) < mebibytes(container["resources"]["limits"]["memory"])


def test_nobody_reaches_the_admin_listener_unasked(rendered):
    found = rendered(LEAST)
    [rule] = only(found, "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"ports": [{"port": "gate-8080"}]}
    assert only(found, "Service")["spec"]["ports"] == [{"name": "gate-80", "port": 80, "targetPort": "gate-8080"}]
    _, rule = only(rendered(LEAST, EDGE), "NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"port": "admin"}] and rule["from"] == EDGE["networkPolicy"]["adminFrom"]
    some = [{"podSelector": {"matchLabels": {"app": "ingress"}}}]
    [rule] = only(rendered(LEAST, {"networkPolicy": {"from": some}}), "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == some
    assert "NetworkPolicy" not in {d["kind"] for d in rendered(LEAST, {"networkPolicy": {"enabled": False}})}


def test_ports_of_probes_and_services_are_the_containers(rendered):
    [container] = pod_of(rendered(LEAST, EDGE))["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"admin": 9901, "gate-8443": 8443}
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert probes["readinessProbe"] == {"path": "/readyz", "port": "admin"}
    assert probes["startupProbe"] == probes["livenessProbe"] == {"path": "/healthz", "port": "admin"}
    [port] = only(rendered(LEAST, EDGE), "Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (443, "gate-8443")
    # IPv6 alone.
    values = {"settings": {"listeners": [{"address": "[::]:8080"}], "admin": {"address": "[::]:9900"}}}
    [container] = pod_of(rendered(LEAST, values))["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [9900, 8080]


def test_the_autoscaler_takes_the_place_of_replicas(rendered):
    found = rendered(LEAST)
    assert only(found, "Deployment")["spec"]["replicas"] == 2 and "HorizontalPodAutoscaler" not in {d["kind"] for d in found}
    found = rendered(LEAST, EDGE)
    assert "replicas" not in only(found, "Deployment")["spec"]
    target = only(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": only(found, "Deployment")["metadata"]["name"]}


def test_the_service_monitor_finds_the_pods_port(rendered):
    """There is no schema of it among Kubernetes' own: its fields are written out here."""
    found = rendered(LEAST, EDGE, {"serviceMonitor": {"labels": {"release": "prometheus"}}})
    monitor = only(found, "ServiceMonitor")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1" and monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"].keys() == {"selector", "endpoints"}
    assert monitor["spec"]["endpoints"] == [{"targetPort": "admin", "path": "/metrics", "interval": "30s"}]
    labels = only(found, "Service")["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert "ServiceMonitor" not in {d["kind"] for d in rendered(LEAST)}


def test_policies_may_be_in_a_config_map_that_exists(rendered):
    found = rendered({**LEAST, "policies": {"pets": {"configMap": "ours"}}})
    volumes = {volume["name"]: volume for volume in pod_of(found)["volumes"]}
    assert volumes["policies-pets"]["configMap"] == {"name": "ours"}
    assert [d["metadata"]["name"] for d in found if d["kind"] == "ConfigMap"] == ["gate-portcullis"]


def test_the_notes_say_where_it_is(helm):
    notes = helm.render(merged(LEAST, EDGE))["NOTES.txt"]
    assert "gate-portcullis.shop.svc:443" in notes and "adminFrom" not in notes
    assert "adminFrom" in helm.render(merged(LEAST, {"serviceMonitor": {"enabled": True}}))["NOTES.txt"]

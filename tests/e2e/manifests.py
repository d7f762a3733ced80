"""Manifests of Kubernetes: held against its own schemas, and their pods' files laid out as a kubelet does it."""

import itertools
import os
import shutil

import kubernetes_validate
import yaml

from portcullis import run

# The oldest that deploy/ says it is for, and the newest whose schemas are known.
VERSIONS = ("1.30", "1.37")
# The last one has no schema in Kubernetes: the Prometheus operator brings it.
FOREIGN = {"Kustomization", "ServiceMonitor"}

_numbers = itertools.count(1)


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def only(documents, kind, name=None):
    """The one document of a kind, and of a name if one is given."""
    [found] = [d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    return found


def validate(document):
    """Holds a manifest against the strict schemas, in which unknown fields are errors."""
    assert document["kind"] not in FOREIGN, "there is no schema of it"
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def selected(documents):
    """What must select the pods of the Deployment, by kind."""
    by_kind = {d["kind"]: d for d in documents}
    selectors = {
        "Deployment": by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": by_kind["Service"]["spec"]["selector"],
        "NetworkPolicy": by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        "PodDisruptionBudget": by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    }
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    return {kind: bool(selector) and selector.items() <= labels.items() for kind, selector in selectors.items()}


def unrestricted(pod):
    """What a pod allows itself beyond the profile `restricted` of the Pod Security Standards."""
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    of_pod = pod.get("securityContext", {})
    for container in pod["containers"] + pod.get("initContainers", []):
        its = of_pod | container.get("securityContext", {})
        needs = {
            "runAsNonRoot": its.get("runAsNonRoot") is True and its.get("runAsUser") != 0,
            "seccompProfile": its.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "allowPrivilegeEscalation": its.get("allowPrivilegeEscalation") is False,
            "capabilities": its.get("capabilities") == {"drop": ["ALL"]},
        }
        found += [f"{container['name']}: {name}" for name, met in needs.items() if not met]
    found += [f"volume {v['name']}" for v in pod.get("volumes", []) if not {"configMap", "secret", "emptyDir"} & v.keys()]
    return found


def is_reloaded(container):
    """Whether files follow their ConfigMaps and Secrets, which those of a `subPath` do not."""
    return not any("subPath" in mount for mount in container["volumeMounts"])


class Volume:
    """A ConfigMap or Secret in a pod, as the kubelet writes it: files are links through `..data`, which it turns over."""

    def __init__(self, folder, files, mode=0o644):
        self.folder, self.mode = folder, mode
        folder.mkdir(parents=True)
        self.write(files)

    def write(self, files):
        before = os.readlink(self.folder / "..data") if (self.folder / "..data").exists() else None
        new = self.folder / f"..2026_11_22_{next(_numbers)}"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_text(content)
            (new / name).chmod(self.mode)
        (self.folder / "..data_tmp").symlink_to(new.name)
        os.rename(self.folder / "..data_tmp", self.folder / "..data")
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.name not in files:
                path.unlink()
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        if before:
            shutil.rmtree(self.folder / before)


class Pod:
    """The files of the gate's container in a folder: what its volumes hold stands where they are mounted."""

    def __init__(self, root, documents, secrets=None):
        pod = only(documents, "Deployment")["spec"]["template"]["spec"]
        [self.container] = [c for c in pod["containers"] if c["name"] == "portcullis"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.root, self.mounts, self.volumes = root, {}, {}
        for mount in self.container["volumeMounts"]:
            path, volume = mount["mountPath"], volumes[mount["name"]]
            folder = self.mounts[path] = root / path.lstrip("/")
            if "configMap" in volume:
                config = only(documents, "ConfigMap", volume["configMap"]["name"])
                self.volumes[path] = Volume(folder, config["data"])
            elif "secret" in volume:
                secret = volume["secret"]
                self.volumes[path] = Volume(folder, secrets[secret["secretName"]], secret["defaultMode"])
            else:
                folder.mkdir(parents=True)
        self.file = self.mounts["/etc/portcullis"] / "portcullis.yaml"
        self.text = self.file.read_text()

    def settings(self):
        """As they are written, with the paths of this machine in place of the container's."""
        return self._moved(yaml.safe_load(self.text))

    def write(self, settings):
        """Puts other settings in their place."""
        self.volumes["/etc/portcullis"].write({"portcullis.yaml": yaml.safe_dump(settings)})

    def check(self, env=None):
        """What `portcullis check` says of the settings; they must be without problems and warnings."""
        self.write(self.settings())
        done = run("check", "--config", self.file, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning:" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.stdout

    def _moved(self, value):
        if isinstance(value, dict):
            return {key: self._moved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._moved(item) for item in value]
        for path, folder in self.mounts.items():
            if isinstance(value, str) and (value == path or value.startswith(path + "/")):
                return str(folder) + value[len(path) :]
        return value


def drain_of(settings):
    limits = settings["limits"]
    return limits["drain_wait_seconds"] + limits["drain_seconds"]


def most_memory(settings):
    """Bytes that can come together by the comments in deploy/: idle, tokens, each policy set, heads of connections."""
    tokens = settings.get("tokens", {}).get("remembered_bytes", 128 << 20)
    return 27_000_000 + tokens + len(settings.get("policies", {})) * (96 << 20) + settings["limits"]["connections"] * (64 << 10)


def mebibytes(quantity):
    assert quantity.endswith("Mi"), quantity
    return int(quantity.removesuffix("Mi")) << 20


def is_part(part, whole):
    """Whether all that a piece of YAML says stands in another one; lists of named things go by the names."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and is_part(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(is_part(item, other) for other in whole) for item in part)
    return part == whole

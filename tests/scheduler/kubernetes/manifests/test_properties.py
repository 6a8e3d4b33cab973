"""Whatever users write: what a cluster is told is valid, confined, and the same every time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how

from services.scheduler.driver import Refused, Workload
from services.scheduler.drivers.kubernetes import manifests
from services.scheduler.drivers.kubernetes.manifests.applied import APPLIED, applied, summary
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.affinity import VALUE
from shared.image import ContainerConfig
from tests.scheduler.kubernetes.manifests import restricted, schemas
from tests.scheduler.kubernetes.manifests import workloads as those

UID: Final = "6f9c2d0e-0000-4000-8000-000000000001"
MANY: Final = how(
    max_examples=1000,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to make an example smaller takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NEVER: Final = {
    *("hostPath", "hostNetwork", "hostPID", "hostIPC", "privileged", "serviceAccount"),
    *("nodeName", "hostPort", "hostIP", "initContainers", "ephemeralContainers", "hostUsers"),
    *("hostAliases", "shareProcessNamespace", "priorityClassName", "runtimeClassName"),
    *("procMount", "seLinuxOptions", "windowsOptions", "matchFields", "namespaceSelector"),
    *("namespaces", "projected", "csi", "nfs", "volumeDevices", "schedulerName"),
}
"""Keys that no pod of ours has."""

MAPS: Final = {
    *("labels", "annotations", "matchLabels", "nodeSelector", "data", "binaryData"),
    *("requests", "limits"),
}
"""Whose keys are names that people choose."""


@MANY
@given(those.workloads(), those.images, those.settings, those.rooms)
def test_k11_every_valid_workload_gives_manifests_that_pass(
    workload: Workload, image: ContainerConfig, settings: Settings, room: Room | None
) -> None:
    made = manifests.manifests(workload, image, settings, owner=UID, room=room)
    assert not isinstance(made, Refused), made
    check(made, settings)
    batch = manifests.batch(workload, image, settings, owner=UID, room=room)
    assert not isinstance(batch, Refused)
    check_pod(batch[-1], ["server"], settings)


@how(MANY, max_examples=500)
@given(those.hostile(), those.images, those.settings)
def test_k11_every_other_workload_is_refused_or_gives_manifests_that_pass(
    workload: Workload, image: ContainerConfig, settings: Settings
) -> None:
    made = manifests.manifests(workload, image, settings, owner=UID)
    if not isinstance(made, Refused):
        check(made, settings)


def check(made: tuple[dict[str, Any], ...], settings: Settings) -> None:
    kinds = [each["kind"] for each in made]
    usual = ["NetworkPolicy", "ConfigMap", "Secret", "Service", "Deployment"]
    assert kinds in (usual, [*usual, "HorizontalPodAutoscaler"])
    for each in made:
        for version in schemas.VERSIONS:
            if not (each["apiVersion"] == "autoscaling/v1" and version != "1.25.0"):
                assert schemas.objections(each, version) == []
        assert each["metadata"]["namespace"] == settings.namespace
        assert all(re.match(VALUE, value) for value in each["metadata"]["labels"].values())
        assert len(str(each["metadata"]["annotations"])) < 200_000
        plain = {**each, "metadata": {**each["metadata"]}}
        plain["metadata"]["annotations"] = {
            k: v for k, v in each["metadata"]["annotations"].items() if k != APPLIED
        }
        assert applied(each) == msgspec.json.decode(msgspec.json.encode(summary(plain)))
    check_pod(made[4], ["server", "doorman"], settings)


def check_pod(made: dict[str, Any], containers: list[str], settings: Settings) -> None:
    for version in schemas.VERSIONS:
        assert schemas.objections(made, version) == []
    spec = made["spec"]["template"]["spec"]
    assert restricted.violations(spec) == []
    assert set(keys(spec)) & NEVER == set()
    assert [each["name"] for each in spec["containers"]] == containers
    assert spec["serviceAccountName"] == "default"
    assert spec["automountServiceAccountToken"] is False
    for each in spec["containers"]:
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory", "ephemeral-storage"} <= set(each["resources"]["limits"])
    server = spec["containers"][0]
    assert server["command"] == ["/bin/sh", "/slipway/k8s/init"]
    assert re.fullmatch(r"registry\.example:5000/slipway/x@sha256:[0-9a-f]{64}", server["image"])
    names = [each["name"] for each in server["env"]]
    assert len(set(names)) == len(names)
    assert not any("value" in each for each in server["env"] if each["name"].startswith("LD_"))
    mounted = [each["mountPath"] for each in server["volumeMounts"]]
    assert len(set(mounted)) == len(mounted)
    assert {each["name"] for each in server["volumeMounts"]} == {v["name"] for v in spec["volumes"]}


def keys(value: Any) -> Iterator[str]:
    """Of all that is inside, but those that are names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in MAPS:
                yield from keys(inner)
    if isinstance(value, list | tuple):
        for inner in value:
            yield from keys(inner)


@how(MANY, max_examples=100)
@given(those.workloads(), those.images, those.settings, those.rooms)
def test_the_same_workload_gives_the_same_bytes(
    workload: Workload, image: ContainerConfig, settings: Settings, room: Room | None
) -> None:
    """Also in another process, where what it was decoded from is all that there is."""
    again = msgspec.convert(msgspec.to_builtins(workload), Workload)
    first = manifests.manifests(workload, image, settings, owner=UID, room=room)
    second = manifests.manifests(again, image, settings, owner=UID, room=room)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


@how(MANY, max_examples=100)
@given(those.workloads(), those.images, those.settings)
def test_arguments_and_variables_arrive_as_they_were_written(
    workload: Workload, image: ContainerConfig, settings: Settings
) -> None:
    made = manifests.manifests(workload, image, settings)
    assert not isinstance(made, Refused)
    server = made[4]["spec"]["template"]["spec"]["containers"][0]
    known = dict.fromkeys((each["name"] for each in server["env"]), "EXPANDED")
    assert [expanded(each, known) for each in server["args"]] == list(image.entrypoint)
    assert all("$" not in each.get("value", "") for each in server["env"])


def expanded(text: str, known: dict[str, str]) -> str:
    """What kubelet makes of an argument: `$(NAME)` is a variable if there is one, `$$` is `$`."""

    def meant(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return known.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", meant, text)

"""Examples of what a cluster is told, to be read; the properties say what holds of all of them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from msgspec.structs import replace

from services.scheduler.driver import Refused, Replica, Workload
from services.scheduler.drivers.kubernetes import manifests
from services.scheduler.drivers.kubernetes.manifests import anchor, placement, secret
from services.scheduler.drivers.kubernetes.manifests.applied import APPLIED, summary
from services.scheduler.drivers.kubernetes.manifests.settings import Peers, Room, Settings
from shared.affinity import Affinity, NodeAffinity, NodeExpression, NodeSelector, NodeTerm
from shared.endpoint import (
    Autoscaling,
    Command,
    Endpoint,
    Gpus,
    Range,
    Resources,
    Route,
    Routes,
    Toleration,
    Volume,
    Workspace,
)
from shared.ids import JobId
from shared.image import ContainerConfig

HERE: Final = Path(__file__).parent
SETTINGS: Final = Settings(
    platform="slipway",
    namespace="slipway-workloads",
    doorman_image="registry.example/slipway/doorman@sha256:" + "d" * 64,
    doorman_key="k" * 32,
    routers=Peers(
        namespace={"kubernetes.io/metadata.name": "slipway"},
        pods={"app.kubernetes.io/component": "router"},
    ),
    schedulers=Peers(
        namespace={"kubernetes.io/metadata.name": "slipway"},
        pods={"app.kubernetes.io/component": "scheduler"},
    ),
    closed_networks=("203.0.113.0/24",),
    claims={"models": ("alice/whales",)},
)
IMAGE: Final = ContainerConfig(
    entrypoint=("/bin/sh", "-c", "echo $$ && exec ./serve --port $PORT"),
    env=("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "GREETING=hello"),
    working_dir="/valohai/code",
    user="1000:1000",
)
VALOHAI: Final = Workload(
    replica=Replica(JobId("j7x0k2m4q9tzd"), 1),
    image="sha256:" + "a" * 64,
    endpoint=Endpoint(
        name="greet",
        format="valohai",
        entry=Command(lines=("./serve",)),
        port=8000,
        readiness="listening",
        node_selector="disktype=ssd",
        node_labels={"example.com/pool": "serving"},
        tolerations=(Toleration(key="spot", operator="Exists", effect="NoExecute", seconds=60),),
        resources=Resources(cpu=Range(min=0.5, max=1.5), memory=Range(max=512)),
        volumes=(Volume(claim="models", mount_path="/models", sub_path="v1", read_only=True),),
        workspace=Workspace(mount_path="/work", size_gib=20, storage_class="fast"),
        autoscaling=Autoscaling(min=2, max=5, cpu_percent=70),
        variables={"TOKEN": "geheim", "LD_PRELOAD": "/valohai/code/x.so"},
    ),
    environment={"SLIPWAY_JOB": "j7x0k2m4q9tzd", "SLIPWAY_ATTEMPT": "1"},
    devices=(),
    files={"/valohai/code/valohai-metadata.json": b"{}\n", "/valohai/weights": b"\x00\xff"},
    repository="registry.example:5000/alice/whales",
    project="alice/whales",
)
PROXIML: Final = Workload(
    replica=Replica(JobId("j000000000000"), 3),
    image="sha256:" + "b" * 64,
    endpoint=Endpoint(
        name="My Endpoint",
        format="proximl",
        entry=Routes(routes=(Route(verb="POST", path="/predict", file="predict", function="run"),)),
        port=80,
        readiness="ping",
        gpus=Gpus(types=("a100",), count=2),
        disk_gib=10,
        resources=Resources(memory=Range(min=1024, max=4096)),
        replicas=2,
    ),
    environment={"SLIPWAY_JOB": "j000000000000", "SLIPWAY_ATTEMPT": "3"},
    devices=tuple(f"k8s/node-1/{n}" for n in range(4)),
    files={},
    repository="registry.example:5000/bob/Nets".lower(),
    project="Bob Ü./nets",
    copies=2,
)
GPU_IMAGE: Final = replace(
    IMAGE,
    entrypoint=("python3", "/slipway/runtime/routes.py"),
    env=("NVIDIA_VISIBLE_DEVICES=all", "CUDA_VISIBLE_DEVICES=7", "LD_LIBRARY_PATH=/usr/local/cuda"),
)
ROOM: Final = Room(nodes=("node-1",), label="nvidia.com/gpu.product", values=("NVIDIA-A100-80GB",))


def made(
    workload: Workload = VALOHAI,
    image: ContainerConfig = IMAGE,
    settings: Settings = SETTINGS,
    room: Room | None = None,
) -> dict[str, dict[str, Any]]:
    found = manifests.manifests(workload, image, settings, owner="uid-of-the-anchor", room=room)
    assert not isinstance(found, Refused), found
    return {each["kind"]: each for each in found}


def pod(*arguments: Any, **more: Any) -> dict[str, Any]:
    return made(*arguments, **more)["Deployment"]["spec"]["template"]["spec"]


def valohai(**changes: Any) -> Workload:
    return replace(VALOHAI, endpoint=replace(VALOHAI.endpoint, **changes))


class Readable(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


@pytest.mark.parametrize(
    ("name", "workload", "image", "room"),
    [("valohai", VALOHAI, IMAGE, None), ("proximl", PROXIML, GPU_IMAGE, ROOM)],
)
def test_the_whole_of_it_is_what_was_last_looked_at(
    name: str, workload: Workload, image: ContainerConfig, room: Room | None
) -> None:
    """Written anew where the file is not there: remove it, run this, and look at what changed."""
    found = made(workload, image, room=room)
    for each in found.values():
        del each["metadata"]["annotations"][APPLIED]
    found["ConfigMap"]["data"]["init"] = "see init.sh\n"
    text = yaml.dump_all(found.values(), Dumper=Readable, sort_keys=False, width=100)
    path = HERE / f"{name}.golden.yaml"
    if not path.exists():
        path.write_text(text)
    assert text == path.read_text()


def test_all_of_it_belongs_to_the_anchor_but_what_is_the_projects() -> None:
    found = made()
    anchor = {"apiVersion": "v1", "kind": "ConfigMap", "name": "j7x0k2m4q9tzd-1"}
    for kind in ("Secret", "Service", "Deployment", "HorizontalPodAutoscaler"):
        assert found[kind]["metadata"]["ownerReferences"] == [anchor | {"uid": "uid-of-the-anchor"}]
    for kind in ("NetworkPolicy", "ConfigMap"):
        assert "ownerReferences" not in found[kind]["metadata"]


def test_an_anchor_says_what_has_to_be_known_of_its_replica() -> None:
    data = made(valohai(port=7201, readiness="ping"))["ConfigMap"]["data"]
    assert anchor.told(data) == anchor.Told(port=7201, door=7210, readiness="ping")
    assert anchor.told({}) is None


def test_a_secret_holds_what_the_server_and_its_doorman_are_told() -> None:
    data = made()["Secret"]["data"]
    told = {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert told["TOKEN"] == "geheim"
    assert told["SLIPWAY_JOB"] == "j7x0k2m4q9tzd"
    assert "GREETING" not in told
    assert len(bytes.fromhex(told[".doorman"])) == 32
    everything = {kind: str(each) for kind, each in made().items()}
    assert [kind for kind, text in everything.items() if "geheim" in text] == []


def test_nothing_beside_a_secrets_own_data_tells_what_is_in_it() -> None:
    """Nor a digest by which a guess could be checked."""
    found = made()
    data = found["Secret"].pop("data")
    hidden = ["geheim", data["TOKEN"], data[secret.DOORMAN], SETTINGS.doorman_key]
    hidden.append(base64.b64decode(data[secret.DOORMAN]).decode())
    hidden += [hashlib.sha256(each.encode()).hexdigest() for each in hidden]
    said = str(found)
    assert [each for each in hidden if each in said] == []
    found["Secret"]["data"] = data
    guess = {**data, "TOKEN": base64.b64encode(b"guess").decode()}
    assert summary(found["Secret"]) != summary(found["Secret"] | {"data": guess})


def test_who_tolerates_everything_keeps_off_the_nodes_of_the_cluster_itself() -> None:
    alike = (Toleration(operator="Exists"),)
    asked = NodeAffinity(
        required=NodeSelector(
            node_selector_terms=tuple(
                NodeTerm(match_expressions=(NodeExpression(key=key, operator="Exists"),))
                for key in ("a", "b")
            )
        )
    )
    for affinity in (None, Affinity(node_affinity=asked)):
        found = pod(valohai(tolerations=alike, affinity=affinity))["affinity"]["nodeAffinity"]
        for term in found[placement.REQUIRED]["nodeSelectorTerms"]:
            kept = {e["key"] for e in term["matchExpressions"] if e["operator"] == "DoesNotExist"}
            assert kept == set(placement.CLUSTERS)


def test_pods_are_replaced_when_a_secret_changes() -> None:
    before = made()["Deployment"]["spec"]["template"]
    assert before == made()["Deployment"]["spec"]["template"]
    after = made(valohai(variables={**VALOHAI.endpoint.variables, "TOKEN": "new"}))
    assert after["Deployment"]["spec"]["template"] != before


@pytest.mark.parametrize(
    ("has", "says"),
    [
        ({"user": ""}, "root"),
        ({"user": "root"}, "root"),
        ({"user": "0:0"}, "root"),
        ({"user": "nobody"}, "nobody"),
        ({"entrypoint": ()}, "what to run"),
        ({"entrypoint": ("a\0",)}, "NUL"),
    ],
)
def test_some_images_can_never_run(has: dict[str, Any], says: str) -> None:
    refused = manifests.manifests(VALOHAI, replace(IMAGE, **has), SETTINGS)
    assert isinstance(refused, Refused)
    assert says in refused.reason


def test_root_is_root_where_the_operator_allows_it_and_nothing_more() -> None:
    found = pod(image=replace(IMAGE, user="root"), settings=replace(SETTINGS, allow_root=True))
    server = found["containers"][0]["securityContext"]
    assert (server["runAsUser"], server["runAsNonRoot"]) == (0, False)
    assert server["capabilities"] == {"drop": ["ALL"]}
    assert found["containers"][1]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"repository": ""}, "registry"),
        ({"image": "latest"}, "name of an image"),
        ({"files": {"/a": b"x" * 1_000_001}}, "files are larger"),
        ({"devices": ("a", "b", "c"), "copies": 2}, "share"),
        ({"devices": ("a",)}, "not scaled by themselves"),
        ({"project": "mallory/whales"}, "no volume 'models' is offered to 'mallory/whales'"),
    ],
)
def test_some_workloads_can_never_run(changes: dict[str, Any], says: str) -> None:
    refused = manifests.manifests(replace(VALOHAI, **changes), IMAGE, SETTINGS)
    assert isinstance(refused, Refused)
    assert says in refused.reason


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"node_selector": "gpu"}, "key=value"),
        ({"node_selector": "a b=c"}, "no label"),
        ({"node_labels": {"a": "b c"}}, "no label"),
        ({"tolerations": (Toleration(effect="NoSchedule"),)}, "without a key"),
        ({"tolerations": (Toleration(key="a", seconds=1),)}, "NoExecute"),
        ({"tolerations": (Toleration(key=placement.CLUSTERS[0]),)}, "not for endpoints"),
        ({"tolerations": (Toleration(key=placement.LEAVING),)}, "not for endpoints"),
        ({"volumes": (Volume(claim="models", mount_path="/slipway/k8s"),)}, "mounted at"),
        ({"volumes": (Volume(claim="models", mount_path="//proc/1"),)}, "mounted at"),
        ({"volumes": (Volume(claim="models", mount_path="/"),)}, "mounted at"),
        ({"volumes": (Volume(claim="models", mount_path="/m", sub_path="../x"),)}, "inside"),
        ({"volumes": (Volume(claim="models", mount_path="/work/"),)}, "same path"),
        ({"resources": Resources(memory=Range(max=float("nan")))}, "no amount"),
        ({"resources": Resources(cpu=Range(min=2, max=1))}, "more than at most"),
        ({"disk_gib": -1}, "size of a disk"),
        ({"variables": {"A.B": "c"}}, "name of a variable"),
        ({"variables": {"SLIPWAY_INSIDE_LD_PRELOAD": "c"}}, "must not begin"),
        ({"variables": {"A": "x" * 1_000_001}}, "variables are larger"),
    ],
)
def test_some_endpoints_can_never_run(changes: dict[str, Any], says: str) -> None:
    refused = manifests.manifests(valohai(**changes), IMAGE, SETTINGS)
    assert isinstance(refused, Refused)
    assert says in refused.reason


@pytest.mark.parametrize(
    ("port", "low", "sysctls"), [(80, True, 1), (80, False, 0), (8000, True, 0)]
)
def test_a_low_port_needs_no_root(port: int, low: bool, sysctls: int) -> None:
    found = pod(valohai(port=port), settings=replace(SETTINGS, low_ports=low))
    assert len(found["securityContext"].get("sysctls", [])) == sysctls


@pytest.mark.parametrize(
    ("asked", "requests", "limits"),
    [
        (Resources(), ("100m", "256Mi"), ("2", "2Gi")),
        (Resources(cpu=Range(min=4), memory=Range(min=4096)), ("4", "4Gi"), ("4", "4Gi")),
        (Resources(cpu=Range(max=0.05), memory=Range(max=100)), ("50m", "100Mi"), ("50m", "100Mi")),
        (Resources(cpu=Range(max=0), memory=Range(max=0)), ("1m", "1Mi"), ("1m", "1Mi")),
    ],
)
def test_there_is_always_a_limit(
    asked: Resources, requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    found = pod(valohai(resources=asked))["containers"][0]["resources"]
    assert (found["requests"]["cpu"], found["requests"]["memory"]) == requests
    assert (found["limits"]["cpu"], found["limits"]["memory"]) == limits


def test_a_disk_can_be_a_volume() -> None:
    settings = replace(SETTINGS, disk="volume", storage_class="slow")
    found = pod(valohai(disk_gib=50, workspace=None), settings=settings)
    disk = next(each for each in found["volumes"] if each["name"] == "disk")
    claim = disk["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["resources"]["requests"]["storage"] == "50Gi"
    assert claim["storageClassName"] == "slow"
    assert found["containers"][0]["resources"]["limits"]["ephemeral-storage"] == "10Gi"
    old = pod(valohai(disk_gib=50), settings=replace(settings, ephemeral_volumes=False))
    assert {"name": "workspace", "emptyDir": {"sizeLimit": "20Gi"}} in old["volumes"]


def test_gpus_are_waited_for_and_others_are_not() -> None:
    def surge(workload: Workload) -> tuple[int, int]:
        told = made(workload)["Deployment"]["spec"]["strategy"]["rollingUpdate"]
        return told["maxSurge"], told["maxUnavailable"]

    assert surge(PROXIML) == (0, 1)
    assert surge(VALOHAI) == (1, 0)


def test_without_gpus_a_server_sees_none() -> None:
    told = {
        each["name"]: each.get("value") for each in pod(image=GPU_IMAGE)["containers"][0]["env"]
    }
    assert told["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert told["CUDA_VISIBLE_DEVICES"] is None  # which is empty
    init = made(image=GPU_IMAGE)["ConfigMap"]["data"]["init"]
    assert "unset CUDA" not in init


def test_with_gpus_the_cluster_says_which() -> None:
    told = {each["name"] for each in pod(PROXIML, GPU_IMAGE)["containers"][0]["env"]}
    assert not {"NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"} & told
    assert "unset CUDA_VISIBLE_DEVICES" in made(PROXIML, GPU_IMAGE)["ConfigMap"]["data"]["init"]


def test_a_batch_has_no_second_try_and_no_doorman() -> None:
    found = manifests.batch(VALOHAI, IMAGE, SETTINGS, owner="uid")
    assert not isinstance(found, Refused)
    spec = found[-1]["spec"]
    assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert [each["name"] for each in spec["template"]["spec"]["containers"]] == ["server"]
    begun = manifests.first(VALOHAI, IMAGE, SETTINGS, once=True)
    assert not isinstance(begun, Refused)
    assert "\n_once=1\n" in begun[1]["data"]["init"]

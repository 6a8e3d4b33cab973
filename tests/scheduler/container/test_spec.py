"""From workloads to what engines are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Replica
from services.scheduler.drivers.container import init, spec
from services.scheduler.drivers.container.engine import ImageConfig, Kind, Version
from services.scheduler.drivers.container.spec import Labels, Place
from shared.endpoint import Range, Resources
from shared.ids import JobId
from tests.scheduler.images import workload

DIGEST = "sha256:" + "0" * 64
REPLICA = Replica(JobId("j1"), 2)


def body(
    image: ImageConfig | None = None, *, kind: Kind = "docker", published: bool = False, **more: Any
) -> dict[str, Any]:
    work = workload(DIGEST, job="j1", attempt=2, **more)
    labels = spec.labels("h1", work, "mark")
    place = Place(kind=kind, network="n1", published=published)
    return spec.body(image or ImageConfig(), work, f"registry.example/a@{DIGEST}", labels, place)


def env(told: dict[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in told["Env"])


def test_it_runs_what_the_image_runs_under_our_own_first_process() -> None:
    image = ImageConfig(
        entrypoint=["/bin/sh", "-c"], cmd=["serve"], working_dir="/valohai/code", user="1000:1000"
    )
    told = body(image)
    assert told["Entrypoint"] == ["/bin/sh", "/slipway/init", "mark"]
    assert told["Cmd"] == ["/bin/sh", "-c", "serve"]
    assert (told["WorkingDir"], told["User"]) == ("/valohai/code", "1000:1000")
    assert told["Image"] == f"registry.example/a@{DIGEST}"


def test_it_can_gain_nothing() -> None:
    host = body()["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 4096
    assert not {"Privileged", "Binds", "Mounts", "Devices", "CapAdd"} & set(host)


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        (Resources(), {}),
        (Resources(cpu=Range(min=0.5, max=2)), {"CpuShares": 512, "NanoCpus": 2_000_000_000}),
        (
            Resources(memory=Range(max=100)),
            {"Memory": 100 << 20, "MemorySwap": 100 << 20, "MemoryReservation": 100 << 20},
        ),
        (
            Resources(memory=Range(min=50, max=100)),
            {"Memory": 100 << 20, "MemorySwap": 100 << 20, "MemoryReservation": 50 << 20},
        ),
        (Resources(memory=Range(min=50)), {"MemoryReservation": 50 << 20}),
        (Resources(cpu=Range(min=0.0001)), {"CpuShares": 2}),
    ],
)
def test_what_it_was_given_is_a_limit(resources: Resources, limits: dict[str, Any]) -> None:
    assert spec.limits(resources) == limits


def test_a_disk_limit_can_be_left_out() -> None:
    told = body(resources=Resources(disk=Range(max=100)))
    assert told["HostConfig"]["StorageOpt"] == {"size": "100m"}
    assert "StorageOpt" not in spec.without_disk(told)["HostConfig"]
    assert "StorageOpt" not in body()["HostConfig"]


@pytest.mark.parametrize(
    ("devices", "kind", "requests", "cuda", "nvidia"),
    [
        ((), "docker", [], "", "void"),
        ((), "podman", [], "", "void"),
        (
            ("GPU-7", "MIG-3"),
            "docker",
            [{"Driver": "nvidia", "DeviceIDs": ["GPU-7", "MIG-3"], "Capabilities": [["gpu"]]}],
            "GPU-7,MIG-3",
            "GPU-7,MIG-3",
        ),
        (
            ("2", "3"),
            "docker",
            [{"Driver": "nvidia", "DeviceIDs": ["2", "3"], "Capabilities": [["gpu"]]}],
            "0,1",
            "2,3",
        ),
        (
            ("GPU-7",),
            "podman",
            [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-7"]}],
            "GPU-7",
            "GPU-7",
        ),
    ],
)
def test_it_gets_the_gpus_that_it_holds(
    devices: tuple[str, ...], kind: Kind, requests: list[Any], cuda: str, nvidia: str
) -> None:
    told = body(ImageConfig(env=["NVIDIA_VISIBLE_DEVICES=all"]), kind=kind, devices=devices)
    assert told["HostConfig"]["DeviceRequests"] == requests
    assert env(told)["CUDA_VISIBLE_DEVICES"] == cuda
    assert env(told)["NVIDIA_VISIBLE_DEVICES"] == nvidia


@pytest.mark.parametrize(
    ("said", "kind", "number"),
    [
        ({"Version": "20.10.24+dfsg1", "Components": [{"Name": "Engine"}]}, "docker", (20, 10)),
        ({"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}, "podman", (4, 3)),
        ({"Version": "5.4.0-dev", "Components": [{"Name": "Podman Engine"}]}, "podman", (5, 4)),
        ({}, "docker", ()),
    ],
)
def test_engines_are_told_apart(said: Any, kind: Kind, number: tuple[int, ...]) -> None:
    version = msgspec.convert(said, Version)
    assert (version.kind, version.number) == (kind, number)


def test_B15_what_tools_of_the_machine_would_obey_is_for_the_server_alone() -> None:
    image = ImageConfig(env=["LD_PRELOAD=/x.so", "NVIDIA_DISABLE_REQUIRE=1", "A=1"])
    told = env(body(image, environment={"LD_LIBRARY_PATH": "/lib"}))
    assert (told["LD_PRELOAD"], told["NVIDIA_DISABLE_REQUIRE"], told["A"]) == ("", "", "1")
    assert "LD_LIBRARY_PATH" not in told
    files = spec.files(image, workload(DIGEST, environment={"LD_LIBRARY_PATH": "a'b"}))
    program = files[init.PATH].decode()
    assert "export LD_PRELOAD=/x.so\n" in program
    assert "export LD_LIBRARY_PATH='a'\"'\"'b'\n" in program
    assert "NVIDIA" not in program


def test_the_workload_has_the_last_word_on_its_environment() -> None:
    told = env(body(ImageConfig(env=["A=1", "B=2", "PORT=1"]), environment={"A": "3"}))
    assert (told["A"], told["B"], told["PORT"]) == ("3", "2", "1")
    assert env(body(port=8123))["PORT"] == "8123"


def test_a_port_is_published_only_where_its_own_address_is_out_of_reach() -> None:
    near, far = body(port=80), body(port=80, published=True)
    assert near["HostConfig"]["PortBindings"] == near["ExposedPorts"] == {}
    assert far["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]
    }


def test_labels_tell_all_that_another_scheduler_needs() -> None:
    work = workload(DIGEST, job="j1", attempt=2, port=80, devices=("GPU-7", "GPU-9"))
    assert spec.read_labels(spec.labels("h1", work, "mark")) == Labels(
        replica=REPLICA,
        port=80,
        readiness="listening",
        mark="mark",
        devices=("GPU-7", "GPU-9"),
    )


def test_a_container_without_gpus_or_from_before_they_were_labelled_has_no_devices() -> None:
    found = spec.labels("h1", workload(DIGEST), "mark")
    for labels in (found, {k: v for k, v in found.items() if k != spec.DEVICES}):
        read = spec.read_labels(labels)
        assert read is not None
        assert read.devices == ()


@pytest.mark.parametrize(
    "changes",
    [
        {spec.REPLICA: "nobody"},
        {spec.REPLICA: "j1-x"},
        {spec.REPLICA: "../../etc-1"},
        {spec.PORT: "many"},
        {spec.READINESS: "perhaps"},
    ],
)
def test_labels_that_somebody_made_up_are_none(changes: dict[str, str]) -> None:
    found = spec.labels("h1", workload(DIGEST), "mark")
    assert spec.read_labels({**found, **changes}) is None
    assert spec.read_labels({}) is None


def test_podmans_networks_are_a_replicas_own_and_dockers_are_deaf() -> None:
    own, shared = (spec.network("h1", REPLICA, kind) for kind in ("podman", "docker"))
    assert own["Name"] == "slipway-h1-j1-2"
    assert own["Options"]["isolate"] == "true"
    assert shared["Name"] == "slipway-h1"
    assert shared["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert spec.REPLICA not in shared["Labels"]
    bridges = {each["Options"]["com.docker.network.bridge.name"] for each in (own, shared)}
    assert len(bridges) == 2
    assert all(len(bridge) <= 15 for bridge in bridges)


def test_files_of_the_workload_can_not_take_the_place_of_the_first_process() -> None:
    work = workload(DIGEST, files={"/a": b"1", init.PATH: b"mine"})
    found = spec.files(ImageConfig(), work)
    assert found["/a"] == b"1"
    assert found[init.PATH].startswith(b"#!/bin/sh\n")


def test_gpus_that_are_only_counted_are_named_and_not_given() -> None:
    work = workload(DIGEST, job="j1", attempt=2, devices=("2", "3"))
    place = Place(kind="docker", network="n1", published=False, gives_gpus=False)
    told = spec.body(ImageConfig(), work, DIGEST, spec.labels("h1", work, "mark"), place)
    assert told["HostConfig"]["DeviceRequests"] == []
    assert env(told)["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert env(told)["NVIDIA_VISIBLE_DEVICES"] == "void"

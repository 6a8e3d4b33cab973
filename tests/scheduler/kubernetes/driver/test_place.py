"""Where replicas with GPUs may go, and that it is not said anew while they run."""

from __future__ import annotations

from typing import Any

import msgspec

from services.scheduler.drivers.kubernetes import view
from services.scheduler.drivers.kubernetes.maker import place
from services.scheduler.drivers.kubernetes.manifests.settings import Room
from services.scheduler.drivers.kubernetes.objects import Node, Part
from tests.scheduler.images import workload

LABEL = "nvidia.com/gpu.product"


def node(name: str, product: str) -> Node:
    return msgspec.convert({"metadata": {"name": name, "labels": {LABEL: product}}}, Node)


def placed(*devices: str, nodes: Any = (), settled: Room | None = None) -> Room | None:
    work = msgspec.structs.replace(workload("sha256:x"), devices=devices)
    return place(work, nodes, settled)


A, B = node("a", "NVIDIA-A100-SXM4-40GB"), node("b", "NVIDIA-A100-PCIE-40GB")
T = node("t", "Tesla-T4")
BOTH = ("NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-SXM4-40GB")


def test_all_machines_with_gpus_of_its_type_are_good_enough() -> None:
    assert placed("a/0", nodes=(A, B, T)) == Room(nodes=("a",), label=LABEL, values=BOTH)
    assert placed(nodes=(A, B)) is None


def test_what_was_said_stays_when_copies_and_machines_come_and_go() -> None:
    settled = placed("a/0", nodes=(A, B, T))
    assert placed("a/0", "b/1", nodes=(A, B, T), settled=settled) == settled
    assert placed("a/0", nodes=(T,), settled=settled) == settled, "its machine is gone"
    assert placed("a/0", nodes=(), settled=settled) == settled


def test_a_machine_of_another_make_is_let_in_when_it_was_chosen() -> None:
    settled = placed("a/0", nodes=(A,))
    assert settled == Room(nodes=("a",), label=LABEL, values=BOTH[1:])
    assert placed("a/0", "b/0", nodes=(A, B), settled=settled) == Room(
        nodes=("a",), label=LABEL, values=BOTH
    )


def test_an_anchor_says_where_its_replica_was_to_go() -> None:
    for room in (Room(nodes=("a", "b"), label=LABEL, values=BOTH), Room(nodes=("a",)), None):
        assert view.Held(anchor=Part(data=dict(view.written(room)))).room == room

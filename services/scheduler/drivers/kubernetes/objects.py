"""What we read of a cluster's objects: a few fields of each, and any may be missing or null."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import msgspec

from services.scheduler.drivers.kubernetes.metadata import Metadata, Seen


class Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Terminated(Struct, frozen=True, kw_only=True):
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class Waiting(Struct, frozen=True, kw_only=True):
    reason: str | None = None
    message: str | None = None


class Running(Struct, frozen=True, kw_only=True):
    started_at: str | None = None


class State(Struct, frozen=True, kw_only=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True, kw_only=True):
    name: str | None = None
    ready: bool | None = None
    restart_count: int | None = None
    state: State | None = None
    last_state: State | None = None


class Condition(Struct, frozen=True, kw_only=True):
    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class PodStatus(Struct, frozen=True, kw_only=True):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Resources(Struct, frozen=True, kw_only=True):
    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class Port(Struct, frozen=True, kw_only=True):
    name: str | None = None
    container_port: int | None = None


class Container(Struct, frozen=True, kw_only=True):
    name: str | None = None
    ports: list[Port] | None = None
    resources: Resources | None = None


class PodSpec(Struct, frozen=True, kw_only=True):
    node_name: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None


class Pod(Seen, frozen=True, kw_only=True):
    spec: PodSpec | None = None
    status: PodStatus | None = None

    @property
    def over(self) -> bool:
        """Its containers have ended for good, so it holds nothing any more."""
        return self.status is not None and self.status.phase in ("Succeeded", "Failed")

    @property
    def failed(self) -> bool:
        return self.status is not None and self.status.phase == "Failed"

    @property
    def leaving(self) -> bool:
        return bool(self.metadata.deletion_timestamp)

    @property
    def node(self) -> str:
        return (self.spec and self.spec.node_name) or ""

    @property
    def ready(self) -> bool:
        """Whether it was when its machine last spoke. The cluster itself calls every pod of a
        silent machine not ready, also when it was the cluster that could not listen for a while;
        what is said of the containers is the machine's word.
        """
        found = condition(self.status, "Ready")
        if found is not None and found.status == "True":
            return True
        statuses = (self.status and self.status.container_statuses) or ()
        return bool(statuses) and all(one.ready for one in statuses)

    def container(self, name: str) -> ContainerStatus | None:
        statuses = (self.status and self.status.container_statuses) or ()
        return next((one for one in statuses if one.name == name), None)


class PartStatus(Struct, frozen=True, kw_only=True):
    conditions: list[Condition] | None = None
    observed_generation: int | None = None


class Part(Seen, frozen=True, kw_only=True):
    """One of the objects that a replica is made of, whole but for its kind and most metadata."""

    spec: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    binary_data: dict[str, Any] | None = None
    type: str | None = None
    immutable: bool | None = None

    @property
    def as_manifest(self) -> dict[str, Any]:
        """As drift.py compares it with what was applied."""
        meta = self.metadata
        owners = [
            {"kind": owner.kind, "name": owner.name, "uid": owner.uid}
            for owner in meta.owner_references or ()
        ]
        return {
            "metadata": {
                "name": meta.name,
                "namespace": meta.namespace,
                "labels": meta.labels or {},
                "annotations": meta.annotations or {},
                "ownerReferences": owners,
            },
            "spec": self.spec,
            "data": self.data,
            "binaryData": self.binary_data,
            "type": self.type,
            "immutable": self.immutable,
        }


class Deployment(Part, frozen=True, kw_only=True):
    status: PartStatus | None = None

    @property
    def wanted(self) -> int | None:
        """How many copies it was told to run."""
        found = (self.spec or {}).get("replicas", 1)
        return found if isinstance(found, int) else None

    @property
    def settled(self) -> bool:
        """Whether its controller has seen what it was told last."""
        return _settled(self.metadata, self.status)


class JobStatus(PartStatus, frozen=True, kw_only=True):
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None


class Job(Part, frozen=True, kw_only=True):
    """What keeps the pod of a run."""

    status: JobStatus | None = None

    @property
    def wanted(self) -> int:
        return 1

    @property
    def settled(self) -> bool:
        """Whether its controller has made its pod."""
        told = self.status
        return told is not None and any((told.active, told.succeeded, told.failed))


Keeper: TypeAlias = Deployment | Job
"""What keeps the pods of a replica."""


class _Copies(Struct, frozen=True, kw_only=True):
    replicas: int | None = None


class ReplicaSet(Seen, frozen=True, kw_only=True):
    spec: _Copies | None = None
    status: PartStatus | None = None

    @property
    def wanted(self) -> int:
        found = self.spec.replicas if self.spec is not None else None
        return 1 if found is None else found

    @property
    def settled(self) -> bool:
        return _settled(self.metadata, self.status)


class Taint(Struct, frozen=True, kw_only=True):
    key: str | None = None
    effect: str | None = None


class NodeSpec(Struct, frozen=True, kw_only=True):
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class NodeStatus(Struct, frozen=True, kw_only=True):
    allocatable: dict[str, str | int | float] | None = None
    conditions: list[Condition] | None = None


class Node(Seen, frozen=True, kw_only=True):
    spec: NodeSpec | None = None
    status: NodeStatus | None = None

    @property
    def ready(self) -> bool:
        found = condition(self.status, "Ready")
        return found is not None and found.status == "True"


def _settled(metadata: Metadata, status: PartStatus | None) -> bool:
    return ((status is not None and status.observed_generation) or 0) >= metadata.generation


class _Status(Protocol):
    @property
    def conditions(self) -> list[Condition] | None: ...


def condition(status: _Status | None, type: str) -> Condition | None:
    conditions = None if status is None else status.conditions
    return next((one for one in conditions or () if one.type == type), None)


def moment(stamp: str | None) -> datetime | None:
    """A cluster's time in microseconds, None when it is none.

    >>> moment("2026-01-02T03:04:05.123456789Z")
    datetime.datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=datetime.timezone.utc)
    """
    try:
        found = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

"""What a cluster holds of each replica, gathered from the pictures of its objects. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.drivers.kubernetes import nodes
from services.scheduler.drivers.kubernetes.drift import drift
from services.scheduler.drivers.kubernetes.manifests import applied, names
from services.scheduler.drivers.kubernetes.manifests.settings import Room
from services.scheduler.drivers.kubernetes.metadata import Metadata
from services.scheduler.drivers.kubernetes.objects import Job, Keeper, Part, Pod
from shared.ids import JobId

T = TypeVar("T", bound=Part)

PARTS: Final = "parts"  # in an anchor's data: the kinds that it owns
KEPT: Final = 20_000  # states of parts
LONGEST: Final = 500  # characters of what changed
_BOUNDS: Final = ("minReplicas", "maxReplicas", "scaleTargetRef")
NODES: Final = "nodes"  # in an anchor's data: those that are best for its replica ...
PRODUCT: Final = "product"  # ... and the label, with its values, of those that are good enough
DEVICES: Final = "devices"  # in an anchor's data: the GPUs that its replica holds


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is of one replica."""

    anchor: Part | None = None
    deployment: Keeper | None = None  # a Job, of a run
    others: Mapping[str, Part] = {}  # kind -> one
    pods: tuple[Pod, ...] = ()

    @property
    def autoscaled(self) -> bool:
        return "HorizontalPodAutoscaler" in (*self.others, *self.parts)

    @property
    def keeper(self) -> str:
        """The kind of what keeps its pods, or would."""
        return "Job" if isinstance(self.deployment, Job) or "Job" in self.parts else "Deployment"

    @property
    def parts(self) -> tuple[str, ...]:
        """The kinds that it was made of."""
        return _words(self.anchor, PARTS)

    @property
    def devices(self) -> tuple[str, ...]:
        return _words(self.anchor, DEVICES)

    @property
    def room(self) -> Room | None:
        """Where it was to go when it was made."""
        nodes = _words(self.anchor, NODES)
        label, *values = _words(self.anchor, PRODUCT) or ("",)
        return Room(nodes=nodes, label=label, values=tuple(values)) if nodes else None


def gathered(
    anchors: Iterable[Part],
    deployments: Iterable[Keeper],
    others: Mapping[str, Iterable[Part]],
    pods: Iterable[Pod],
) -> dict[Replica, Held]:
    """By replica. What is left of one after its anchor, its Deployment and its pods have gone is
    the garbage collector's, and does not count."""
    anchor, deployment = _by_replica(anchors), _by_replica(deployments)
    rest = {kind: _by_replica(found) for kind, found in others.items()}
    copies: dict[Replica, list[Pod]] = {}
    for pod in pods:
        if (whose := replica(pod.metadata)) is not None:
            copies.setdefault(whose, []).append(pod)
    return {
        one: Held(
            anchor=anchor.get(one),
            deployment=deployment.get(one),
            others={kind: found[one] for kind, found in rest.items() if one in found},
            pods=tuple(copies.get(one, ())),
        )
        for one in {*anchor, *deployment, *copies}
    }


def written(room: Room | None) -> dict[str, str]:
    """For an anchor's data, where `Held.room` reads it."""
    if room is None:
        return {NODES: "", PRODUCT: ""}
    return {NODES: " ".join(room.nodes), PRODUCT: " ".join((room.label, *room.values)).strip()}


def replica(metadata: Metadata) -> Replica | None:
    """Whose an object is, by its labels; None when it does not say.

    >>> replica(Metadata(labels={"slipway.dev/job": "j1", "slipway.dev/attempt": "2"}))
    Replica(job='j1', attempt=2)
    """
    labels = metadata.labels or {}
    job, attempt = labels.get(names.JOB, ""), labels.get(names.ATTEMPT, "")
    if not job or not attempt.isdecimal() or len(attempt) > 9:
        return None
    return Replica(JobId(job), int(attempt))


class Changes:
    """What somebody else changed about replicas' parts. Each state of a part is compared once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def of(self, held: Held) -> str:
        """For a person; "" where all is as it was made."""
        found = {"ConfigMap": held.anchor, held.keeper: held.deployment, **held.others}
        told = [
            f"its {kind}: {what}"
            for kind, part in found.items()
            if part is not None and (what := self._part(kind, part))
        ]
        told += [f"its {kind} is gone" for kind in held.parts if found.get(kind) is None]
        return "; ".join(told)[:LONGEST]

    def _part(self, kind: str, part: Part) -> str:
        key = part.metadata.uid, part.metadata.resource_version
        if key not in self._known:
            self._known[key] = change(kind, part)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[key]


def change(kind: str, part: Part) -> str:
    """What is different about a part; "" where it is as it was made."""
    live = {"kind": kind, **part.as_manifest}
    before = applied.applied(live)
    if before is None:
        return "it does not say how it was made"
    if kind == "HorizontalPodAutoscaler":  # it has versions with other words for the same
        before = before | {"spec": {k: v for k, v in before["spec"].items() if k in _BOUNDS}}
    now = {key: value for key, value in live.items() if value is not None}
    return drift(before, applied.summary(now))


def numbers(held: Iterable[Held]) -> dict[str, set[int]]:
    """The GPUs that replicas hold, by node."""
    found: dict[str, set[int]] = {}
    for one in held:
        for device in one.devices:
            node, number = nodes.place(device)
            if node:
                found.setdefault(node, set()).add(number)
    return found


def _words(anchor: Part | None, key: str) -> tuple[str, ...]:
    data = anchor.data if anchor is not None else None
    return tuple(str((data or {}).get(key) or "").split())


def _by_replica(parts: Iterable[T]) -> dict[Replica, T]:
    return {whose: one for one in parts if (whose := replica(one.metadata)) is not None}

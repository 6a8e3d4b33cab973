"""What a scheduler of the drill and its target say to each other: a line of JSON each way."""

from __future__ import annotations

import msgspec

from services.scheduler.driver import Gpu, Observed, Refused, Replica, Started, Workload


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question to the target."""

    number: int
    what: str  # a method of `Driver`
    workload: Workload | None = None
    replica: Replica | None = None
    replicas: list[Replica] = []
    grace: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Its answer; number 0: something has changed there."""

    number: int
    seen: list[tuple[Replica, Observed]] = []
    gpus: list[Gpu] = []
    devices: list[str] = []
    addresses: tuple[str, ...] = ()
    refused: str | None = None
    trouble: str | None = None

    @property
    def outcome(self) -> Started | Refused:
        if self.refused is not None:
            return Refused(self.refused)
        return msgspec.convert({"addresses": self.addresses}, Started)

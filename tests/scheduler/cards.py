"""NVIDIA's library played, for machines without its driver: cards that can be broken at will.

It has the functions of pynvml that the door uses, and fails by the same errors.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml  # type: ignore[import-untyped]

GIB = 1 << 30


class PlayedCard:
    def __init__(self, uuid: str, name: str = "NVIDIA H100 80GB HBM3", memory: int = 80 * GIB):
        self.uuid = uuid
        self.name = name
        self.memory = memory
        self.used = 0
        self.computing: dict[int, int] = {}  # bytes by process
        self.showing: dict[int, int] = {}
        self.error: int | None = None  # with which every question about it fails
        self.action: int | None = 0  # that the driver wants; None: it is too old to say
        self.ecc: int | None = 0  # None: the card has none
        self.remapped = (0, 0, 0, 0)
        self.mig = False
        self.parts: list[PlayedCard] = []

    def hold(self, process: int, used: int) -> None:
        self.computing[process] = used
        self.used += used


class PlayedLibrary:
    """What is asked of a session that is not open fails, as with the real one."""

    def __init__(self, *cards: PlayedCard) -> None:
        self.cards = list(cards)
        self.error: int | None = None  # with which a session begins, or every question fails
        self.xids: list[tuple[PlayedCard, int]] = []  # that are yet to be told
        self.sessions = 0
        self.open = 0

    def nvmlInit(self) -> None:
        if self.error is not None:
            raise pynvml.NVMLError(self.error)
        self.sessions += 1
        self.open += 1

    def nvmlShutdown(self) -> None:
        if not self.open:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        if not self.open:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if self.error is not None:
            raise pynvml.NVMLError(self.error)
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> PlayedCard:
        return _well(self.cards[number])

    def nvmlDeviceGetUUID(self, card: PlayedCard) -> str:
        return _well(card).uuid

    def nvmlDeviceGetName(self, card: PlayedCard) -> str:
        return _well(card).name

    def nvmlDeviceGetMemoryInfo(self, card: PlayedCard, version: Any = None) -> Any:
        return SimpleNamespace(total=_well(card).memory, used=card.used)

    def nvmlDeviceGetComputeRunningProcesses(self, card: PlayedCard) -> list[Any]:
        return _processes(_well(card).computing)

    def nvmlDeviceGetGraphicsRunningProcesses(self, card: PlayedCard) -> list[Any]:
        return _processes(_well(card).showing)

    def nvmlDeviceGetMigMode(self, card: PlayedCard) -> list[int]:
        return [int(_well(card).mig)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, card: PlayedCard) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: PlayedCard, place: int) -> PlayedCard:
        if place >= len(_well(card).parts):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return card.parts[place]

    def nvmlDeviceGetTotalEccErrors(self, card: PlayedCard, kind: int, counter: int) -> int:
        return _said(_well(card).ecc)

    def nvmlDeviceGetRemappedRows(self, card: PlayedCard) -> tuple[int, int, int, int]:
        return _well(card).remapped

    def nvmlDeviceGetFieldValues(self, card: PlayedCard, fields: list[int]) -> list[Any]:
        value = SimpleNamespace(uiVal=_said(_well(card).action))
        return [SimpleNamespace(nvmlReturn=pynvml.NVML_SUCCESS, value=value)]

    def nvmlEventSetCreate(self) -> object:
        return object()

    def nvmlDeviceRegisterEvents(self, card: PlayedCard, kinds: int, events: object) -> None:
        _well(card)

    def nvmlEventSetWait_v2(self, events: object, timeout: int) -> Any:
        if not self.xids:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        card, xid = self.xids.pop(0)
        return SimpleNamespace(device=card, eventData=xid)


def _well(card: PlayedCard) -> PlayedCard:
    if card.error is not None:
        raise pynvml.NVMLError(card.error)
    return card


def _said(value: int | None) -> int:
    if value is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return value


def _processes(found: dict[int, int]) -> list[Any]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in found.items()]

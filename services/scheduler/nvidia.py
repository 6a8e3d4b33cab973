"""The door to NVIDIA's driver: what it says of the cards of this machine, at one look.

Its session stays open between looks, for only then does the driver keep what goes wrong on a card
(Xid events) for us. It is opened anew after any trouble, and now and then: a session doesn't see
cards that come later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
import pynvml  # type: ignore[import-untyped]

from services.scheduler.health import Health
from shared.errors import Transient

ABSENT: Final = (
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
)
LOST: Final = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED)

OWN_FAULT: Final = frozenset({13, 31, 43, 45, 68, 109})
"""Xids that a program brings upon itself; the GPU is as good as before."""

LOOKS: Final = 30  # in one session
EVENTS: Final = 256  # read at one look, at most


class Absent(Transient):
    """There is no driver here, or it is not for us."""


class Silent(Transient):
    """There is a driver, and it does not answer."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU, or one of the parts that MIG makes of it."""

    number: int
    uuid: str = ""  # empty: no more than `health` can be told of it
    name: str = ""
    memory: int = 0  # bytes
    health: Health = Health()
    part: bool = False  # of the GPU of that number


class Door(Protocol):
    def cards(self) -> Sequence[Card]:
        """Those that are there now; of one that is split by MIG, its parts in its place.

        It may block. Raises Absent or Silent, and can then be asked again.
        """


class Nvidia:
    def __init__(self, library: Any = pynvml) -> None:
        self._library = library
        self._looks = 0  # in the present session
        self._events: Any = None
        self._watched: set[str] = set()  # cards whose Xids are kept for us

    def cards(self) -> Sequence[Card]:
        try:
            self._open()
            xids = self._xids()
            cards = [
                card
                for number in range(self._library.nvmlDeviceGetCount())
                for card in self._card(number, xids)
            ]
        except pynvml.NVMLError as error:
            self._close()
            kind = Absent if error.value in ABSENT else Silent
            raise kind(str(error)) from error
        self._looks += 1
        if self._looks >= LOOKS or any(card.health.broken for card in cards):
            self._close()
        return cards

    def _open(self) -> None:
        if self._looks == 0:
            self._library.nvmlInit()
            self._events = _or(None, self._library.nvmlEventSetCreate)

    def _close(self) -> None:
        self._looks, self._watched, self._events = 0, set(), None
        with suppress(pynvml.NVMLError):
            self._library.nvmlShutdown()  # takes the events with it

    def _card(self, number: int, xids: dict[str, int]) -> Iterator[Card]:
        try:
            handle = self._library.nvmlDeviceGetHandleByIndex(number)
            uuid = _text(self._library.nvmlDeviceGetUUID(handle))
            self._watch(handle, uuid)
            on, _ = _or((0, 0), self._library.nvmlDeviceGetMigMode, handle)
            if on:
                yield from list(self._parts(number, handle, xids.get(uuid)))
            else:
                yield self._read(number, handle, handle, xids.get(uuid))
        except pynvml.NVMLError as error:
            yield Card(number=number, health=_trouble(error))

    def _parts(self, number: int, handle: Any, xid: int | None) -> Iterator[Card]:
        count = 0
        for place in range(self._library.nvmlDeviceGetMaxMigDeviceCount(handle)):
            part = _or(None, self._library.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
            if part is not None:  # else there is none in this place
                count += 1
                yield self._read(number, part, handle, xid, part=True)
        if not count:
            whole = self._read(number, handle, handle, xid)
            health = msgspec.structs.replace(whole.health, doubt="MIG is on, and it has no parts")
            yield msgspec.structs.replace(whole, health=health)

    def _read(
        self, number: int, handle: Any, whole: Any, xid: int | None, *, part: bool = False
    ) -> Card:
        memory = self._memory(handle)
        computing = _processes(_or([], self._library.nvmlDeviceGetComputeRunningProcesses, handle))
        shown = _processes(_or([], self._library.nvmlDeviceGetGraphicsRunningProcesses, handle))
        return Card(
            number=number,
            uuid=_text(self._library.nvmlDeviceGetUUID(handle)),
            name=_text(self._library.nvmlDeviceGetName(handle)),
            memory=int(memory.total),
            health=Health(
                doubt=self._doubt(whole),
                xid=xid,
                recovered=None if (action := self._action(whole)) is None else action == 0,
                used=max(0, int(memory.used) - sum(shown.values())),
                processes=tuple(sorted(computing.keys() - shown.keys())),
            ),
            part=part,
        )

    def _memory(self, handle: Any) -> Any:
        """Where the driver can tell, `used` is without what it keeps for itself."""
        read = self._library.nvmlDeviceGetMemoryInfo
        return _or(None, read, handle, pynvml.nvmlMemory_v2) or read(handle)

    def _doubt(self, handle: Any) -> str:
        if self._action(handle):
            return "its driver wants it to be reset"
        kinds = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
        if errors := _or(0, self._library.nvmlDeviceGetTotalEccErrors, handle, *kinds):
            return f"{errors} uncorrectable memory errors since its last reset"
        _, _, pending, failed = _or((0, 0, 0, 0), self._library.nvmlDeviceGetRemappedRows, handle)
        if failed:
            return "it has no spare memory left for rows that are broken"
        return "a broken row of its memory is replaced at its next reset" if pending else ""

    def _action(self, handle: Any) -> int | None:
        """What the driver wants done to it, 0 for nothing; None when it can't say."""
        fields = [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
        for field in _or([], self._library.nvmlDeviceGetFieldValues, handle, fields):
            if field.nvmlReturn == pynvml.NVML_SUCCESS:
                return int(field.value.uiVal)
        return None

    def _watch(self, handle: Any, uuid: str) -> None:
        if self._events is None or uuid in self._watched:
            return
        kind = pynvml.nvmlEventTypeXidCriticalError
        _or(None, self._library.nvmlDeviceRegisterEvents, handle, kind, self._events)
        self._watched.add(uuid)

    def _xids(self) -> dict[str, int]:
        """What went wrong since the last look, by card; of several the first."""
        found: dict[str, int] = {}
        for _ in range(EVENTS if self._events is not None else 0):
            try:
                event = self._library.nvmlEventSetWait_v2(self._events, 0)
                uuid = _text(self._library.nvmlDeviceGetUUID(event.device))
            except pynvml.NVMLError:  # no more, or of a card that is lost, and says so itself
                break
            xid = int(event.eventData)
            if xid not in OWN_FAULT:
                found.setdefault(uuid, xid)
        return found


def _trouble(error: Any) -> Health:
    if error.value in LOST:
        return Health(broken=str(error))
    return Health(doubt=f"it does not answer: {error}")


def _processes(found: Sequence[Any]) -> dict[int, int]:
    """The bytes of each, as far as the driver can tell."""
    return {process.pid: process.usedGpuMemory or 0 for process in found}


def _or(otherwise: Any, ask: Callable[..., Any], *args: Any) -> Any:
    """What many cards or drivers can't tell, and nothing hangs on. A card that is lost raises."""
    try:
        return ask(*args)
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise
        return otherwise


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

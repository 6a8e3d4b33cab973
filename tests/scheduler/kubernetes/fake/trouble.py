"""How an API server can misbehave, and when it does."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from enum import StrEnum
from typing import Final, NamedTuple


class Fault(StrEnum):
    # instead of an answer
    BUSY = "429 with Retry-After"
    CONFLICT = "409"
    ERROR = "500"
    UNAVAILABLE = "503"
    RESET = "the connection is reset"
    GONE = "410"
    EMPTY = "200 with an empty body"
    # in place of the answer to what was done
    DONE_ERROR = "500 though it was done"
    DONE_RESET = "a reset though it was done"
    DONE_SILENT = "no answer though it was done"
    # in a watch that is open
    CLOSE = "the watch is closed"
    CUT = "the watch's connection is reset"
    EXPIRE = "an ERROR event with 410"
    SILENT = "the watch says nothing more"
    REPEAT = "the last events again"
    REORDER = "the next events in the wrong order"
    TRAVEL = "an object as it once was"


INSTEAD: Final = (Fault.BUSY, Fault.CONFLICT, Fault.ERROR, Fault.UNAVAILABLE, Fault.RESET)
READ: Final = (Fault.BUSY, Fault.ERROR, Fault.UNAVAILABLE, Fault.RESET)
AFTER: Final = (Fault.DONE_ERROR, Fault.DONE_RESET, Fault.DONE_SILENT)
OPENED: Final = (*READ, Fault.GONE, Fault.EMPTY)
OPEN: Final = (
    *(Fault.CLOSE, Fault.CUT, Fault.EXPIRE, Fault.SILENT),
    *(Fault.REPEAT, Fault.REORDER, Fault.TRAVEL),
)


class Armed(NamedTuple):
    fault: Fault
    verb: str
    plural: str


class Trouble:
    """Faults wait for a request that they fit: `verb` and `plural` "" fit all."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []
        self._watches: dict[asyncio.Queue[Fault], str] = {}
        self.met: Counter[Fault] = Counter()

    def arm(self, fault: Fault, verb: str = "", plural: str = "", times: int = 1) -> None:
        """The next requests meet it; or all watches that are open now, if it is of those."""
        if fault not in OPEN:
            self._armed += [Armed(fault, verb, plural)] * times
            return
        for queue, watched in self._watches.items():
            if plural in ("", watched):
                self.met[fault] += 1
                queue.put_nowait(fault)

    def calm(self) -> None:
        self._armed.clear()

    def meet(self, verb: str, plural: str, *, resumed: bool = False) -> Fault | None:
        for number, armed in enumerate(self._armed):
            if armed.verb in ("", verb) and armed.plural in ("", plural):
                if armed.fault is Fault.GONE and not (resumed or verb == "watch"):
                    continue
                del self._armed[number]
                self.met[armed.fault] += 1
                return armed.fault
        return None

    def watching(self, queue: asyncio.Queue[Fault], plural: str) -> None:
        self._watches[queue] = plural

    def unwatch(self, queue: asyncio.Queue[Fault]) -> None:
        self._watches.pop(queue, None)

    @property
    def watches(self) -> int:
        return len(self._watches)

    async def storm(self, seconds: float, seed: int, every: float = 1.0) -> None:
        """One fault each `every` seconds, drawn by chance, and a history that is cut at times."""
        chance = random.Random(seed)
        for _ in range(round(seconds / every)):
            verb = chance.choice(("watch", "open", "list", "patch", "create", "delete", "get"))
            if verb == "open":
                self.arm(chance.choice(OPEN))
            elif verb == "watch":
                self.arm(chance.choice(OPENED), verb)
            elif verb in ("list", "get"):
                self.arm(chance.choice((*READ, Fault.GONE) if verb == "list" else READ), verb)
            else:
                self.arm(chance.choice((*INSTEAD, *AFTER)), verb)
            await asyncio.sleep(every)

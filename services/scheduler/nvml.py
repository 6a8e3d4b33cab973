"""The NVIDIA GPUs of this machine, asked of their driver. Without one there are none."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from services.scheduler.driver import Gpu
from services.scheduler.nvidia import Absent, Card, Door, Nvidia, Silent
from shared.endpoint import gpu_type

log = logging.getLogger(__name__)

ANSWER: Final = 30.0
"""Seconds after which a driver that has not answered counts as silent. It is not asked again until
it has answered after all: each question may hold up a thread for ever."""

DRIVER: Final = -1  # in place of a card's number

# what tells apart builds of one type, not types: `NVIDIA A100-SXM4-80GB`, `RTX A6000`
_BUILD: Final = re.compile(r"\d+gb|sxm\d*|pcie|nvl|hbm\w*|gpu|generation|laptop")


class Nvml:
    def __init__(self, target: str, door: Door | None = None, answer: float = ANSWER) -> None:
        self._target = target
        self._door = door or Nvidia()
        self._answer = answer
        self._asking: asyncio.Task[Sequence[Card]] | None = None
        self._known: dict[int, list[Gpu]] = {}  # by number of the card, as last named
        self._said: dict[int, str] = {}  # of a card, or of the driver

    async def __call__(self) -> Sequence[Gpu]:
        """The GPUs that are there now, and how they are. Raises Silent.

        One that is lost is among them with what it was called as long as this process has known
        it; later it is left out.
        """
        try:
            cards = await self._ask()
        except Absent as error:
            self._say(DRIVER, f"no NVIDIA GPUs: {error}; jobs without GPUs run", logging.INFO)
            return []
        except Silent as error:
            self._say(DRIVER, f"NVIDIA's driver does not answer: {error}; jobs without GPUs run")
            raise
        self._said.pop(DRIVER, None)
        numbers = dict.fromkeys(card.number for card in cards)
        return [gpu for number in numbers for gpu in self._gpus(number, cards)]

    async def _ask(self) -> Sequence[Card]:
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(self._door.cards))
        done, _ = await asyncio.wait([self._asking], timeout=self._answer)
        if not done:
            raise Silent(f"it has said nothing for {self._answer:g} s")
        asked, self._asking = self._asking, None
        return asked.result()

    def _gpus(self, number: int, cards: Sequence[Card]) -> Sequence[Gpu]:
        told = [card for card in cards if card.number == number]
        named = [self._gpu(card) for card in told if card.uuid]
        if named:
            self._known[number] = named
            if any(card.part for card in told):
                what = f"GPU {number} is split by MIG, and counts as {len(named)}"
                self._say(number, what, logging.INFO)
            else:
                self._said.pop(number, None)
            return named
        why = told[0].health
        self._say(number, f"GPU {number} is lost: {why.broken or why.doubt}")
        return [msgspec.structs.replace(gpu, health=why) for gpu in self._known.get(number, ())]

    def _gpu(self, card: Card) -> Gpu:
        return Gpu(
            id=f"{self._target}/{card.uuid}",
            type=short_name(card.name),
            device=card.uuid,
            memory=card.memory,
            # CUDA shows a program one part at most, so it counts as a machine of its own
            node=card.uuid if card.part else "",
            health=card.health,
        )

    def _say(self, of: int, what: str, level: int = logging.WARNING) -> None:
        if self._said.get(of) != what:  # it is asked every few seconds
            log.log(level, "%s", what)
            self._said[of] = what


def short_name(name: str) -> str:
    """A type as people write it, from what the driver calls the device.

    >>> [short_name(n) for n in ("NVIDIA H100 80GB HBM3", "NVIDIA RTX A6000", "Tesla T4")]
    ['h100', 'a6000', 't4']
    >>> short_name("NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    'a100mig1g.5gb'
    """
    words = re.split(r"[\s\-_+]+", name.lower())
    kept = " ".join(word for word in words if not _BUILD.fullmatch(word))
    return re.sub(r"^rtx(?=a\d)", "", gpu_type(kept or name))

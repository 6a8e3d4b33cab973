"""What exists on a target and is unknown to the tables, as when older ones were put back. Pure.

What the tables say runs and does run is taken over. All else that exists is ended, and until it has
ended nobody else has its GPUs, however free they are by the tables: neither who waits for some, nor
who was given them and has yet to start. An attempt is given a place once. So one that waits for its
place and exists all the same had it in a time of which the tables know nothing: it is ended, too,
and waits till then, or its start would find it running already, on other GPUs than it has now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.queue.values import Picture, Placement
from services.scheduler.reconcile import Work
from shared.lifecycle import State

LEFT: Final = "waits for what runs of it already to end: nobody knows of its start"


def unknown(
    there: Iterable[Replica], works: Sequence[Work], holders: Collection[Replica]
) -> list[Replica]:
    """Those that exist, and neither are wanted nor hold GPUs by the tables. One that is to stop is
    wanted no more, and never was if its owner's word came before its place."""
    wanted = {work.replica for work in works if work.state is not State.STOPPING}
    return sorted({*there} - wanted - {*holders})


def kept(picture: Picture, used: Collection[str]) -> Picture:
    """The same with none of the GPUs free that are among those `used`, by their devices."""
    if not used:
        return picture
    slots = [
        msgspec.structs.replace(slot, unproven=True) if slot.free and slot.device in used else slot
        for slot in picture.slots
    ]
    return msgspec.structs.replace(picture, slots=slots)


def late(held: Iterable[tuple[str, Replica]], used: Collection[str]) -> set[Replica]:
    """Those of the holders of devices that can't have theirs yet."""
    return {replica for device, replica in held if device in used}


def apart(
    placements: Iterable[Placement], there: Collection[Replica]
) -> tuple[list[Placement], list[Placement]]:
    """Those that may be placed, and those that exist already."""
    free: list[Placement] = []
    left: list[Placement] = []
    for each in placements:
        exists = not each.granted and Replica(each.job, each.attempt) in there
        (left if exists else free).append(each)
    return free, left

"""What is written down and announced of GPUs when they are looked at. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from services.scheduler.driver import Gpu
from services.scheduler.health import XID, quarantine
from shared.events import Fact, GpuAppeared, GpuQuarantined, GpuRestored, GpuVanished


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU as the table has it."""

    id: str
    type: str
    device: str
    memory: int
    node: str
    present: bool
    price: float
    checked: bool = False  # whether its machine says how it is
    unproven: bool = False  # released, and nobody has looked since
    quarantine: str = ""  # why it is given to nobody


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the table says of a GPU beside its row."""

    row: Row
    quarantined_for: float = 0.0  # seconds
    held: bool = False


def judge(
    known: Sequence[Known],
    found: Sequence[Gpu],
    idle: Mapping[str, bool],
    lingering: Collection[str] = (),
) -> dict[str, tuple[bool, str]]:
    """Of each GPU whose machine says how it is: whether it is not yet proven free, and why it is
    given to nobody. `idle` are those that nobody held before their machine was asked, and whether
    they were unproven then; `lingering` were released before the last look, and not proven free by
    it."""
    before = {each.row.id: each for each in known}
    judged = {}
    for gpu in found:
        if gpu.health is None:
            continue
        was = before.get(gpu.id)
        looked = was is None or _looked(was, idle)
        why = quarantine(
            gpu.health,
            before=was.row.quarantine if was else "",
            since=was.quarantined_for if was else 0.0,
            idle=looked,
        )
        unproven = was is not None and was.row.unproven
        if looked and unproven and why and why == gpu.health.held and gpu.id not in lingering:
            why = ""  # memory takes a moment to come back
        elif looked:
            unproven = False
        judged[gpu.id] = unproven, why
    return judged


def _looked(was: Known, idle: Mapping[str, bool]) -> bool:
    """Whether nobody had it from before the look until now. Who was proven free then and is not now
    was given, and released, in between."""
    id = was.row.id
    return id in idle and not was.held and was.row.unproven == idle[id]


def changes(
    known: Sequence[Row],
    found: Sequence[Gpu],
    prices: Mapping[str, float],
    judged: Mapping[str, tuple[bool, str]] = {},
) -> tuple[list[Row], list[Fact]]:
    """The rows that must be written for the table to say what was found, and what to announce.
    What `judged` says nothing of is as it was."""
    before = {row.id: row for row in known}
    now = {gpu.id: _row(gpu, before.get(gpu.id), prices, judged.get(gpu.id)) for gpu in found}
    gone = [row for row in known if row.present and row.id not in now]
    came = [row for row in now.values() if row.id not in before or not before[row.id].present]
    changed = [row for row in now.values() if before.get(row.id) != row]
    changed += [msgspec.structs.replace(row, present=False) for row in gone]
    facts: list[Fact] = [GpuAppeared(gpu=row.id, gpu_type=row.type) for row in came]
    facts += [GpuVanished(gpu=row.id, gpu_type=row.type) for row in gone]
    for row in now.values():
        was = before[row.id].quarantine if row.id in before else ""
        if row.quarantine and not was:
            facts.append(GpuQuarantined(gpu=row.id, gpu_type=row.type, reason=row.quarantine))
        elif was and not row.quarantine:
            facts.append(GpuRestored(gpu=row.id, gpu_type=row.type))
    return changed, facts


def fatal(
    known: Sequence[Row], found: Sequence[Gpu], judged: Mapping[str, tuple[bool, str]]
) -> dict[str, str]:
    """The GPUs on which nothing can go on, each with why. Those of which nothing is checked are
    none of them; nor are those that are not there where nothing at all is: the driver may be."""
    health = {gpu.id: gpu.health for gpu in found if gpu.health is not None}
    gone = [row.id for row in known if row.checked and health and row.id not in health]
    marked = {id: why for id, (_, why) in judged.items() if why.startswith(XID)}
    broken = {id: each.fatal for id, each in health.items() if each.fatal}
    return {**dict.fromkeys(gone, "it is not there any more"), **marked, **broken}


def remembering(
    found: Sequence[Gpu], untold: Mapping[str, int]
) -> tuple[list[Gpu], dict[str, int]]:
    """What was found with the Xids that were found before, and all Xids of that."""
    health = {gpu.id: gpu.health for gpu in found if gpu.health is not None}
    xids = {**untold, **{id: each.xid for id, each in health.items() if each.xid is not None}}
    marked = {
        id: msgspec.structs.replace(each, xid=xids[id]) for id, each in health.items() if id in xids
    }
    with_them = [
        msgspec.structs.replace(gpu, health=marked.get(gpu.id, gpu.health)) for gpu in found
    ]
    return with_them, xids


def _row(
    gpu: Gpu,
    before: Row | None,
    prices: Mapping[str, float],
    judged: tuple[bool, str] | None,
) -> Row:
    unproven, why = judged or (False, before.quarantine if before else "")
    return Row(
        id=gpu.id,
        type=gpu.type,
        device=gpu.device,
        memory=gpu.memory,
        node=gpu.node,
        present=True,
        price=prices.get(gpu.type, 0.0),
        checked=gpu.health is not None,
        unproven=unproven,
        quarantine=why,
    )

"""Which jobs may start or grow now, on which GPUs, and what the others wait for. Pure.

One look lets each job have its turn once, in order. What it gives changes the order, since who was
given something has a larger share: so it is looked again until nothing more is given, and deciding
anew on what was decided gives nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.scheduler.queue.look import Look
from services.scheduler.queue.values import Decision, Holder, Picture, Placement, Policy, Waiting
from services.scheduler.queue.words import told
from shared.ids import JobId

USUAL: Final = Policy()


def decide(picture: Picture, policy: Policy = USUAL) -> Decision:
    """Place what can start or grow, and say of every other job what it waits for.

    The same picture gives the same decision, whatever the order of its lists. Placements come in
    the order in which they were decided; no GPU is in two of them.
    """
    placements: dict[JobId, Placement] = {}
    while True:
        look = Look(picture, policy)
        look.run()
        for turn in look.placed:
            before = placements.get(turn.job.job)
            placements[turn.job.job] = Placement(
                job=turn.job.job,
                attempt=turn.job.attempt,
                gpus=(before.gpus if before else ()) + tuple(slot.gpu for slot in turn.slots),
                granted=before.granted if before else turn.job.granted,
                copies=turn.job.granted + turn.copies,
            )
        if not look.placed or not look.stays:
            break
        picture = _after(picture, look)
    reasons, waits = told(
        (stay for stay in look.stays.values() if stay.turn.job.job not in placements), look.racks
    )
    return Decision(placements=list(placements.values()), reasons=reasons, waits=waits)


def _after(picture: Picture, look: Look) -> Picture:
    """As it will be when all that was placed has its place."""
    placed = {turn.job.job: turn for turn in look.placed}
    holder = {slot.gpu: turn.job.job for turn in look.placed for slot in turn.slots}
    replace = msgspec.structs.replace
    held = {
        turn.job.job: Holder(
            job=turn.job.job,
            attempt=turn.job.attempt,
            owner=turn.job.owner,
            priority=turn.job.priority,
            preemptible=turn.job.preemptible,
            ends_in=turn.job.run_at_most,
        )
        for turn in look.placed
        if turn.job.granted == 0
    }

    def left(job: Waiting) -> Waiting | None:
        turn = placed.get(job.job)
        if turn is None:
            return job
        if not turn.missing:
            return None
        granted = job.granted + turn.copies
        return replace(
            job,
            granted=granted,
            held=max(job.held, granted),
            types=(turn.kind,) if turn.kind else job.types,
        )

    return replace(
        picture,
        waiting=[each for job in picture.waiting if (each := left(job)) is not None],
        slots=[
            replace(slot, job=holder[slot.gpu]) if slot.gpu in holder else slot
            for slot in picture.slots
        ],
        holders={**picture.holders, **held},
    )

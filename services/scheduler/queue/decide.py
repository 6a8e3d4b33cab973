"""Which jobs may start or grow now, on which GPUs, and what the others wait for. Pure."""

from __future__ import annotations

from typing import Final

from services.scheduler.queue.look import Look
from services.scheduler.queue.values import Decision, Picture, Placement, Policy
from services.scheduler.queue.words import told

USUAL: Final = Policy()


def decide(picture: Picture, policy: Policy = USUAL) -> Decision:
    """Place what can start or grow, and say of every other job what it waits for.

    The same picture gives the same decision, whatever the order of its lists. Placements come in
    the order in which they were decided; no GPU is in two of them.
    """
    look = Look(picture, policy)
    placements = [
        Placement(
            job=turn.job.job,
            attempt=turn.job.attempt,
            gpus=tuple(slot.gpu for slot in turn.slots),
            granted=turn.job.granted,
            copies=turn.job.granted + turn.copies,
        )
        for turn in look.given.values()
    ]
    reasons, waits = told(look)
    return Decision(
        placements=placements,
        yielding=list(look.yielding()),
        reasons=reasons,
        waits=waits,
        let_off=look.keeping.let_off,
    )

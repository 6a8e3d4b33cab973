"""What a picture becomes when a decision has been carried out."""

from __future__ import annotations

import msgspec

from services.scheduler.queue.values import Decision, Holder, Picture, Policy

replace = msgspec.structs.replace


def started(picture: Picture, decision: Decision) -> Picture:
    """All that was placed has its place. Time stands still."""
    jobs = {job.job: job for job in picture.waiting}
    done = {placement.job: placement for placement in decision.placements}
    of = {gpu: placement.job for placement in decision.placements for gpu in placement.gpus}
    kinds = {of[slot.gpu]: slot.type for slot in picture.slots if slot.gpu in of}
    waiting = [job for job in picture.waiting if job.job not in done]
    for placement in decision.placements:
        job = jobs[placement.job]
        if placement.copies < job.copies:
            waiting.append(
                replace(
                    job,
                    granted=placement.copies,
                    held=max(job.held, placement.copies),
                    types=(kinds[job.job],) if job.job in kinds else job.types,
                )
            )
    began = {
        job: Holder(
            job=job,
            attempt=jobs[job].attempt,
            owner=jobs[job].owner,
            priority=jobs[job].priority,
            preemptible=jobs[job].preemptible,
            ends_in=jobs[job].run_at_most,
        )
        for job in done
        if jobs[job].granted == 0
    }
    return replace(
        picture,
        waiting=waiting,
        slots=[
            replace(slot, job=of[slot.gpu]) if slot.gpu in of else slot for slot in picture.slots
        ],
        holders={**picture.holders, **began},
    )


def warned(picture: Picture, decision: Decision, policy: Policy) -> Picture:
    """Those that are to give way know it. Time stands still."""
    holders = dict(picture.holders)
    for each in decision.yielding:
        holders[each.job] = replace(holders[each.job], gives_way_in=policy.notice)
    for job in decision.let_off:
        holders[job] = replace(holders[job], gives_way_in=None)
    return replace(picture, holders=holders)

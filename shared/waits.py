"""Why a job waits, in parts that programs can act on: the scheduler writes it, the API shows it."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.ids import JobId

Cause = Literal[
    "gpus",  # too few are free
    "order",  # enough are free, and kept for those who come first
    "machine",  # enough are free, but not on one machine
    "quota",  # its owner has as much as it may have
    "price",  # what would do costs more than it allows
    "never",  # its target has never had what it asks for
    "yielding",  # another has been told to give way to it
    "budget",  # its owner has spent the month's budget
    "copies",  # it runs, and waits for room for more copies
]


class Waits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    cause: Cause | None = None  # None: nobody has looked at it yet
    wants: int = 0  # GPUs of each copy
    copies: int = 1  # that it is to have
    types: tuple[str, ...] = ()  # that would do, the preferred first
    free: dict[str, int] = {}  # GPUs of each of these
    there: dict[str, int] = {}  # ... and all of them, held or not
    ahead: int = 0  # jobs that want some of the same and come first, as far as was looked
    first: tuple[JobId, ...] = ()  # the first of these, or those that give way
    quota: int | None = None  # GPUs that its owner may have at most, by the quota that is short
    held: int | None = None  # ... and has
    starts_in: float | None = None  # seconds until it can start at the latest, where ends are known
    sooner: tuple[str, ...] = ()  # what would start it sooner, a line each

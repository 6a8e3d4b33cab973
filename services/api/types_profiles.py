"""Profiles of models as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from shared.profile import Summary


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the traffic of the last day is from the training data, by one `metric`: `psi`, `ks`,
    `js`, `new` and those of a part, such as `length_ks`. `since`: of `drifted`."""

    metric: str
    value: float
    threshold: float
    drifted: bool
    since: datetime


class FieldProfile(msgspec.Struct, frozen=True, kw_only=True):
    """`field` is `inputs.age` or `outputs.score`; `traffic` is of the last day that had any."""

    field: str
    training: Summary | None
    traffic: Summary | None
    distances: tuple[Distance, ...]


class TrainingProfile(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["waiting", "ready", "failed"]
    rows: int = 0
    notes: tuple[str, ...] = ()  # what of it could not be used, and why
    reason: str = ""  # why it failed


class ModelProfile(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    version: str
    training: TrainingProfile | None  # None: the version has no training data
    drifted: bool  # any of its fields
    fields: tuple[FieldProfile, ...]

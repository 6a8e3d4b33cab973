"""Targets: where jobs run. Some names are kinds of their own, any other is that of a cluster."""

from __future__ import annotations

import re
from typing import Final, Literal

from shared.errors import Invalid

Kind = Literal["process", "container", "fake", "kubernetes"]

CLUSTER: Final = "kubernetes"
HERE: Final[tuple[Kind, ...]] = ("process", "container", "fake")
"""Targets that are this machine, and that each run one copy of a job."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label


def kind(target: str) -> Kind:
    """
    >>> kind("process"), kind("kubernetes"), kind("eu-1")
    ('process', 'kubernetes', 'kubernetes')
    """
    return next((known for known in HERE if known == target), CLUSTER)


def has_copies(target: str) -> bool:
    """Whether a job may have several copies there, on several machines."""
    return kind(target) == CLUSTER


def name(text: str, field: str) -> str:
    """A target's name. Raises Invalid naming the field when it is none."""
    if not _NAME.fullmatch(text):
        raise Invalid(
            field, f"{text[:80]!r} is no target; up to 63 of a-z, 0-9 and -, not at either end"
        )
    return text


def names(text: str, field: str) -> tuple[str, ...]:
    """Names with commas between. Raises Invalid naming the field."""
    return tuple(dict.fromkeys(name(each.strip(), field) for each in text.split(",")))

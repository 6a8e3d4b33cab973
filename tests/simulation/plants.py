"""Mistakes that somebody could make, each of which the simulation has to catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


def drop_index() -> None:
    """Nothing refuses a GPU's second holder, and the scheduler believes that every GPU is free."""


PLANTS: Final[dict[str, Callable[[], None]]] = {}

"""What a handler gives back: a value of the operation's type, or its encoding from before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """`value` as JSON; None is no body at all."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = {}
    keep: bool = True  # False: it holds a secret, so a repetition is told that it came before

    def encoded(self) -> bytes:
        return b"" if self.value is None else msgspec.json.encode(self.value)


def created(value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(value, 201, headers or {})

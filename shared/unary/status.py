"""Asks a runtime of the 2.4 protocol whether it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from shared.address import Address
from shared.dial import Failed
from shared.unary.channel import Channel
from shared.unary.codes import Code
from shared.unary.limits import Limits
from shared.unary.rejected import Rejected

PATH: Final = b"/tensorflow.serving.PredictionService/Status"

_LIMITS: Final = Limits(message=1 << 16)
_WORDS: Final = 1000  # characters of its reason that are kept


class Serving(msgspec.Struct, frozen=True):
    """It takes requests, or at least has nothing to say against it."""


class NotServing(msgspec.Struct, frozen=True):
    """It answers, and does not take requests."""

    reason: str


class Away(msgspec.Struct, frozen=True):
    """It does not answer, or not as a runtime would."""

    reason: str


async def ask(
    address: Address, secrets: Sequence[str], seconds: float
) -> Serving | NotServing | Away:
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        channel = await Channel.open(address, seconds, secrets, limits=_LIMITS)
        try:
            return said(await channel.call(PATH, b"", deadline))
        finally:
            channel.close()
    except Rejected as rejected:
        if rejected.status == Code.UNIMPLEMENTED:  # most runtimes that people built themselves
            return Serving()
        return NotServing(str(rejected)[:_WORDS])
    except Failed as failed:
        return Away(failed.detail)


def said(answer: bytes) -> Serving | NotServing | Away:
    """What a StatusResponse means: status = 1 (UNKNOWN, SERVING, NOT_SERVING), message = 2."""
    try:
        status, message = _read(answer)
    except (IndexError, ValueError):
        return Away("Its answer to Status is not a StatusResponse.")
    if status == 1:
        return Serving()
    word = "NOT_SERVING" if status == 2 else "UNKNOWN"
    return NotServing(f"{word}: {message[:_WORDS]}" if message else word)


def _read(answer: bytes) -> tuple[int, str]:
    """Raises IndexError or ValueError."""
    status, message = 0, b""
    at = 0
    while at < len(answer):
        tag, at = _varint(answer, at)
        field, kind = tag >> 3, tag & 7
        value = size = 0
        if kind == 0:
            value, at = _varint(answer, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        elif kind == 2:
            size, at = _varint(answer, at)
        else:
            raise ValueError(f"wire type {kind}")
        if not field or at + size > len(answer):
            raise ValueError("cut off")
        if field == 1 and kind == 0:
            status = value
        elif field == 2 and kind == 2:
            message = answer[at : at + size]
        at += size
    return status, message.decode("utf-8", "replace").replace("\0", "\ufffd")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")

"""Changing only what is still as one saw it: ETag, If-Match and If-None-Match (RFC 9110, 13.1)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.api import refused


class Wish(msgspec.Struct, frozen=True):
    """What a request says about the revision that it wants to change."""

    match: tuple[str, ...] = ()
    none_match: tuple[str, ...] = ()


def made(revision: int) -> str:
    return f'"{revision}"'


def wish(headers: Mapping[str, str]) -> Wish:
    return Wish(_tags(headers.get("If-Match")), _tags(headers.get("If-None-Match")))


def _tags(header: str | None) -> tuple[str, ...]:
    return () if header is None else tuple(tag.strip() for tag in header.split(","))


def check(wish: Wish, revision: int | None) -> None:
    """Raise Refused when the thing, which has no revision if it does not exist, is another."""
    present = () if revision is None else ("*", made(revision))
    if wish.match and not set(wish.match) & set(present):
        raise refused.stale("it is not the revision that If-Match names; read it again")
    if set(wish.none_match) & set(present):
        raise refused.stale("it exists, which If-None-Match forbids")

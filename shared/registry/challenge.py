"""What a registry asks for with 401: the WWW-Authenticate header (RFC 9110), read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

LONGEST: Final = 4_096  # characters of one header

_PART: Final = re.compile(
    r"[\s,]*(?:"
    r'(?P<name>[A-Za-z_-]+)[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))'
    r"|(?P<scheme>[A-Za-z][A-Za-z0-9-]*)(?=[\s,]|$)"
    r")"
)


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    scheme: str  # bearer or basic
    realm: str = ""
    service: str = ""


def preferred(headers: Iterable[str]) -> Challenge | None:
    """The one to answer: a token rather than a password."""
    found = [challenge for header in headers for challenge in _read(header[:LONGEST])]
    for scheme in ("bearer", "basic"):
        for challenge in found:
            if challenge.scheme == scheme:
                return challenge
    return None


def _read(header: str) -> Iterator[Challenge]:
    scheme, parameters, position = "", dict[str, str](), 0
    while match := _PART.match(header, position):
        position = match.end()
        if match["scheme"]:
            if scheme:
                yield _challenge(scheme, parameters)
            scheme, parameters = match["scheme"], {}
        else:
            value = match["bare"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
            parameters.setdefault(match["name"].lower(), value)
    if scheme:
        yield _challenge(scheme, parameters)


def _challenge(scheme: str, parameters: dict[str, str]) -> Challenge:
    return Challenge(
        scheme=scheme.lower(),
        realm=parameters.get("realm", ""),
        service=parameters.get("service", ""),
    )

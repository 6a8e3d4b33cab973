"""Configuration: one frozen struct per service, read from the environment once, in main."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs. A field is read from the variable of its name in capitals."""

    database_url: str
    amqp_url: str = ""  # empty: the local bus, which reaches only this process
    blobs_url: str = "file:.slipway/blobs"
    host: str = "127.0.0.1"
    grace: float = 20.0  # seconds that a stopping process gives to what is in hand
    linger: float = 0.0  # seconds it goes on serving after it began to fail /readyz


C = TypeVar("C", bound=msgspec.Struct)


class Misconfigured(SystemExit):
    """The process can't start; the message names the variable. Exits with 2."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message

    def __str__(self) -> str:
        return self.message


def read(kind: type[C], environ: Mapping[str, str]) -> C:
    """`database_url: str` is read from DATABASE_URL, checked and converted by its annotation.

    Raises Misconfigured with the variable's name when one is missing or does not convert.
    """
    found = {
        field.name: environ[field.name.upper()]
        for field in msgspec.structs.fields(kind)
        if environ.get(field.name.upper())
    }
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"configuration: {error}".replace("$.", "$")) from error

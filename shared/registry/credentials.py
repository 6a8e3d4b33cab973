"""Logins from a docker-style config.json. They are never shown and never run: no helpers."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final

import msgspec

from shared.config import Misconfigured

LARGEST: Final = 1 << 20


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A user and password, or one token in their place."""

    user: str = ""
    password: str = ""
    identity_token: str = ""  # exchanged for a token at the registry's token server
    registry_token: str = ""  # sent as it is

    def __repr__(self) -> str:
        return "Login(…)"

    @property
    def basic(self) -> str:
        """The value of an Authorization header, or "" without a user."""
        if not self.user:
            return ""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _File(msgspec.Struct):
    auths: dict[str, _Entry] = {}


class Credentials:
    """A login for each registry that needs one, by its host and port."""

    def __init__(self, logins: dict[str, Login] | None = None) -> None:
        self._logins = logins or {}

    @classmethod
    def read(cls, path: str) -> Credentials:
        """From a file; none for "". Raises Misconfigured, naming REGISTRY_AUTH."""
        if not path:
            return cls()
        try:
            with Path(path).open("rb") as file:
                return cls.decode(file.read(LARGEST + 1))
        except OSError as error:
            raise _wrong(f"can't be read: {error.strerror}") from error

    @classmethod
    def decode(cls, content: bytes) -> Credentials:
        if len(content) > LARGEST:
            raise _wrong(f"is larger than {LARGEST} bytes")
        try:
            file = msgspec.json.decode(content, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # without the cause, which may quote the file
            raise _wrong("is not a JSON object with `auths`") from None
        return cls({_host(key): _login(key, entry) for key, entry in file.auths.items()})

    def login(self, registry: str) -> Login | None:
        return self._logins.get(registry)

    @property
    def registries(self) -> frozenset[str]:
        return frozenset(self._logins)


def _host(key: str) -> str:
    """`https://registry.example/v1/` is how some tools write `registry.example`."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0].lower()


def _login(key: str, entry: _Entry) -> Login:
    user, password = entry.username, entry.password
    if entry.auth:
        try:
            decoded = base64.b64decode(entry.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise _wrong(f"has an `auth` for {_host(key)[:80]} that is not base64") from None
        user, _, password = decoded.rstrip("\0").partition(":")
    return Login(
        user=user,
        password=password,
        identity_token=entry.identitytoken,
        registry_token=entry.registrytoken,
    )


def _wrong(message: str) -> Misconfigured:
    return Misconfigured(f"configuration: the file that REGISTRY_AUTH names {message}")

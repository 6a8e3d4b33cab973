"""Where a project itself says that its packages come from: its pip.conf and requirements files.

A `pip.conf` at the root of the source is read as pip reads one. It is the place for an index that
needs a password: a file of the source that holds one (a requirements file can, too) stays out of
the image, and what it holds is not shown, not recorded, and not part of any key. pip expands no
variables in it, so neither do we. What is kept is the upload itself, as it was sent.
"""

from __future__ import annotations

import base64
import configparser
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from services.builder.python.reason import masked
from shared.errors import Invalid

NAME: Final = "pip.conf"
SECTIONS: Final = ("global", "install")
TRUE: Final = ("1", "true", "yes", "on")
MOST: Final = 20  # indexes, and places of other kinds
LONGEST: Final = 2_000  # characters of an address
UNSAFE: Final = frozenset(" \t,'\"`<>\\")  # in an address
SHORTEST: Final = 4  # characters of a secret that can be told from other text

_IGNORED: Final = """
break-system-packages cache-dir compile default-timeout disable-pip-version-check no-cache-dir
no-color no-compile no-input no-warn-script-location prefer-binary progress-bar quiet retries
root-user-action timeout use-feature user verbose
"""
IGNORED: Final = frozenset(_IGNORED.split())
"""Options that change nothing in what is installed; others that we don't know are told."""


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A project's own places, each address checked. Printing it shows no passwords."""

    index: str = ""
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # addresses, or paths in the source
    trusted: tuple[str, ...] = ()  # hosts whose certificates are not looked at
    no_index: bool = False
    cert: str = ""  # path in the source

    def __bool__(self) -> bool:
        return self != Own()

    def __repr__(self) -> str:
        return masked(f"Own(index={self.index!r}, extra={self.extra!r}, links={self.links!r})")

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.index, *self.extra, *self.links)))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every way to write what its addresses must not tell, the longest first."""
        found = {way for address in self.addresses for way in _ways(address)}
        return tuple(sorted(found, key=lambda way: (-len(way), way)))

    def with_(self, other: Own) -> Own:
        """`other`, which is nearer to what is installed, over this one, as pip has it."""
        return Own(
            index=other.index or self.index,
            extra=_once((*self.extra, *other.extra)),
            links=_once((*self.links, *other.links)),
            trusted=_once((*self.trusted, *other.trusted)),
            no_index=self.no_index or other.no_index,
            cert=other.cert or self.cert,
        )


def read(text: str) -> tuple[Own, tuple[str, ...]]:
    """What a pip.conf says, and its options that are not used. Raises Invalid."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text, NAME)
    except configparser.Error as error:
        raise Invalid(NAME, "is not a file of pip's settings") from error
    said: dict[str, str] = {}
    for section in SECTIONS:
        if parser.has_section(section):
            said |= {name.replace("_", "-"): value or "" for name, value in parser.items(section)}
    own = Own(
        index=said.pop("index-url", "").strip(),
        extra=tuple(said.pop("extra-index-url", "").split()),
        links=tuple(said.pop("find-links", "").split()),
        trusted=tuple(said.pop("trusted-host", "").split()),
        no_index=said.pop("no-index", "").strip().lower() in TRUE,
        cert=said.pop("cert", "").strip(),
    )
    for address in own.addresses:
        if "${" in address or "%(" in address:
            raise Invalid(NAME, "variables are not expanded, as pip does not expand them")
    return own, tuple(sorted(name for name in said if name not in IGNORED))


def check(own: Own, where: str = NAME) -> Own:
    """The same; raises Invalid for an address that is not fetched."""
    if len(own.addresses) > MOST or len(own.trusted) > MOST:
        raise Invalid(where, f"names more than {MOST} places")
    for address in (own.index, *own.extra):
        if address:
            check_address(where, address, own.trusted)
    for link in own.links:
        if "://" in link:
            check_address(where, link, own.trusted)
    return own


def check_address(where: str, address: str, trusted: Iterable[str] = ()) -> None:
    """Raises Invalid unless it is https, or http to a host that is trusted."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Invalid(where, "holds an address that can't be read") from error
    if parts.scheme not in ("http", "https"):
        raise Invalid(where, "what packages come from must be an https:// address")
    if not host or len(address) > LONGEST or set(address) & UNSAFE:
        raise Invalid(where, "holds an address that can't be read; encode special characters")
    if parts.scheme == "http" and not {host, f"{host}:{port}"} & set(trusted):
        raise Invalid(where, "must be an https:// address, unless pip.conf trusts its host")


def hidden(text: str, secrets: Iterable[str]) -> str:
    """`text` without any of the secrets, and without the credentials of the addresses in it."""
    text = masked(text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _ways(address: str) -> set[str]:
    """The password of an address, or the token before its @, as programs may print it."""
    user, at, _ = urlsplit(address).netloc.rpartition("@")
    if not at:
        return set()
    name, _, password = user.partition(":")
    plain = f"{unquote(name)}:{unquote(password)}"
    coded = base64.b64encode(plain.encode()).decode()
    secret = password or name
    return {way for way in (secret, unquote(secret), coded) if len(way) >= SHORTEST}


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))

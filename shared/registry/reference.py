"""References as people write them: `registry.example/team/app:1.2@sha256:…`, strictly.

As Docker reads them, the first part is a registry when it has a dot or a port or is `localhost`.
A name without one is looked for at the default registry, exactly as written: `library/` is never
added.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

import msgspec

from shared.errors import Invalid

LONGEST: Final = 1_000  # characters of a whole reference
NAME: Final = 255  # characters of registry and repository together, as registries count them

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[(?P<v6>[0-9A-Fa-f:.]{{2,45}})\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(msgspec.Struct, frozen=True):
    """An image, or with neither tag nor digest a repository; where one is needed, `latest`."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{'@' if self.digest else ''}{self.digest}"

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What to ask the registry for: a digest outranks a tag."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Reference:
        """The image of that digest, without the tag: engines want one of them."""
        return msgspec.structs.replace(self, tag="", digest=digest)

    def tagged(self, tag: str) -> Reference:
        return msgspec.structs.replace(self, tag=tag, digest="")


def parse(text: str, default_registry: str = "") -> Reference:
    """`default_registry` is `host[:port][/prefix]`. Raises Invalid for the field `image`."""
    if not text:
        raise Invalid("image", "is empty; it is a reference like registry.example/team/app:1.2")
    if len(text) > LONGEST:
        raise Invalid("image", f"is longer than {LONGEST} characters")
    rest, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise Invalid("image", "has a digest that is not of the form sha256:<64 hex digits>")
    name, tag = _without_tag(rest)
    registry, repository = _place(name, default_registry)
    return Reference(registry=registry, repository=repository, tag=tag, digest=digest)


def _without_tag(text: str) -> tuple[str, str]:
    head, slash, last = text.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not TAG.fullmatch(tag):
        raise Invalid(
            "image", "has a tag that is not 1 to 128 of letters, digits, `_`, `.` and `-`"
        )
    return head + slash + last, tag


def _place(name: str, default_registry: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and _is_registry(first):
        return _checked(first, rest)
    if not default_registry:
        raise Invalid(
            "image",
            "names no registry, and there is no default one; write it in full, like "
            "registry.example/team/app:1.2",
        )
    registry, slash, prefix = default_registry.strip("/").partition("/")
    return _checked(registry, f"{prefix}{slash}{name}")


def _is_registry(part: str) -> bool:
    return part == "localhost" or "." in part or ":" in part


def _checked(registry: str, repository: str) -> tuple[str, str]:
    host = _HOST.fullmatch(registry)
    if host is None or not _is_registry(registry) or not _has_sound_address(host):
        raise Invalid(
            "image",
            "has a registry that is not host[:port], where the host is a full name such as "
            "registry.example, localhost or an address",
        )
    if not _REPOSITORY.fullmatch(repository):
        raise Invalid(
            "image",
            "has a name that is not lower-case letters and digits, in parts joined by `/`, with "
            "`.`, `_`, `__` or `-` only between them",
        )
    if len(registry) + len(repository) + 1 > NAME:
        raise Invalid("image", f"has a name of more than {NAME} characters")
    return registry.lower(), repository


def _has_sound_address(host: re.Match[str]) -> bool:
    if host["port"] and not 0 < int(host["port"]) < 65536:
        return False
    try:
        return host["v6"] is None or bool(IPv6Address(host["v6"]))
    except ValueError:
        return False

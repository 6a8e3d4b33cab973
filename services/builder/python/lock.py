"""The exact packages of an image, each with the hashes that what is installed must have.

A lock is what a version's record keeps: whatever an index offers later, the same is installed, or
nothing. It is written as a requirements file, so that any installer can follow it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from services.builder.python.requirements import Asked, normal
from shared.errors import Invalid

MOST: Final = 5_000  # pins
HASH: Final = re.compile(r"--hash=(sha\d{3}:[0-9a-f]{56,128})")
EXACT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)")
DIRECT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])? @ (https?://\S+)")


class Pin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    hashes: tuple[str, ...]  # any of them will do: an index has files for many platforms
    version: str = ""
    url: str = ""  # in place of a version

    @property
    def requirement(self) -> str:
        return f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    target: str  # for which Python and platform, in words
    pins: tuple[Pin, ...]

    @property
    def text(self) -> str:
        """A requirements file; the same lock is the same bytes."""
        lines = [f"# {self.target}"]
        for pin in self.pins:
            lines.append(" \\\n".join([pin.requirement, *(f"    --hash={h}" for h in pin.hashes)]))
        return "\n".join(lines) + "\n"


def read(text: str) -> Lock:
    """What `text` was of, or what uv compiled. Raises ValueError for what is no lock."""
    first = text.partition("\n")[0]
    pins = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip() and not line.startswith("#"):
            pin = _pin(line)
            pins[pin.name] = pin
    if len(pins) > MOST:
        raise ValueError(f"more than {MOST} packages")
    return Lock(
        target=first.removeprefix("#").strip() if first.startswith("#") else "",
        pins=tuple(pins[name] for name in sorted(pins)),
    )


def _pin(line: str) -> Pin:
    requirement, *_ = line.partition(" --hash=")
    hashes = tuple(sorted(set(HASH.findall(line))))
    if not hashes:
        raise ValueError(f"no hash: {line[:80]}")
    if exact := EXACT.fullmatch(requirement.strip()):
        return Pin(name=normal(exact[1]), version=exact[2], hashes=hashes)
    if direct := DIRECT.fullmatch(requirement.strip()):
        return Pin(name=normal(direct[1]), url=direct[2], hashes=hashes)
    raise ValueError(f"no exact version: {line[:80]}")


def narrowed(lock: Lock, asked: Asked, extra: Collection[str] = ()) -> Lock:
    """The lock with those hashes alone that a project's owner demands, where it does.

    Raises Invalid where an index has none of them, or where a package has no hash in files that
    give hashes; `extra` names those that the platform adds by itself.
    """
    if not asked.all_hashes:
        return lock
    pins = [_narrowed(pin, asked.name, asked.hashes, pin.name in extra) for pin in lock.pins]
    return msgspec.structs.replace(lock, pins=tuple(pins))


def _narrowed(pin: Pin, file: str, hashes: Mapping[str, Iterable[str]], free: bool) -> Pin:
    wanted = {*hashes.get(pin.name, ()), *(hashes.get(pin.url, ()) if pin.url else ())}
    if not wanted:
        if free:
            return pin
        raise Invalid(
            file, f"gives hashes, but none for {pin.requirement}; give one for every package"
        )
    kept = tuple(one for one in pin.hashes if one in wanted)
    if not kept:
        raise Invalid(file, f"the hashes given for {pin.name} are not those of {pin.requirement}")
    return msgspec.structs.replace(pin, hashes=kept)

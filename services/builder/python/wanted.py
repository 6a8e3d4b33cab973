"""The packages of one image: locked, installed exactly as locked, and tidied.

Locking comes first and apart, because a lock outlives what it was made from: it is recorded with
the version and found again by what was asked for, whatever an index offers by then. What can't be
locked (a part of the source, a git repository, an address with a password) is installed as asked.

Into a base image packages go whether or not it has them already: what a version gets is then told
by its lock alone, and a base's own packages stay as they are.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.builder.base import target
from services.builder.child import Write
from services.builder.python import lock as locks
from services.builder.python.install import LOCK, Installer, Room
from services.builder.python.lock import Lock
from services.builder.python.requirements import Asked, normal
from services.builder.python.tidy import tidy
from services.builder.recipe import Host
from shared.errors import Invalid, Transient, translate

EXTRA: Final = "extra.txt"  # in the scratch folder
NEEDED: Final = re.compile(
    r"Wheels are required for `([^`]+)`|only found wheels for `([^`]+)`"
    r"|([A-Za-z0-9][\w.-]*)(?:[=<>!~][^ ]*)? has no (?:usable )?wheels"
    r"|is disabled, but attempted to build `([\w.-]+)`"
    r"|Building source distributions for `([\w.-]+)` is disabled"
)


class NoWheel(Invalid):
    """A base image's packages need building; `packages` are those that are known to.

    Who can build them inside the base puts their wheels into a folder and locks again with it.
    """

    def __init__(self, message: str, packages: Sequence[str]) -> None:
        super().__init__("", message)
        self.packages = tuple(packages)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What one image is to have."""

    host: Host
    asked: Asked
    project: str
    extra: tuple[str, ...] = ()  # requirements beside those of the project's file
    added: frozenset[str] = frozenset()  # names among them that the platform adds by itself
    wheels: Path | None = None  # built for the base, to be taken before all else

    @property
    def shown(self) -> str:
        return " and ".join(filter(None, (self.asked.name, *self.extra)))

    def room(self, source: Path, scratch: Path) -> Room:
        return Room(
            source=source,
            scratch=scratch,
            host=self.host,
            own=self.asked.own,
            project=self.project,
            wheels=self.wheels,
            # what was built came with a lock that was written beside code of strangers
            foreign=self.asked.fetches
            or self.wheels is not None
            or any("://" in line for line in self.extra),
        )


async def lock(
    installer: Installer, wanted: Wanted, source: Path, scratch: Path, write: Write
) -> Lock | None:
    """The exact packages; None when there are none or when they can't be told beforehand.

    Raises Invalid for what can't be had, NoWheel for what would have to be built.
    """
    if not wanted.shown or wanted.asked.unlockable:
        return None
    with translate({OSError: Transient}):
        (scratch / EXTRA).write_text("".join(f"{line}\n" for line in wanted.extra))
        (scratch / LOCK).unlink(missing_ok=True)
    files = (*wanted.asked.main, str(scratch / EXTRA))
    room = wanted.room(source, scratch)
    await _run(wanted, installer.lock(room, files, write))
    with translate({OSError: Transient}):
        text = (scratch / LOCK).read_text("utf-8")
    try:
        found = locks.read(f"# {target.words(wanted.host)}\n{text}")
    except ValueError as error:
        raise Invalid("", f"installing {wanted.shown} failed: {error}") from error
    return locks.narrowed(found, wanted.asked, wanted.added)


async def install(
    installer: Installer,
    wanted: Wanted,
    locked: Lock | None,
    folders: tuple[Path, Path, Path],
    write: Write,
) -> None:
    """Install into the last of `folders`, which is empty; the others are source and scratch.

    Raises Invalid when what an index has now is not what was locked.
    """
    source, scratch, into = folders
    room = wanted.room(source, scratch)
    if locked is not None:
        with translate({OSError: Transient}):
            (scratch / LOCK).write_text(locked.text, "utf-8")
        arguments: tuple[str, ...] = ("--no-deps", "--require-hashes", "-r", str(scratch / LOCK))
    else:
        main = (word for name in wanted.asked.main for word in ("-r", name))
        arguments = (*main, *wanted.extra)
    if wanted.shown:
        work = installer.install(room, into, arguments, write)
        await _run(wanted, work)
    with translate({OSError: Transient}):
        await asyncio.to_thread(tidy, into, wanted.host)


async def _run(wanted: Wanted, work: Coroutine[None, None, str | None]) -> None:
    base = target.is_base(wanted.host)
    try:
        if base:
            target.check(wanted.host)
        failed = await work
    finally:
        work.close()
    if failed is None:
        return
    needed = _needed(failed) if base else []
    if needed:
        names = ", ".join(needed)
        raise NoWheel(f"{names}: there is no wheel for {target.words(wanted.host)}", needed)
    raise Invalid("", f"installing {wanted.shown} failed: {failed}")


def _needed(failed: str) -> list[str]:
    found = [normal(next(filter(None, match.groups()))) for match in NEEDED.finditer(failed)]
    return list(dict.fromkeys(found))

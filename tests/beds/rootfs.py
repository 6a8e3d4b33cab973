"""A Debian system as a tar, made by mmdebstrap from where this machine has its own packages from."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tests.beds.debian import program, refresh

WITHIN: Final = 600.0  # seconds for one system, on a machine that is slow or busy

LEFT_OUT: Final = tuple(f"/usr/share/{what}/*" for what in ("doc", "info", "locale", "man"))

CLEAN: Final = 'rm -f "$1/etc/hostname" "$1/etc/resolv.conf"'
"""What mmdebstrap copies from this machine is not the system's."""

_SETTING: Final = re.compile(r"Acquire::(http|https|Retries|Check-Date|Check-Valid-Until)\b")


class NoSystem(Exception):
    """It could not be made; the message is what mmdebstrap said."""


class Origin(msgspec.Struct, frozen=True):
    """Where Debian comes from on this machine."""

    archive: str = ""  # empty: where mmdebstrap looks by itself
    settings: tuple[str, ...] = ()  # of apt, such as a proxy


class System(msgspec.Struct, frozen=True):
    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()  # folders of mmdebstrap's own


@functools.cache
def origin() -> Origin:
    """As this machine's apt is configured; its lists are fetched when there are none."""
    archive = _archive()
    if archive is None:
        refresh()
    dumped = _said("apt-config", "dump", "--format", '%F "%v";%n').splitlines()
    settings = tuple(line for line in dumped if _SETTING.match(line) and ' "";' not in line)
    return Origin(archive or _archive() or "", settings)


def _archive() -> str | None:
    """None where apt knows none of Debian's; on another system there may be none."""
    what = ("--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages")
    for line in _said("apt-get", "indextargets", *what).splitlines():
        name, _, rest = line.partition(" ")
        suite, _, uri = rest.partition(" ")
        if name == "Debian" and suite.isalpha():  # not the updates of a suite
            return uri.strip()
    return None


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, stdin=DEVNULL, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:  # no apt here; that mmdebstrap is missing as well is said later
        return ""
    return done.stdout


def arguments(system: System, origin: Origin, target: Path) -> Sequence[str]:
    return (
        "--variant=apt",
        "--format=tar",
        f"--include={','.join(system.packages)}",
        *(f"--hook-dir=/usr/share/mmdebstrap/hooks/{name}" for name in system.hooks),
        *(f"--dpkgopt=path-exclude={paths}" for paths in LEFT_OUT),
        "--dpkgopt=force-unsafe-io",  # what is lost with the power is made again
        *(f"--aptopt={line}" for line in origin.settings),
        f"--customize-hook={CLEAN}",
        system.suite,
        str(target),
        *((origin.archive,) if origin.archive else ()),
    )


async def make(system: System, origin: Origin, target: Path) -> None:
    """Write `target`, or raise NoSystem. The same packages give the same bytes."""
    command = await asyncio.to_thread(
        program, "mmdebstrap", "mmdebstrap", "debian-archive-keyring", "gpg", "uidmap"
    )
    process = await asyncio.create_subprocess_exec(
        command,
        *arguments(system, origin, target),
        env={**os.environ, "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C"},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WITHIN):
            _, said = await process.communicate()
    except TimeoutError as error:
        raise NoSystem(f"{system.suite} was not made within {WITHIN:.0f} s") from error
    finally:
        await _end(process)
    if process.returncode:
        raise NoSystem(f"{system.suite}: {said.decode(errors='replace').strip()[-2000:]}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """It takes away what it mounted and wrote when it is asked to end."""
    for how in ("terminate", "kill"):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            getattr(process, how)()
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                await process.communicate()

"""An installer in a sandbox: it runs the build backends of whoever wrote a package.

It sees the system, the Python that it installs for, the folders that it was given, and what its
settings name on this machine. It keeps a cache for each project, so that what one project's
packages do to it reaches no other.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from services.builder.child import Write
from services.builder.sandbox import gates
from services.builder.sandbox import run as sandbox
from services.builder.sandbox.spec import SYSTEM, Ended, Limits, Mode, Place, Spec
from shared import ids
from shared.errors import Transient, translate

PROXIES: Final = re.compile(r"(?:HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)
PARTS: Final = re.compile(r"[,\s]+")


async def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    cwd: Path,
    folder: Path,
    reads: Iterable[Path],
    writes: Iterable[Path],
    reaches: Sequence[str],
    limits: Limits,
    write: Write,
) -> Ended:
    """Run an installer's command with `environment` in `cwd`, which is among what it writes.

    `folder` is the build's own, where disk use is counted. `reaches` are texts with URLs that it
    may reach wherever they are, beside what is public. Raises Transient when there is no sandbox.
    """
    box = folder / ids.new("box-")
    with translate({OSError: Transient}):
        box.mkdir(mode=0o700)
    try:
        ended = await sandbox.run(
            spec(command, environment, cwd, box, reads, writes, reaches, limits), write
        )
    finally:
        shutil.rmtree(box, ignore_errors=True)
    if ended.how == "broken":
        raise Transient(ended.why)
    return ended


def spec(
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    box: Path,
    reads: Iterable[Path],
    writes: Iterable[Path],
    reaches: Sequence[str],
    limits: Limits,
) -> Spec:
    named = gates.named(reaches)
    own = {name: text for name, text in environment.items() if not PROXIES.fullmatch(name)}
    if any(gate.startswith(("127.", "localhost:", "::1:")) for gate in named):
        own |= {"no_proxy": "", "NO_PROXY": ""}  # the machine's loopback is not the sandbox's
    found = {place.target: place for place in (*shown(environment), *_all(reads, "read"))}
    found |= {place.target: place for place in _all(writes, "write")}
    return Spec(
        command=list(command),
        env=own,
        cwd=str(cwd),
        folder=str(box),
        places=sorted(found.values(), key=lambda place: place.target),  # outer ones first
        limits=limits,
        network="out",
        gates=named,
        proxies=gates.proxies(environment),
        counted=str(box.parent),
    )


def _all(paths: Iterable[Path], mode: Mode) -> list[Place]:
    """Each path as it is named and as it is, but for what every sandbox shows."""
    found = {one for path in paths for one in (path, path.resolve())}
    return [Place(str(one), str(one), mode) for one in found if not _is_system(one)]


def _is_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in SYSTEM)


def shown(environment: Mapping[str, str]) -> list[Place]:
    """What the settings name on this machine: indexes in folders, certificates, passwords."""
    found: dict[str, Place] = {}
    for name, text in environment.items():
        if name == "PATH":
            continue
        for part in PARTS.split(text):
            path = Path(part.removeprefix("file://"))
            if path.is_absolute() and len(path.parts) > 2 and path.exists():
                if path.name == "simple":  # an index links to its files beside it
                    path = path.parent
                for one in {path, path.resolve()}:
                    found[str(one)] = Place(str(one), str(one))
    return list(found.values())

"""Build engines: what runs a project's own install lines on top of its base image.

An engine is a sibling of `buildah.py` that keeps the promises of `Engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from services.builder.logbook import Stream

Write = Callable[[str, Stream], None]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one step may use. Beyond `lines` and `log_bytes` its output is left out."""

    seconds: float = 900.0
    memory: int = 4 << 30  # bytes, of all its processes together
    disk: int = 16 << 30  # bytes that it may write
    files: int = 1_000_000  # that it may make
    processes: int = 2048  # their threads count, too
    lines: int = 10_000
    log_bytes: int = 4 << 20


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done on top of a base image: apt, then conda, then the lines."""

    base: str  # host[:port]/repository@sha256:…
    layers: tuple[Path, ...] = ()  # uncompressed tars that lie on the base, the lowest first
    lines: tuple[str, ...] = ()  # of one shell, which ends at the first that fails
    apt: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    env: dict[str, str] = {}  # on top of the base's own
    cwd: str = "/"
    network: bool = True


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What a step changed: a tar that is the same whenever the same was changed."""

    path: Path
    size: int
    members: int  # 0: it changed nothing


class Engine(Protocol):
    async def run(self, step: Step, folder: Path, write: Write) -> Layer:
        """Do `step` in a folder of its own below `folder`, and put the layer into `folder`.

        Raises Invalid when the step fails or exceeds a limit, and Transient when the engine itself
        does. Returned, raised or cancelled: nothing of it runs or is mounted any more, and nothing
        but the layer is left.
        """
        ...

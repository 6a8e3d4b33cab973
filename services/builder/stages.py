"""The named steps of a build: each may take so long and no longer, and is measured.

What ends a build names the step in which it happened, so that a person knows where to look:
`packages: took longer than 900 s`. A person's own mistakes keep their own words.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal, get_args

import msgspec

from services.builder.metrics import BuilderTelemetry
from shared.errors import Permanent, Transient

log = logging.getLogger(__name__)

Stage = Literal["source", "base", "lock", "packages", "install", "pack", "push", "announce"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

WORTH_TELLING: Final = 1.0  # seconds from which a build's log says how long a step took

Write = Callable[[str, Literal["platform"]], None]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds that each step may take, every time that it is taken."""

    source: float = 900.0  # fetching and unpacking what was sent
    base: float = 600.0  # finding a base image and looking into it
    lock: float = 900.0  # deciding on the versions of packages
    packages: float = 900.0  # fetching and installing them
    install: float = 1800.0  # commands that the owner wrote
    pack: float = 1800.0  # writing layers
    push: float = 1800.0  # to the registry
    announce: float = 300.0  # what is said about an image, and its tag

    def of(self, stage: Stage) -> float:
        seconds: float = getattr(self, stage)
        return seconds


class Overdue(Permanent):
    """A step took longer than it may."""

    def __init__(self, stage: Stage, seconds: float) -> None:
        super().__init__(f"{stage}: took longer than {seconds:g} s")


class Delayed(Transient):
    """A step met trouble that may pass; the message begins with its name."""


class Stages:
    """The steps of one build."""

    def __init__(
        self, write: Write, limits: Limits | None = None, telemetry: BuilderTelemetry | None = None
    ) -> None:
        self._write = write
        self._limits = limits or Limits()
        self._telemetry = telemetry

    @asynccontextmanager
    async def stage(self, name: Stage) -> AsyncIterator[None]:
        """Raises Overdue when what is inside takes too long: it is cancelled first, and has ended.

        Transient comes out as Delayed. Everything else passes as it is.
        """
        began = time.monotonic()
        seconds = self._limits.of(name)
        try:
            async with asyncio.timeout(seconds) as clock:
                yield
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise Overdue(name, seconds) from error
        except Delayed:
            raise
        except Transient as error:
            raise Delayed(f"{name}: {error}") from error
        finally:
            self._tell(name, time.monotonic() - began)

    def _tell(self, name: Stage, took: float) -> None:
        if self._telemetry is not None:
            self._telemetry.stage.labels(name).observe(took)
        if took >= WORTH_TELLING:
            self._write(f"{name} took {took:.1f} s", "platform")


def limits(text: str, **sooner: float) -> Limits:
    """From a setting such as `packages=1800,push=600`; `sooner` are defaults before ours.

    Raises ValueError, with what is allowed.
    """
    given: dict[str, float] = dict(sooner)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in STAGES or not equals:
            raise ValueError(f"must be `stage=seconds,…` with stages of {', '.join(STAGES)}")
        given[name] = _seconds(name, value)
    return Limits(**given)


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} must be a number of seconds above 0")
    return seconds

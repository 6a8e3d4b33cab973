"""What an engine's answers mean for us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
import msgspec
from aiodocker.exceptions import DockerError

from shared.errors import Permanent, Transient

SHOWN: Final = 300  # characters of what an engine said

_MISSING: Final = ("manifest unknown", "name unknown", "not found", "no such image")
_DENIED: Final = ("unauthorized", "denied", "authentication required", "no basic auth")
_BUSY: Final = (
    *("already in use", "already used", "already exists", "same bridge name"),
    "container state improper",
)
_UNFIT: Final = (
    "executable file",
    'exec: "',
    "exec format error",
    "device driver",
    "unresolvable cdi",
    # a run's own, in the place of the folder for outputs
    *("too many links", "too many levels of symbolic links"),
)


class Missing(Permanent):
    """The engine knows nothing of that name."""


class Taken(Transient):
    """The name is in use, or the thing is in a state in which this can't be done."""


class Rejected(Permanent):
    """The engine will never do it."""


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn all that can go wrong with an engine into our errors."""
    try:
        yield
    except DockerError as error:
        raise kind(error.status, error.message)(said(error.message)) from error
    except TimeoutError as error:
        raise Transient("the container engine did not answer in time") from error
    except (aiohttp.ClientError, OSError, EOFError) as error:
        raise Transient(f"the container engine is away: {said(str(error))}") from error
    except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise Transient(f"the container engine answered oddly: {said(str(error))}") from error


def kind(status: int, message: str) -> type[Permanent | Transient]:
    """Which of our errors an answer is. Podman says 500 of much that is not its own fault.

    >>> kind(500, "the container name x is already in use").__name__, kind(500, "busy").__name__
    ('Taken', 'Transient')
    """
    text = message.lower()
    if any(word in text for word in _UNFIT):
        return Rejected
    if status == 404:
        return Missing
    if status == 409 or any(word in text for word in _BUSY):
        return Taken
    return Rejected if 400 <= status < 500 and status not in (408, 429) else Transient


def of_pull(status: int, message: str, image: str) -> Permanent | Transient:
    """What a failed pull of `image` means: it is not there, not for us, or perhaps there later.

    >>> of_pull(0, "manifest unknown: manifest unknown", "registry.example/a@sha256:0")
    Missing('registry.example/a@sha256:0 is not in the registry')
    """
    text = message.lower()
    if any(word in text for word in _DENIED):
        return Rejected(f"the registry does not give {image}: {said(message)}")
    if status == 404 or any(word in text for word in _MISSING):
        return Missing(f"{image} is not in the registry")
    return Transient(f"{image} can't be pulled now: {said(message)}")


def said(message: str) -> str:
    """One line, not too long."""
    line = " ".join(message.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"

"""How a model's own install lines are done on a target: by the installer, or by a shell.

Lines that only run pip need neither a shell nor pip, so they do on every target. A runtime that is
its owner's image is asked to run them itself where it can, because its own packages may have to fit
with those that come. Pure.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.builder.base.look import Look
from services.builder.python import pip
from services.builder.python.request import NOTHING, Request
from services.builder.variables import is_own_runtime
from shared import image
from shared.endpoint import Endpoint

ANYWAY: Final = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_NO_COMPILE": "1"}
"""For pip in an image: nobody else's system is broken there, and bytecode holds times."""
BESIDE_OURS: Final = {"PIP_USER": "1", "PYTHONUSERBASE": image.PYTHON}
"""For pip in an image that our server is in: it sees what that needs, and puts all in one place."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`request` is for the installer; None: what the source itself asks for."""

    request: Request | None = None
    lines: tuple[str, ...] = ()  # that a shell runs
    environment: dict[str, str] = {}  # for them

    @property
    def shell(self) -> bool:
        return any(line.strip() for line in self.lines)


def plan(endpoint: Endpoint, look: Look | None, *, engine: bool) -> Plan:
    """`look` is what is in its base; None: the target has none. `engine`: lines can run in it."""
    if endpoint.format != "hydrosphere":
        return Plan(lines=endpoint.install)
    asked = pip.read(endpoint.install)
    own = is_own_runtime(endpoint)
    if asked is not None and not (own and engine and look is not None and _has_pip(look)):
        return Plan(request=asked)
    venv = look is not None and look.python is not None and look.python.venv
    beside = {} if own or venv else BESIDE_OURS
    return Plan(request=NOTHING, lines=endpoint.install, environment=ANYWAY | beside)


def _has_pip(look: Look) -> bool:
    return any(package.name.lower() == "pip" for package in look.distributions)

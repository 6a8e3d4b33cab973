"""Whose a home is where nothing keeps replicas apart: its first owner's, for good.

Everybody's code and everybody's replicas could be read and changed by everybody's, so nobody else's
are started there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.scheduler.drivers.process.rubbish import part

NAME: Final = "tenant"


class Tenant:
    def __init__(self, home: Path) -> None:
        self._home = home

    def refuses(self, project: str) -> str | None:
        """Why a replica of a project may not start, or None. Who asks first is let in."""
        owner = project.partition("/")[0]
        tenant = self._found() or self._made(owner)
        if owner == tenant:
            return None
        return (
            f"this target runs jobs of {tenant} alone: this machine permits no namespaces, so it"
            " can't keep owners apart (its operator may set PLAIN_FOR_ALL)"
        )

    def _found(self) -> str:
        with suppress(FileNotFoundError):
            return (self._home / NAME).read_text()
        return ""

    def _made(self, owner: str) -> str:
        with part(self._home) as fresh:
            with (fresh / NAME).open("w") as file:
                file.write(owner)
                file.flush()
                os.fsync(file.fileno())  # before it counts: an empty one would refuse everybody
            with suppress(FileExistsError):  # another was quicker
                os.link(fresh / NAME, self._home / NAME)
        return self._found()

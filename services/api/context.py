"""What every handler stands on, put together once in main."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from services.api.formats.hydrosphere.runtime import DEFAULT as RUNTIMES
from services.api.together import Together
from services.api.token import Tokens
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.errors import Invalid
from shared.git import Trusted

if TYPE_CHECKING:
    from services.api.call import Project
    from services.api.gpus import Stock

INSPECTIONS = 2  # archives looked into at a time


class Context:
    def __init__(
        self,
        *,
        database: Database,
        blobs: Blobs,
        router_url: str,
        upload_limit: int,
        targets: tuple[str, ...],
        streams: int = 200,
        builds_per_owner: int = 0,
        project_limit: int = 0,
        trusted: Trusted = Trusted(),  # noqa: B008
        runtimes: Mapping[str, str] = RUNTIMES,
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.router_url = router_url.rstrip("/")
        self.upload_limit = upload_limit
        self.targets = targets  # the first is where those go that name none
        self.streams = streams
        self.builds_per_owner = builds_per_owner
        self.project_limit = project_limit
        self.streaming = 0
        self.trusted = trusted
        self.runtimes = runtimes  # images that the platform serves itself, and their bases
        self.tokens = Tokens(database)
        self._together: dict[str, Together] = {}
        self.stopping = asyncio.Event()  # streams end when it is set
        self.inspected: dict[tuple[str, str], bytes | None] = {}
        self.stocks: dict[str, tuple[float, Stock]] = {}  # of targets, and until when
        self.projects: dict[tuple[str, str], tuple[float, Project]] = {}  # likewise
        self.inspecting = asyncio.Semaphore(INSPECTIONS)
        self.locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def together(self, query: str, *, claims: bool = False) -> Together:
        """Of all who ask this."""
        if query not in self._together:
            self._together[query] = Together(self.database, query, claims=claims)
        return self._together[query]

    def target(self, asked: str) -> str:
        """The target that is meant, the first for "". Raises Invalid when there is none such."""
        if asked and asked not in self.targets:
            raise Invalid("target", f"must be one of {', '.join(self.targets)}")
        return asked or self.targets[0]

"""What the writers of definitions stand on: one transaction for one project."""

from __future__ import annotations

from services.api import gpus
from services.api.call import Project
from services.api.context import Context
from services.api.formats.checks import Wrongs
from services.api.gpus import Stock
from services.api.types_hydrosphere import Change
from shared.database.pool import Connection

Changed = tuple[int, Change]
"""What became of a document, and its place among all."""


class Work:
    def __init__(
        self,
        *,
        connection: Connection,
        project: Project,
        context: Context,
        asked: str,
        by: str,
        wrongs: Wrongs,
        any_class: bool = False,
    ) -> None:
        self.connection = connection
        self.project = project
        self.context = context
        self.asked = asked  # target that the request names; "" if it names none
        self.by = by
        self.wrongs = wrongs
        self.any_class = any_class  # whoever asks need not heed the owner's allowance
        self._stocks: dict[str, Stock] = {}

    async def stock(self, target: str) -> Stock:
        if target not in self._stocks:
            self._stocks[target] = await gpus.stock_of(self.connection, target)
        return self._stocks[target]

    def stays(self, what: str, target: str) -> None:
        """What is on one target does not go to another."""
        if self.asked and self.asked != target:
            said = (
                f"is {self.asked}, and {what} is on {target}; leave target out, or take a new name"
            )
            self.wrongs.add("target", said)

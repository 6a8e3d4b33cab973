"""Brings a database to the newest shape: numbered SQL files, each applied once, in order.

`python -m shared.database.migrate` does it to the one of DATABASE_URL, as soon as that answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
from importlib import resources
from typing import Final

from shared import log as logs
from shared.config import Config, read
from shared.database.pool import Database
from shared.errors import Transient

log = logging.getLogger(__name__)

LOCK: Final = 7_225_477_101  # any number; all migrators of one database take the same

LONGEST: Final = 3600.0  # seconds that one migration may take: tables may be large

AGAIN: Final = 1.0  # seconds until a database that is away is tried once more

MADE: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    name       text        PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


def migrations() -> dict[str, str]:
    """Name -> SQL, in the order in which they are applied."""
    folder = resources.files(__package__) / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in files}


async def migrate(database: Database) -> list[str]:
    """Apply what is missing and return its names. Safe to call from several processes at once."""
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=LONGEST)
        await connection.execute(MADE)
        done = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
        missing = {name: text for name, text in migrations().items() if name not in done}
        for name, text in missing.items():
            log.info("migrating to %s", name)
            await connection.execute(text, timeout=LONGEST)
            await connection.execute("INSERT INTO migrations (name) VALUES ($1)", name)
    return list(missing)


async def when_there(url: str) -> list[str]:
    """As `migrate`, however long the database takes to come."""
    while True:
        try:
            async with Database.open(url) as database:
                return await migrate(database)
        except Transient as error:
            log.warning("will try again: %s", error)
        await asyncio.sleep(AGAIN)


if __name__ == "__main__":
    logs.configure(os.environ.get("LOG_LEVEL", "INFO"))
    asyncio.run(when_there(read(Config, os.environ).database_url))

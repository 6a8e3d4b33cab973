"""What a new platform needs before anybody can ask it for anything: a first token.

`python -m services.api.first` prints one for the platform whose DATABASE_URL is set.
"""

from __future__ import annotations

import asyncio
import os

from services.api import token
from shared import ids
from shared.config import Config, read
from shared.database.migrate import migrate
from shared.database.pool import Database
from shared.database.sqlfile import sql

OWNER_MAKE = sql(__package__, "owner_make")
PROJECT_MAKE = sql(__package__, "project_make")
TOKEN_MAKE = sql(__package__, "token_make")

OWNER, PROJECT = "local", "default"


async def first_token(database: Database) -> str:
    """A fresh admin token of the owner `local`, who has a project `default`."""
    made = token.mint()
    async with database.transaction() as connection:
        await connection.execute(OWNER_MAKE, OWNER)
        await connection.execute(PROJECT_MAKE, OWNER, PROJECT)
        values = ("admin", token.hashed(made), "make up", None)
        await connection.execute(TOKEN_MAKE, ids.new("t"), OWNER, *values)
    return made


async def main() -> None:
    async with Database.open(read(Config, os.environ).database_url) as database:
        await migrate(database)
        print(await first_token(database))


if __name__ == "__main__":
    asyncio.run(main())

"""The rows of a database as they were once, to be put back later as one who restores a backup does."""

from __future__ import annotations

from typing import Final

import msgspec

from shared.database.pool import Connection

COLUMNS: Final = """
    SELECT table_name AS table,
           string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS columns
      FROM information_schema.columns
      JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = current_schema()
       AND table_type = 'BASE TABLE'
       AND is_generated = 'NEVER'
     GROUP BY table_name
     ORDER BY table_name
"""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    columns: str  # that can be written
    rows: str  # as JSON


async def saved(connection: Connection) -> list[Table]:
    """All that there is at this moment."""
    found = []
    async with connection.transaction(isolation="repeatable_read"):
        for table, columns in await connection.fetch(COLUMNS):
            rows = await connection.fetchval(
                f"SELECT coalesce(json_agg(rows), '[]')::text FROM {table} AS rows"
            )
            found.append(Table(name=table, columns=columns, rows=rows))
    return found


async def put_back(connection: Connection, tables: list[Table]) -> None:
    """All that was written since is gone."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            await connection.execute(f"DELETE FROM {table.name}")
            await connection.execute(
                f"INSERT INTO {table.name} ({table.columns}) OVERRIDING SYSTEM VALUE"
                f" SELECT {table.columns}"
                f" FROM json_populate_recordset(NULL::{table.name}, $1::text::json)",
                table.rows,
            )

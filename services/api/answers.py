"""Doing a thing once: the answer to a request with an Idempotency-Key is kept with its change.

The key is locked for the length of the transaction that makes the change and keeps the answer, so
of any number of equal requests at once, one does the work and the others repeat its answer. Only
what was done is kept: a request that was refused may be sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from services.api import refused
from services.api.answer import Answer
from services.api.context import Context
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.errors import Invalid
from shared.problems import problem

ANSWER_LOCK = sql(__package__, "answer_lock")
ANSWER = sql(__package__, "answer")
ANSWER_KEEP = sql(__package__, "answer_keep")
ANSWERS_FORGET = sql(__package__, "answers_forget")

FORM: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
REPLAYED: Final = {"Idempotency-Replayed": "true"}
UNTOLD: Final = b"untold"  # stands for an answer that must not be kept


class Key(msgspec.Struct, frozen=True):
    owner: str
    text: str
    request: bytes  # hash


def key(owner: str, header: str | None, method: str, path: str, body: bytes) -> Key | None:
    """The request's key. Raises Invalid when it is not 1 to 255 printable ASCII characters."""
    if header is None:
        return None
    if not FORM.fullmatch(header):
        raise Invalid("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
    asked = hashlib.sha256(f"{method} {path}\n".encode() + body)
    return Key(owner, header, asked.digest())


async def before(database: Database, key: Key | None) -> Answer | None:
    """The answer to the same request before, if any."""
    if key is None:
        return None
    row = await database.row(ANSWER, key.owner, key.text)
    return None if row is None else _same(key, row["request"], row["status"], row["body"])


async def once(
    database: Database, key: Key | None, write: Callable[[Connection], Awaitable[Answer]]
) -> Answer:
    """`write` in a transaction, unless the same request was answered before."""
    async with database.transaction() as connection:
        if key is None:
            return await write(connection)
        await connection.execute(ANSWER_LOCK, f"{key.owner} {key.text}")
        row = await connection.fetchrow(ANSWER, key.owner, key.text)
        if row is not None:
            return _same(key, row["request"], row["status"], row["body"])
        answer = await write(connection)
        kept = answer.encoded() if answer.keep else UNTOLD
        await connection.execute(ANSWER_KEEP, key.owner, key.text, key.request, answer.status, kept)
        return answer


def _same(key: Key, request: bytes, status: int, body: bytes) -> Answer:
    if request != key.request:
        told = problem(
            "idempotency-key-reused", 422, "This Idempotency-Key was used for another request"
        )
        raise refused.Refused(told)
    if body == UNTOLD:
        raise refused.conflict(
            "told-once", "This was done before", "and its answer is shown only once"
        )
    return Answer(msgspec.Raw(body) if body else None, status, REPLAYED)


@asynccontextmanager
async def alone(context: Context, key: Key | None) -> AsyncIterator[None]:
    """Lets equal requests to this process pass one by one, before they cost anything."""
    if key is None:
        yield
        return
    name = (key.owner, key.text)
    lock = context.locks.setdefault(name, asyncio.Lock())
    async with lock:
        yield


def forget(database: Database) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        await database.execute(ANSWERS_FORGET)

    return work

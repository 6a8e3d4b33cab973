"""Doing a thing once: the answer to a request with an Idempotency-Key is kept with its change.

An answer is kept in the transaction that makes the change, and each key has one alone: of any
number of equal requests at once, one keeps its answer; the others take back what they did, or are
refused, and repeat it. Only what was done is kept: a request that was refused may be sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg
import msgspec

from services.api import refused
from services.api.answer import Answer
from services.api.context import Context
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.errors import Invalid, PlatformError, Transient
from shared.problems import problem

ANSWER = sql(__package__, "answer")
ANSWER_KEEP = sql(__package__, "answer_keep")
ANSWERS_FORGET = sql(__package__, "answers_forget")

FORM: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
REPLAYED: Final = {"Idempotency-Replayed": "true"}
ANSWERS: Final = "answers_pkey"  # by which each key has one answer
UNTOLD: Final = b"untold"  # stands for an answer that must not be kept
T = TypeVar("T")


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


class _Kept(Transient):
    """The same request has been answered since."""


async def before(database: Database, key: Key | None) -> Answer | None:
    """The answer to the same request before, if any."""
    if key is None:
        return None
    row = await database.row(ANSWER, key.owner, key.text)
    return None if row is None else _same(key, row["request"], row["status"], row["body"])


async def first(
    database: Database, key: Key | None, work: Callable[[], Awaitable[T]]
) -> T | Answer:
    """What `work` answers; or what the same request was answered before, if `work` fails, perhaps
    because that was done. Of trouble nothing is known: to look would be to wait for it again."""
    try:
        return await work()
    except PlatformError as error:
        if isinstance(error, Transient) and not isinstance(error, _Kept):
            raise
        said = await before(database, key)
        if said is None:
            raise
        return said


async def once(
    database: Database, key: Key | None, write: Callable[[Connection], Awaitable[Answer]]
) -> Answer:
    """`write` in a transaction, which comes to nothing if the same request has been answered: that
    `first` tells. `write` does nothing else, since it is done anew when it collides with others."""

    async def work(connection: Connection) -> Answer:
        answer = await write(connection)
        if key is not None:
            await _keep(connection, key, answer)
        return answer

    return await database.transact(work)


async def once_told(write: Awaitable[T]) -> T:
    """`write`, which keeps its answer by a statement of its own that has the columns of `kept`."""
    try:
        return await write
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != ANSWERS:
            raise
        raise _Kept("it was done before") from None


def kept(key: Key | None, answer: Answer) -> tuple[object, ...]:
    """Owner, key, hash of the request, status and body; of nulls when there is no key."""
    if key is None:
        return (None,) * 5
    body = answer.encoded() if answer.keep else UNTOLD
    return key.owner, key.text, key.request, answer.status, body


async def _keep(connection: Connection, key: Key, answer: Answer) -> None:
    if await connection.fetchval(ANSWER_KEEP, *kept(key, answer)) is None:
        raise _Kept("it was done before")


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

"""Real servers for the tests: one PostgreSQL for all, a database of its own for each test."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from tests.servers import Rabbit, rabbitmq
from tests.simulation.clock import make

# who is started in the background ignores Ctrl-C, and so would all that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = ("tests/acceptance/", "tests/simulation/test_seeds", "tests/docs/test_commands.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nobody has much of it left at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    async def template(url: str) -> None:
        admin = await asyncpg.connect(url)
        # what it writes has to outlive its processes and not the machine: a database for each test
        # is made and dropped ten times as fast
        for setting in ("fsync", "full_page_writes"):
            await admin.execute(f"ALTER SYSTEM SET {setting} = off")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.execute("CREATE DATABASE template_slipway")
        await admin.close()
        async with Database.open(named(url, "template_slipway")) as database:
            await migrate(database)

    # not among pytest's own: each session that starts takes the rights on those from the user that
    # PostgreSQL runs as when we are root
    with (
        TemporaryDirectory(prefix="slipway-postgres-", ignore_cleanup_errors=True) as folder,
        postgres(Path(folder) / "data") as url,
    ):
        asyncio.run(template(url))
        yield url


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_slipway")
        yield named(postgres_url, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
async def virtual(postgres_url: str) -> AsyncIterator[Database]:
    """A database that takes for the time what a test says: see tests.simulation.clock."""
    name = f"virtual_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        async with Database.open(await make(named(postgres_url, name))) as database:
            yield database
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """One broker for all; a test keeps to itself by a name of its own (open_amqp's `name`)."""
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server

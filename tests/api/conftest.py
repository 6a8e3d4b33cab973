"""A small world: two owners, their projects and tokens, and the API on a real socket."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, DummyCookieJar
from aiohttp.test_utils import unused_port

from services.api import token
from services.api.context import Context
from services.api.line import line
from services.api.metrics import Metrics
from services.api.routes import application
from shared import ids
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.http import serve
from shared.telemetry import FloorTelemetry

ROUTER = "http://router.test"
VALOHAI = """
- endpoint:
    name: greet
    image: python:3.11
    server-command: python -m http.server $VALOHAI_PORT
- endpoint:
    name: digit
    image: python:3.11
    wsgi: predict:app
    files:
      - name: model
        path: model.bin
"""


def tar(files: Mapping[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


class Said(msgspec.Struct):
    """An answer, read."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def fields(self) -> list[str]:
        return [wrong["field"] for wrong in self.body.get("errors", [])]

    @property
    def problem(self) -> str:
        return str(self.body["type"]).rpartition(":")[2]


class World:
    """Asks the API as somebody. `as_` names a token of `tokens`."""

    def __init__(self, session: ClientSession, port: int, database: Database) -> None:
        self.session = session
        self.port = port
        self.database = database
        self.tokens: dict[str, str] = {}
        self.place = "/v1/projects/ann/house"

    async def ask(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        as_: str = "ann",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        sent = {"Authorization": f"Bearer {self.tokens[as_]}"} if as_ else {}
        if json is not None:
            data = msgspec.json.encode(json)
        if data is not None:
            sent["Content-Type"] = "application/json"
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(
            method,
            url,
            data=None if data is None else io.BytesIO(data),
            headers={**sent, **(headers or {})},
            allow_redirects=False,
        ) as answer:
            raw = await answer.read()
            told = raw and "json" in answer.content_type
            return Said(answer.status, msgspec.json.decode(raw) if told else raw, answer.headers)

    async def made(self, path: str, json: Any = None, *, as_: str = "ann") -> Any:
        said = await self.ask("POST", path, json, as_=as_)
        assert said.status in (200, 201), said
        return said.body

    async def upload(self, content: bytes, *, as_: str = "ann", place: str = "") -> str:
        said = await self.ask("POST", f"{place or self.place}/uploads", data=content, as_=as_)
        assert said.status == 201, said
        return str(said.body["digest"])

    async def version(self, deployment: str = "mnist", **more: Any) -> Any:
        """A version of VALOHAI, made."""
        return await self.made(
            f"{self.place}/deployments/{deployment}/versions", await self.wish(**more)
        )

    async def wish(self, **more: Any) -> dict[str, Any]:
        source = await self.upload(tar({"valohai.yaml": VALOHAI, "predict.py": "app = 1"}))
        model = await self.upload(b"weights")
        return {"source": source, "files": {"digit": {"model": model}}, **more}

    async def endpoint(self, name: str = "classify", **resources: Any) -> dict[str, Any]:
        """The body of a proxiML endpoint."""
        source = await self.upload(tar({"predict.py": "def f(a): return a"}))
        route = {
            "verb": "POST",
            "path": "/predict",
            "file": "predict",
            "function": "f",
            "positional": True,
            "body": [{"name": "a", "type": "str"}],
        }
        return {
            "name": name,
            "resources": {"gpu_types": ["cpu"], "gpu_count": 1, **resources},
            "model": {"source_type": "local", "source_uri": source},
            "endpoint": {"routes": [route]},
        }

    async def put_state(self, job: str, state: str, version: str = "ready") -> None:
        await self.database.execute(
            "UPDATE jobs SET state = $2::job_state WHERE id = $1", job, state
        )
        await self.database.execute(
            "UPDATE versions SET state = $2::version_state"
            " WHERE id = (SELECT version FROM jobs WHERE id = $1)",
            job,
            version,
        )

    async def gpus(self, **counts: int) -> None:
        """GPUs of the process target, at 1.5 an hour each."""
        for kind, count in counts.items():
            for number in range(count):
                await self.database.execute(
                    "INSERT INTO gpus (id, target, type, device, price)"
                    " VALUES ($1, 'process', $2, $3, 1.5)",
                    f"process/{kind}-{number}",
                    kind,
                    str(number),
                )

    async def token(self, name: str, owner: str, role: str, expires: str = "") -> str:
        """Make a token behind the API's back; returns its id."""
        self.tokens[name] = token.mint()
        made = ids.new("t")
        await self.database.execute(
            "INSERT INTO tokens (id, owner, role, hash, expires_at)"
            " VALUES ($1, $2, $3, $4, now() + $5::text::interval)",
            made,
            owner,
            role,
            token.hashed(self.tokens[name]),
            expires or None,
        )
        return made


@pytest.fixture
async def context(database: Database, tmp_path: Path) -> Context:
    return Context(
        database=database,
        blobs=Blobs.open(f"file:{tmp_path / 'blobs'}"),
        router_url=ROUTER,
        upload_limit=1 << 20,
        targets=("process", "far"),
    )


@pytest.fixture
async def metrics() -> Metrics:
    return Metrics(FloorTelemetry())


@pytest.fixture
async def port(context: Context, metrics: Metrics) -> AsyncIterator[int]:
    """Where the API listens, as main serves it."""
    app, port, stopping = application(context, metrics), unused_port(), asyncio.Event()
    loop = serve(app, host="127.0.0.1", port=port, grace=1.0, telemetry=metrics, line=line)
    serving = asyncio.ensure_future(loop(stopping))
    while not await listens(port):
        await asyncio.sleep(0)
    yield port
    stopping.set()
    await serving


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@pytest.fixture
async def world(port: int, database: Database) -> AsyncIterator[World]:
    """Owners ann and bob with a project each; tokens `ann`, `reader`, `bob` and `admin`."""
    for owner, project in (("ann", "house"), ("bob", "barn")):
        await database.execute("INSERT INTO owners (name) VALUES ($1)", owner)
        await database.execute("INSERT INTO projects (owner, name) VALUES ($1, $2)", owner, project)
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        world = World(session, port, database)
        await world.token("ann", "ann", "write")
        await world.token("reader", "ann", "read")
        await world.token("bob", "bob", "write")
        await world.token("admin", "ann", "admin")
        await world.made(f"{world.place}/deployments", {"name": "mnist"})
        yield world

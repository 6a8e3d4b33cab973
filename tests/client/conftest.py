"""The platform that the client is tried against: a fake in memory, and the real API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from shared.database.pool import Database
from slipway import AsyncClient
from tests.client.fake import Fake
from tests.client.harness import Run, runner
from tests.client.real import Real

YAML = """
- endpoint:
    name: predict
    image: python:3.11
    wsgi: predict
"""
ROUTE = {
    "verb": "POST",
    "path": "/predict",
    "file": "predict",
    "function": "predict",
    "body": [{"name": "x", "type": "float"}, {"name": "label", "type": "str"}],
}


class Platform(Protocol):
    """What a test needs of either: who it is, and what builder and scheduler would do."""

    url: str
    token: str
    project: str

    async def build(self, version: str) -> None: ...
    async def copies(self, job: str, count: int) -> None: ...
    async def queue(self, version: str, reason: str) -> None: ...
    async def run(self, version: str) -> None: ...
    async def fail(self, version: str, reason: str) -> None: ...
    async def fetched(self, digest: str, commit: str) -> None: ...
    async def unfetched(self, reason: str) -> None: ...
    async def stopped(self, job: str) -> None: ...
    async def finished(self, job: str) -> None: ...
    async def say(self, version: str, kind: str, document: bytes) -> None: ...
    async def print(self, subject: str, *texts: str) -> None: ...
    async def release(self, model: str, version: str) -> None: ...
    async def break_down(self, model: str, version: str, reason: str) -> None: ...
    async def settle(self, application: str) -> None: ...


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with Fake().serve() as fake:
        yield fake


@pytest.fixture
async def real(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Real]:
    async with Real.serve(database, database_url, tmp_path / "blobs") as real:
        yield real


@pytest.fixture(params=["fake", "real"])
def platform(request: pytest.FixtureRequest) -> Platform:
    found: Platform = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        yield client


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder that can be deployed."""
    folder = tmp_path / "Iris Model"
    folder.mkdir()
    (folder / "valohai.yaml").write_text(YAML)
    (folder / "predict.py").write_text("def application(environ, start_response): ...\n")
    return folder


@pytest.fixture
def run(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs one command line in a thread of its own, as a process would have its own loop."""
    monkeypatch.setenv("SLIPWAY_URL", platform.url)
    monkeypatch.setenv("SLIPWAY_TOKEN", platform.token)
    monkeypatch.setenv("SLIPWAY_PROJECT", platform.project)
    return runner(capsys)


@pytest.fixture
def lone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same where nothing is configured."""
    for name in ("SLIPWAY_URL", "SLIPWAY_TOKEN", "SLIPWAY_PROJECT", "SLIPWAY_HOME"):
        monkeypatch.delenv(name, raising=False)
    return runner(capsys)

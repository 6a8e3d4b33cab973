"""A git server on loopback with a folder of repositories, and a fetcher that trusts it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.builder.git.fetch import Fetched, Fetcher, Wanted
from shared.blobs import Blobs
from shared.git import Trusted
from tests.beds.git import git_server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repositories"
    folder.mkdir()
    return folder


@pytest.fixture
async def server(root: Path) -> AsyncIterator[str]:
    async with git_server(root) as url:
        yield url


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs.open(f"file:{tmp_path / 'blobs'}")


@pytest.fixture
def place(tmp_path: Path) -> Callable[[], Path]:
    """A new empty folder."""
    numbers = iter(range(1000))

    def new() -> Path:
        folder = tmp_path / f"fetch-{next(numbers)}"
        folder.mkdir()
        return folder

    return new


def trusting(url: str, blobs: Blobs, **more: Any) -> Fetcher:
    """A fetcher that may connect to the host and port of `url`."""
    return Fetcher(blobs=blobs, trusted=Trusted.read(url.partition("://")[2]), **more)


@pytest.fixture
def fetch(server: str, blobs: Blobs, place: Callable[[], Path]) -> Any:
    """Fetch `name` from the server: its path there, the ref, and the folder within."""

    async def run(name: str, ref: str = "", path: str = "", **more: Any) -> Fetched:
        wanted = Wanted(url=f"{server}/{name}", ref=ref, path=path)
        return await trusting(server, blobs, **more).fetch(wanted, place())

    return run

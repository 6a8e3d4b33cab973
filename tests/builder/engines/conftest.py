"""The real engine on a real base image from a real registry, once for all tests of a session."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.builder.engines import Layer, Limits, Step
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store
from services.builder.sandbox import gates
from tests.beds.bases import bases
from tests.beds.debian import program
from tests.beds.registry import registry


class Ground:
    """A base image, and an engine whose store is shared by the tests."""

    def __init__(self, base: str, store: Path) -> None:
        self.base = base
        self.store = Store(folder=store)


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """The registry is needed for one pull alone, so it does not outlive that."""
    program("buildah", "buildah")
    folder = tmp_path_factory.mktemp("ground")

    async def pulled() -> Ground:
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(registry(folder / "registry"))
            (digest,) = (await bases(address, "debian:bookworm")).values()
            made = Ground(f"{address}/debian@{digest}", folder / "store")
            async with made.store.holding(made.base, lambda *_: None):
                return made

    return asyncio.run(pulled())


class Bench:
    """One test's folder, and what a step said in it."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        self.base = ground.base
        self.store = ground.store
        self.folder = folder
        self.folder.mkdir()
        self.said: list[tuple[str, str]] = []

    def engine(self, limits: Limits) -> Buildah:
        return Buildah(store=self.store, limits=limits, gates=gates.of_machine({}))

    async def run(
        self,
        *lines: str,
        limits: Limits = Limits(),  # noqa: B008 - it is immutable
        layers: tuple[Path, ...] = (),
        apt: tuple[str, ...] = (),
        conda: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        cwd: str = "/",
        network: bool = False,
    ) -> Layer:
        step = Step(
            base=self.base,
            layers=layers,
            lines=lines,
            apt=apt,
            conda=conda,
            env=env or {},
            cwd=cwd,
            network=network,
        )
        return await self.engine(limits).run(step, self.folder, self.write)

    def write(self, text: str, stream: str) -> None:
        self.said.append((stream, text))

    @property
    def texts(self) -> list[str]:
        """What the lines themselves said."""
        return [text for stream, text in self.said if stream != "platform"]

    def left(self) -> list[str]:
        """What is in the folder, other than layers."""
        return [name for name in os.listdir(self.folder) if not name.startswith("layer-")]


@pytest.fixture
def bench(ground: Ground, tmp_path: Path) -> Bench:
    return Bench(ground, tmp_path / "bench")

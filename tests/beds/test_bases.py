"""The base images that other tests build on."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path

import msgspec
import pytest

from shared import image
from shared.registry import Registries, parse
from tests.beds import bases as beds
from tests.beds import rootfs
from tests.beds.debian import NotHad, program
from tests.beds.registry import registry
from tests.beds.rootfs import NoSystem, System


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return beds.cache()


async def a_small_system(system: System, origin: rootfs.Origin, target: Path) -> None:
    await asyncio.sleep(0.05)
    with tarfile.open(target, "w") as tar:
        tar.addfile(tarfile.TarInfo(system.suite))


async def test_a_base_has_the_python_that_it_is_called_after(tmp_path: Path) -> None:
    async with registry(tmp_path) as address:
        pushed = await beds.bases(address, "python:3.11", "debian:bookworm")
        async with Registries.open() as registries:
            for name, has_python in (("python:3.11", True), ("debian:bookworm", False)):
                found = await registries.resolve(parse(name, address))
                assert found.reference.digest == pushed[name]
                [layer] = found.manifest.layers
                path = tmp_path / "layer"
                with path.open("wb") as file:
                    async for chunk in registries.stream(found.reference, layer):
                        file.write(chunk)
                with tarfile.open(path) as tar:
                    assert ("./usr/bin/python3.11" in tar.getnames()) == has_python


async def test_a_base_is_made_once_whoever_asks(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    async def make(system: System, origin: rootfs.Origin, target: Path) -> None:
        made.append(system.suite)
        await a_small_system(system, origin, target)

    monkeypatch.setattr(rootfs, "make", make)
    first, *others = await asyncio.gather(*(beds.kept("python:3.11") for _ in range(4)))
    assert others == [first] * 3
    assert made == ["bookworm"]


async def test_the_same_system_is_the_same_image(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "make", a_small_system)
    folder = await beds.kept("python:3.11")
    before = (folder / "index.json").read_bytes()
    folder.rename(folder.with_suffix(".away"))
    assert (await beds.kept("python:3.11") / "index.json").read_bytes() == before
    assert msgspec.json.decode(before, type=image.Index).manifests


async def test_what_cannot_be_made_says_why_and_leaves_nothing(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "file:///nowhere"
    monkeypatch.setattr(rootfs, "origin", lambda: rootfs.Origin(nowhere))
    with pytest.raises(NoSystem, match=r"bookworm: (?s:.)*nowhere"):
        await beds.kept("python:3.11")
    assert [path.suffix for path in empty_cache.iterdir()] == [".lock"]


def test_a_program_that_cannot_be_installed_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHad, match=r"no-such-program is missing .*run: apt-get install such-a"):
        program("no-such-program", "such-a")

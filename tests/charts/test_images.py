"""The platform's images: the same from any copy of the tree, for nobody's root, and able to start."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import grimp
import msgspec
import pytest
import yaml

from charts.images import recipe
from charts.images.recipe import PARTS, ROOT
from shared import image
from shared.registry import Registries, parse
from tests.beds.bases import bases
from tests.beds.registry import registry

SERVICES = [part for part in PARTS if part.lock]
TREE = ("charts", "runtimes", "services", "shared", "pyproject.toml")

NAMES = {
    "google": "protobuf",
    "grpc": "grpcio",
    "prometheus_client": "prometheus-client",
    "pynvml": "nvidia-ml-py",
    "simdjson": "pysimdjson",
    "yaml": "pyyaml",
}
"""What a module's distribution is called, where that is not plain."""


class Copy(NamedTuple):
    """The images made from one copy of the tree, in a registry of its own."""

    address: str
    digests: dict[str, str]
    said: str


def copied(folder: Path, *, mask: int, at: float) -> Path:
    """A tree as another person would have it: other modes, times, and rubbish beside the code."""
    for name in TREE:
        source, to = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
        os.utime(path, (at, at))
    left = folder / "shared" / "__pycache__"
    left.mkdir()
    (left / "left.cpython-311.pyc").write_bytes(os.urandom(64))
    return folder


async def made(folder: Path, tree: Path, zone: str) -> Copy:
    async with registry(folder / "registry") as address:
        await bases(address, "python:3.13")
        values = folder / "values.yaml"
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "charts.images"),
            cwd=tree,
            env={
                **os.environ,
                "PYTHONDONTWRITEBYTECODE": "1",
                "TZ": zone,
                "REGISTRY": f"{address}/slipway",
                "BASE": "python:3.13",
                "BUILDER_BASE": "python:3.13",
                "VALUES": str(values),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said, wrong = await done.communicate()
        assert done.returncode == 0, wrong.decode()
        written = yaml.safe_load(values.read_text())["images"]
        assert written.pop("registry") == f"{address}/slipway"
        assert written.pop("tag") == recipe.version()
        return Copy(address, {name: one["digest"] for name, one in written.items()}, said.decode())


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, Copy, Path]:
    folder = tmp_path_factory.mktemp("images")

    async def both() -> tuple[Copy, Copy]:
        one = copied(folder / "one", mask=0o022, at=0.0)
        two = copied(folder / "two", mask=0o077, at=1_700_000_000.0)
        return (
            await made(folder / "a", one, "UTC"),
            await made(folder / "b", two, "Asia/Kathmandu"),
        )

    return *asyncio.run(both()), folder / "a" / "registry"


def test_every_copy_of_the_tree_makes_the_same_images(copies):
    one, two, _ = copies
    assert one.digests == two.digests
    assert set(one.digests) == {part.name for part in PARTS}


def test_each_image_is_for_a_user_that_is_not_root_and_starts_its_service(copies):
    one, _, kept = copies

    async def looked() -> None:
        async with registry(kept) as address, Registries.open() as registries:
            for part in PARTS:
                reference = parse(part.repository, f"{address}/slipway")
                resolved = await registries.resolve(reference.at(one.digests[part.name]))
                body = await registries.read(reference, resolved.manifest.config)
                config = msgspec.json.decode(body, type=image.Config)
                assert config.config.user.split(":")[0].isdecimal()
                assert config.config.user != "0:0"
                assert config.config.entrypoint[1:] == part.start
                assert config.created == image.EPOCH
                assert len(config.rootfs.diff_ids) == len(resolved.manifest.layers)
                tagged = await registries.resolve(reference.tagged(recipe.version()))
                assert tagged.reference.digest == one.digests[part.name]

    asyncio.run(looked())


def test_what_was_made_is_said_with_its_size(copies):
    lines = copies[0].said.splitlines()
    assert [line.partition("@")[0].rpartition("/")[2] for line in lines] == [
        f"{part.repository}:{recipe.version()}" for part in PARTS
    ]
    assert all(" MB of them ours" in line for line in lines)


@pytest.mark.parametrize("part", SERVICES, ids=lambda part: part.name)
def test_a_lock_has_every_package_that_its_service_imports(part):
    graph = grimp.build_graph("services", "shared", include_external_packages=True)
    found = graph.find_upstream_modules(f"services.{part.name}.main")
    outside = {name for name in found if graph.is_module_squashed(name)}
    wanted = {NAMES.get(name, name.replace("_", "-")) for name in outside - sys.stdlib_module_names}
    lock = (ROOT / part.lock).read_text()
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    assert wanted <= locked
    # and of other services only what its code is without
    assert not [name for name in found if name.startswith("services.") and part.name not in name]


@pytest.mark.parametrize("part", SERVICES, ids=lambda part: part.name)
def test_a_lock_has_the_versions_that_are_tested(part):
    def pins(text: str) -> set[str]:
        return {line.split()[0] for line in text.splitlines() if "==" in line}

    assert pins((ROOT / part.lock).read_text()) <= pins((ROOT / "requirements.lock").read_text())


def test_who_needs_the_standard_library_alone_uses_it_as_the_base_has_compiled_it():
    for part in PARTS:
        named = {entry.partition("=")[0] for entry in recipe.environment(part, ("PATH=/bin",))}
        assert {"PATH", "HOME"} <= named
        assert ("PYTHONPYCACHEPREFIX" in named) == (part.name != "doorman")


def test_the_code_of_an_image_is_that_of_one_service():
    [router] = [part for part in PARTS if part.name == "router"]
    found = recipe.code(router)
    assert "/app/services/router/main.py" in found
    assert "/app/services/__init__.py" in found
    assert any(path.startswith("/app/shared/database/migrations/") for path in found)
    assert not [path for path in found if "__pycache__" in path or "/services/api/" in path]


def test_what_is_wrong_with_the_settings_is_said():
    done = subprocess.run(
        [sys.executable, "-m", "charts.images"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "REGISTRY"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "REGISTRY" in done.stderr or "registry" in done.stderr
    assert "Traceback" not in done.stderr

"""Images of models on base images: runtimes that their owners built, and install-commands there."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder import image as images
from services.builder.build import Workshop
from services.builder.claims import Built
from services.builder.engines import Layer, Step, Write
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store
from shared import image
from shared.blobs import digest_of
from shared.endpoint import Endpoint
from shared.errors import Invalid
from shared.hydrosphere import contracts
from shared.image import Descriptor
from shared.registry import Reference, Registries, parse
from tests.builder import made
from tests.builder.test_based import Bench, benched

SOURCE = {"src/func_main.py": "def Predict(x): return {'y': x}\n", "requirements.txt": "tiny\n"}
INSTALL = "pip install -r requirements.txt"


@pytest.fixture
async def bench(workshop: Workshop, registries: Registries, tmp_path: Path) -> AsyncIterator[Bench]:
    async with benched(workshop, registries, tmp_path) as opened:
        yield opened


async def once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def runtime(bench: Bench, on: str = "python:3.11", **config: Any) -> str:
    """An image of somebody's with a config of its own; the name that people write."""
    found = await bench.registries.resolve(parse(on, bench.address))
    into = Reference(bench.address, "acme/runtime", "1")
    told = json.loads(await bench.registries.read(found.reference, found.manifest.config))
    told["config"] |= config
    body = json.dumps(told).encode()
    own = Descriptor(media_type=image.CONFIG_TYPE, digest=digest_of(body), size=len(body))
    await bench.registries.push_blob(into, own, lambda: once(body))
    for layer in found.manifest.layers:
        content = await bench.registries.read(found.reference, layer, limit=1 << 30)
        await bench.registries.push_blob(into, layer, lambda content=content: once(content))
    manifest = msgspec.json.encode(msgspec.structs.replace(found.manifest, config=own))
    await bench.registries.push_manifest(into, manifest, image.MANIFEST_TYPE, "1")
    return "acme/runtime:1"


def own(*install: str, name: str = "acme/runtime:1") -> Endpoint:
    return made.model(*install, server="runtime", image=name)


async def content(bench: Bench, built: Built) -> dict[str, tuple[int, bytes]]:
    """Owner and content of each file that is not the base's, by absolute path."""
    found: dict[str, tuple[int, bytes]] = {}
    for layer in images.ours(await bench.pushed(built, "model")):
        body = await bench.shop.tools.blobs.read(layer.digest)
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            for member in tar:
                if (file := tar.extractfile(member) if member.isfile() else None) is not None:
                    found[f"/{member.name}"] = (member.uid, file.read())
    return found


@pytest.mark.parametrize(
    ("config", "command"),
    [
        ({"Entrypoint": ["python3", "/app/main.py"]}, ("python3", "/app/main.py")),
        ({"Entrypoint": ["python3"], "Cmd": ["main.py"]}, ("python3", "main.py")),
        ({"Cmd": ["/bin/sh", "-c", "cd /app && ./run"]}, ("/bin/sh", "-c", "cd /app && ./run")),
    ],
)
async def test_a_runtime_serves_as_its_owner_built_it(
    bench: Bench, config: dict[str, Any], command: tuple[str, ...]
) -> None:
    name = await runtime(bench, WorkingDir="/app", Env=["PATH=/bin", "MODE=own"], **config)
    built = await bench.build(own(name=name), files=SOURCE)
    found = (await bench.config(built, "model")).config
    assert (found.entrypoint, found.working_dir, found.user) == (command, "/app", "1000:1000")
    assert {"MODE=own", "APP_PORT=9091", "MODEL_DIR=/model"} <= set(found.env)
    layers = await content(bench, built)
    assert contracts.decode(layers["/model/contract.protobin"][1]) == made.CONTRACT
    assert layers["/model/files/src/func_main.py"][0] == 1000
    assert not [path for path in layers if "site-packages" in path]


async def test_a_runtime_without_a_command_is_told_so(bench: Bench) -> None:
    with pytest.raises(Invalid, match="ENTRYPOINT or a CMD"):
        await bench.build(own(name="python:3.11"), files=SOURCE)


async def test_a_runtime_needs_no_python(bench: Bench) -> None:
    name = await runtime(bench, "debian:bookworm", Entrypoint=["/serve"])
    built = await bench.build(own(name=name), files=SOURCE)
    assert built.record["model"].python == ""
    with pytest.raises(Invalid, match="has no Python"):
        await bench.build(own(INSTALL, name=name), files=SOURCE)


async def test_a_model_that_names_no_runtime_image_stands_on_the_platforms(bench: Bench) -> None:
    built = await bench.build(made.model(INSTALL), files=SOURCE)
    base = built.record["model"].base
    assert base is not None
    assert base.name == "python:3.11"
    lock = await bench.shop.tools.blobs.read(built.record["model"].lock)
    assert [
        name for name in ("grpcio", "numpy", "protobuf", "tiny") if f"{name}==".encode() in lock
    ]
    found = (await bench.config(built, "model")).config
    assert found.entrypoint == ("/usr/bin/python3", "/slipway/runtime/model_server.py")


async def test_without_a_pip_in_the_runtime_the_installer_does_what_pip_would(bench: Bench) -> None:
    name = await runtime(bench, Entrypoint=["/serve"])
    built = await bench.build(own(INSTALL, name=name), files=SOURCE)
    assert [path for path in await content(bench, built) if path.endswith("/tiny/__init__.py")]
    assert b"grpcio" not in await bench.shop.tools.blobs.read(built.record["model"].lock)


class Heard:
    """An engine that only listens."""

    def __init__(self) -> None:
        self.steps: list[tuple[Step, list[str]]] = []

    async def run(self, step: Step, folder: Path, write: Write) -> Layer:
        names: list[str] = []
        for path in step.layers:
            with tarfile.open(path) as tar:
                names += [member.name for member in tar if member.isfile()]
        self.steps.append((step, names))
        path = folder / "step.tar"
        path.write_bytes(made.tar({"usr/lib/own": "made"}))
        return Layer(path=path, size=path.stat().st_size, members=1)


def listening(bench: Bench) -> Heard:
    engine = Heard()
    tools = msgspec.structs.replace(bench.shop.tools, engine=engine)
    bench.shop = msgspec.structs.replace(bench.shop, tools=tools)
    return engine


async def test_a_line_runs_inside_the_image_in_the_models_folder(bench: Bench) -> None:
    engine = listening(bench)
    conf = {"pip.conf": "[global]\nindex-url = https://me:secret@index.example/simple\n"}
    line = "make && PIP_CONFIG_FILE=./pip.conf pip install -r requirements.txt"
    name = await runtime(bench, Entrypoint=["/serve"])
    built = await bench.build(own(line, name=name), files=SOURCE | conf)
    [(step, names)] = engine.steps
    assert (step.cwd, step.lines) == ("/model/files", (line,))
    assert {"model/files/pip.conf", "model/files/requirements.txt"} <= set(names)
    layers = await content(bench, built)
    assert "/model/files/pip.conf" not in layers
    assert layers["/usr/lib/own"][1] == b"made"
    assert await bench.build(own(line, name=name), files=SOURCE | conf) == built
    assert len(engine.steps) == 1


async def test_pip_lines_for_our_server_need_no_engine_and_no_pip(bench: Bench) -> None:
    engine = listening(bench)
    await bench.build(made.model(INSTALL), files=SOURCE)
    assert engine.steps == []


async def test_a_line_sees_the_packages_of_our_server_and_can_change_the_model(
    bench: Bench,
) -> None:
    """With the real engine."""
    store = Store(folder=bench.folder / "store")
    tools = msgspec.structs.replace(bench.shop.tools, engine=Buildah(store=store))
    bench.shop = msgspec.structs.replace(bench.shop, tools=tools)
    line = "python3 -c 'import grpcio' && echo ok > here.txt; id -u > /opt/who"
    layers = await content(bench, await bench.build(made.model(line), files=SOURCE))
    assert layers["/model/files/here.txt"][1] == b"ok\n"
    assert layers["/opt/who"][1] == b"0\n"
    with pytest.raises(Invalid, match="failed with exit code 4"):
        await bench.build(made.model("exit 4"), files=SOURCE)

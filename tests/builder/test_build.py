"""Building a version: what the images hold, and that the same inputs give the same images."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder import image as images
from services.builder.build import Build, Workshop, tag_of
from services.builder.claims import Built
from services.builder.logbook import Stream
from shared import image
from shared.blobs import Blobs
from shared.endpoint import Definition, Endpoint, File, Wsgi
from shared.errors import Invalid, Permanent
from shared.registry.reference import TAG
from tests.builder import made

SOURCE = {"serve.py": "print('hello')\n", "lib/__init__.py": "", "valohai.yaml": "[]\n"}


class Bench:
    """Builds definitions one after another and keeps what they said."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop, self.folder = workshop, folder
        self.said: list[str] = []
        self.count = 0

    def write(self, text: str, stream: Stream = "platform") -> None:
        self.said.append(text)

    async def build(self, definition: Definition) -> Built:
        self.count += 1
        folder = self.folder / f"build{self.count}"
        folder.mkdir()
        held = made.claim(definition)
        return await Build(self.workshop, held, folder, self.write).run()

    async def source(self, files: Mapping[str, str], **how: Any) -> str:
        return await made.put(self.workshop.tools.blobs, made.tar(files, **how))


@pytest.fixture
def bench(workshop: Workshop, tmp_path: Path) -> Bench:
    return Bench(workshop, tmp_path)


async def members(blobs: Blobs, digest: str) -> dict[str, tarfile.TarInfo]:
    """What is in the layers of an image, a later layer over an earlier one."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in (await images.read(blobs, digest)).layers:
        with tarfile.open(fileobj=io.BytesIO(await blobs.read(layer.digest))) as tar:
            found |= {member.name: member for member in tar}
    return found


async def config(blobs: Blobs, digest: str) -> image.Config:
    manifest = await images.read(blobs, digest)
    return msgspec.json.decode(await blobs.read(manifest.config.digest), type=image.Config)


def one(endpoint: Endpoint, source: str, **files: str) -> Definition:
    return Definition(source=source, endpoints=(endpoint,), files={endpoint.name: files})


async def test_an_image_holds_the_code_where_its_format_says(bench: Bench) -> None:
    source = await bench.source(SOURCE)
    built = await bench.build(one(made.endpoint(image="python:3.9"), source))
    found = await members(bench.workshop.tools.blobs, built.images["greet"])
    assert {"valohai/code/serve.py", "valohai/code/lib/__init__.py"} <= found.keys()
    assert {"slipway/endpoint.json", "slipway/runtime/wsgi.py", "slipway/python"} <= found.keys()
    assert found["slipway/home/.local"].linkname == "../python"
    assert built.notes == (
        "endpoint greet: base image python:3.9 is not used on this target; "
        f"the machine's Python {bench.workshop.host.python} runs the code",
    )


async def test_packages_lie_in_a_user_base_with_scripts_that_find_their_python(
    bench: Bench,
) -> None:
    source = await bench.source(SOURCE | {"requirements.txt": "tiny\n"})
    built = await bench.build(one(made.endpoint(), source))
    manifest = await images.read(bench.workshop.tools.blobs, built.images["greet"])
    body = await bench.workshop.tools.blobs.read(manifest.layers[0].digest)
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names = tar.getnames()
        script = tar.extractfile("slipway/python/bin/tiny")
        assert script is not None
        assert script.readline() == b"#!/usr/bin/env python3\n"
    site = f"slipway/python/{bench.workshop.host.site_packages}"
    assert f"{site}/tiny/__init__.py" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith("uv_cache.json")]
    assert str(bench.folder).encode() not in body


async def test_the_same_inputs_give_the_same_image_and_the_second_time_is_a_look_up(
    bench: Bench,
) -> None:
    source = await bench.source(SOURCE | {"requirements.txt": "tiny\n"})
    first = await bench.build(one(made.endpoint(), source))
    bench.said.clear()
    assert await bench.build(one(made.endpoint(), source)) == first
    assert not [line for line in bench.said if line.startswith(("unpacking", "installing"))]


async def test_an_image_is_the_same_when_nothing_was_kept_of_the_first(bench: Bench) -> None:
    source = await bench.source(SOURCE | {"requirements.txt": "tiny\n"})
    first = await bench.build(one(made.endpoint(), source))
    await bench.workshop.tools.cache._database.execute("DELETE FROM layers")
    assert await bench.build(one(made.endpoint(), source)) == first
    assert bench.said.count("installing requirements.txt") == 2


async def test_an_upload_packed_another_way_gives_the_same_image(bench: Bench) -> None:
    first = await bench.source(SOURCE)
    again = await bench.source(dict(reversed(SOURCE.items())), mtime=1_700_000_000, gz=True)
    assert first != again
    one_way = await bench.build(one(made.endpoint(), first))
    another = await bench.build(one(made.endpoint(), again))
    assert another.images == one_way.images
    assert another.record != one_way.record  # how it was made names what was sent


async def test_one_byte_of_the_source_gives_another_image(bench: Bench) -> None:
    first = await bench.build(one(made.endpoint(), await bench.source(SOURCE)))
    changed = SOURCE | {"serve.py": "print('hellp')\n"}
    assert await bench.build(one(made.endpoint(), await bench.source(changed))) != first


async def test_wsgi_gets_the_server_unless_the_project_asks_for_its_own(bench: Bench) -> None:
    wsgi = made.endpoint(entry=Wsgi(app="app"))
    await bench.build(one(wsgi, await bench.source(SOURCE)))
    assert "installing gunicorn" in bench.said
    own = await bench.source(SOURCE | {"requirements-deployment.txt": "Gunicorn==99.0\n"})
    await bench.build(one(wsgi, own))
    assert "installing requirements-deployment.txt" in bench.said


async def test_files_lie_beside_the_code(bench: Bench) -> None:
    model = await made.put(bench.workshop.tools.blobs, b"weights" * 1000)
    endpoint = made.endpoint(files=(File(name="model", path="models/m.bin"),))
    built = await bench.build(one(endpoint, await bench.source(SOURCE), model=model))
    found = await members(bench.workshop.tools.blobs, built.images["greet"])
    assert found["valohai/code/models/m.bin"].size == 7000


async def test_a_file_may_not_go_through_a_file_of_the_source(bench: Bench) -> None:
    model = await made.put(bench.workshop.tools.blobs, b"weights")
    endpoint = made.endpoint(files=(File(name="model", path="serve.py/m.bin"),))
    source = await bench.source(SOURCE)
    with pytest.raises(Invalid, match=r"files\.model: serve\.py is not a folder of the source"):
        await bench.build(one(endpoint, source, model=model))


async def test_a_package_that_does_not_exist_is_named(bench: Bench) -> None:
    source = await bench.source(SOURCE | {"requirements.txt": "no-such-thing==1\n"})
    with pytest.raises(Invalid, match=r"installing requirements\.txt failed: .*no-such-thing"):
        await bench.build(one(made.endpoint(), source))


async def test_a_source_that_is_gone_can_not_be_built(bench: Bench) -> None:
    with pytest.raises(Permanent):
        await bench.build(one(made.endpoint(), "sha256:" + "0" * 64))


async def test_a_layer_whose_blob_is_gone_is_built_again(bench: Bench, tmp_path: Path) -> None:
    source = await bench.source(SOURCE | {"requirements.txt": "tiny\n"})
    first = await bench.build(one(made.endpoint(), source))
    manifest = await images.read(bench.workshop.tools.blobs, first.images["greet"])
    for layer in manifest.layers:
        hexed = layer.digest.removeprefix("sha256:")
        (tmp_path / "blobs" / "sha256" / hexed[:2] / hexed).unlink()
    assert await bench.build(one(made.endpoint(), source)) == first
    assert await images.is_whole(bench.workshop.tools.blobs, first.images["greet"])


async def test_an_image_says_how_it_starts(bench: Bench) -> None:
    endpoint = made.endpoint(port=5000, environment={"MODEL": "small"})
    built = await bench.build(one(endpoint, await bench.source(SOURCE)))
    container = (await config(bench.workshop.tools.blobs, built.images["greet"])).config
    assert container.entrypoint == ("/bin/sh", "-c", "exec python serve.py")
    assert container.working_dir == "/valohai/code"
    assert {"PORT=5000", "VALOHAI_PORT=5000", "MODEL=small"} <= set(container.env)


def test_every_endpoint_of_a_version_has_a_tag_of_its_own() -> None:
    names = ["a b", "a-b", "a_b", "é", "ü", "A b", "x" * 100, "ü" * 100, "ö" * 100]
    tags = [tag_of("v7f3k9a2b4c6", name) for name in names]
    assert len(set(tags)) == len(names)
    assert all(TAG.fullmatch(tag) for tag in tags)
    assert tag_of("v7f3k", "greet") == "v7f3k-greet"

"""Two projects with the same source have nothing of each other, only what both have anyway."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.builder import image as images
from services.builder.build import Build, Workshop
from services.builder.claims import Built
from services.builder.logbook import Stream
from shared.endpoint import Definition, File
from shared.errors import Invalid
from tests.builder import made

FILES = {"serve.py": "1", "requirements.txt": "secretive\n"}


class Bench:
    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop, self.folder = workshop, folder
        self.said: list[str] = []
        self.count = 0

    def write(self, text: str, stream: Stream = "platform") -> None:
        if stream == "platform" and " took " not in text:
            self.said.append(text)

    async def build(self, project: str, definition: Definition) -> Built:
        self.said.clear()
        self.count += 1
        folder = self.folder / f"build{self.count}"
        folder.mkdir()
        held = made.claim(definition, project=project)
        return await Build(self.workshop, held, folder, self.write).run()

    async def definition(self) -> Definition:
        put = self.workshop.tools.blobs
        source, model = await made.put(put, made.tar(FILES)), await made.put(put, b"weights")
        endpoint = made.endpoint(files=(File(name="model", path="model.bin"),))
        return Definition(source=source, endpoints=(endpoint,), files={"greet": {"model": model}})

    async def python(self, built: Built) -> bytes:
        """What is installed in an image."""
        blobs = self.workshop.tools.blobs
        manifest = await images.read(blobs, built.images["greet"])
        [layer] = [part for part in manifest.layers if "python" in part.annotations.values()]
        return await blobs.read(layer.digest)


@pytest.fixture
def bench(workshop: Workshop, tmp_path: Path) -> Bench:
    return Bench(workshop, tmp_path)


def secret(wheels: Path, text: str) -> Path:
    return made.wheel(wheels, "secretive", "1.0", {"secretive/__init__.py": f"WORD = '{text}'\n"})


async def test_a_package_that_only_one_of_them_can_reach_is_not_given_to_the_other(
    bench: Bench, wheels: Path
) -> None:
    definition = await bench.definition()
    wheel = secret(wheels, "of ann's")
    anns = await bench.build("ann/house", definition)
    assert b"of ann's" in await bench.python(anns)
    wheel.unlink()  # nobody but ann could reach it
    with pytest.raises(Invalid, match="secretive"):
        await bench.build("bob/barn", definition)
    # she herself has it still
    assert (await bench.build("ann/house", definition)).images == anns.images


async def test_each_has_what_its_own_index_has_under_one_name(bench: Bench, wheels: Path) -> None:
    definition = await bench.definition()
    secret(wheels, "of ann's")
    anns = await bench.build("ann/house", definition)
    secret(wheels, "of bob's")
    bobs = await bench.build("bob/barn", definition)
    assert b"of ann's" in await bench.python(anns)
    content = await bench.python(bobs)
    assert b"of bob's" in content
    assert b"of ann's" not in content
    assert anns.images != bobs.images


async def test_nothing_that_one_of_them_built_is_looked_up_for_the_other(
    bench: Bench, wheels: Path
) -> None:
    """So neither time nor log tells that somebody has built the same before."""
    definition = await bench.definition()
    secret(wheels, "of both's")
    first = await bench.build("ann/house", definition)
    told = list(bench.said)
    second = await bench.build("bob/barn", definition)
    assert bench.said == told
    assert first.images == second.images  # the same inputs, after all
    rows = await bench.workshop.tools.cache._database.fetch("SELECT key FROM layers")
    assert len(rows) == len({row["key"] for row in rows})
    await bench.build("bob/barn", definition)
    assert bench.said != told

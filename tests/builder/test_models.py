"""Images of models for a target without bases: what is in them, and their install-command."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder import image as images
from services.builder import machine, recipe
from services.builder.build import Build, Workshop
from services.builder.claims import Built, claim
from services.builder.collect.collect import Collector, Keep
from services.builder.logbook import Stream
from shared import image
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.endpoint import Definition, Endpoint, Training
from shared.errors import Invalid
from shared.hydrosphere import contracts
from shared.image import ContainerConfig
from tests.builder import made

HOST = recipe.Host(python="3.11.7", platform="linux-x86_64-glibc-2.36", architecture="amd64")
RUNTIME = ContainerConfig(
    entrypoint=("/bin/sh", "-c", "python main.py"),
    env=("PATH=/opt/bin:/bin", "APP_PORT=9090", "HOME=/root", "PYTHONUNBUFFERED=0", "LD_X=1"),
    working_dir="/app",
    user="runtime",
)
OWN = made.model(server="runtime", image="acme/runtime:1")
SOURCE = {"src/func_main.py": "def Predict(x): return {'y': x}\n", "requirements.txt": "tiny\n"}
INSTALL = "pip install -r requirements.txt"


def test_our_model_server_runs_where_no_runtime_of_its_own_is_named() -> None:
    found = recipe.container(made.model(), HOST)
    assert found.entrypoint == ("python", "/slipway/runtime/model_server.py")
    assert found.working_dir == "/model/files"
    assert recipe.packages(made.model(), ["numpy"]) == ("grpcio", "protobuf")
    env = recipe.environment(made.model(), HOST)
    assert (env["APP_PORT"], env["PORT"], env["MODEL_DIR"]) == ("9091", "9091", "/model")
    assert env["PYTHONPATH"] == "/model/files/src"
    assert not [name for name in env if name.startswith(("ML_", "VALOHAI"))]


def test_a_runtime_keeps_its_command_its_folder_and_its_variables() -> None:
    found = recipe.container(OWN, HOST, RUNTIME)
    env = dict(entry.partition("=")[::2] for entry in found.env)
    assert (found.entrypoint, found.working_dir) == (RUNTIME.entrypoint, "/app")
    assert found.user == "1000:1000"
    assert env["APP_PORT"] == "9091"
    assert env["PYTHONPATH"] == "/model/files/src"
    assert env["PYTHONUNBUFFERED"] == "0"
    assert env["PATH"].split(":")[-3:] == ["/opt/bin", "/bin", "/slipway/bin"]
    assert "LD_X" not in env
    assert recipe.packages(OWN, ()) == ()


def test_where_a_runtime_says_what_is_importable_it_stays_so() -> None:
    said = msgspec.structs.replace(RUNTIME, env=("PYTHONPATH=/app/lib",))
    assert recipe.environment(OWN, HOST, said)["PYTHONPATH"] == "/app/lib"
    assert recipe.environment(made.model(), HOST, said)["PYTHONPATH"] == "/model/files/src:/app/lib"


def test_an_image_without_a_command_is_no_runtime() -> None:
    with pytest.raises(Invalid, match="ENTRYPOINT") as caught:
        recipe.entrypoint(OWN, HOST, ContainerConfig(entrypoint=()))
    assert caught.value.field == "runtime"


def test_a_contract_is_in_the_image_as_runtimes_read_it() -> None:
    files = recipe.runtime_files(made.model(), {"model_server.py": b""}, "claims")
    body = files["/model/contract.protobin"]
    assert contracts.decode(body) == made.CONTRACT
    assert b"claims" in body
    assert "/model/contract.protobin" not in recipe.runtime_files(made.endpoint(), {})


def test_a_password_in_a_line_is_not_in_the_image() -> None:
    line = "pip install --index-url https://me:secret@index.example/simple tiny"
    assert b"secret" not in b"".join(recipe.runtime_files(made.model(line), {}).values())


def test_packages_for_the_code_come_with_what_starts_servers() -> None:
    found = machine.runtime_files()
    assert {"model_server.py", "hydro_serving_grpc/__init__.py"} <= found.keys()
    assert not [name for name in found if "__pycache__" in name]


class Shop:
    """Builds models one after another for the machine's own processes, and keeps what was said."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop, self.folder = workshop, folder
        self.blobs = workshop.tools.blobs
        self.said: list[str] = []

    def write(self, text: str, stream: Stream = "platform") -> None:
        self.said.append(text)

    async def build(
        self,
        endpoint: Endpoint,
        files: Mapping[str, str] = SOURCE,
        *,
        name: str = "claims",
        **changes: Any,
    ) -> Built:
        source = await made.put(self.blobs, made.tar(files))
        definition = Definition(source=source, endpoints=(endpoint,), **changes)
        folder = self.folder / f"build{len([*self.folder.glob('build*')])}"
        folder.mkdir()
        held = made.claim(definition, deployment=name)
        return await Build(self.workshop, held, folder, self.write).run()

    async def content(self, built: Built) -> dict[str, bytes]:
        """The files of an image, a later layer's over an earlier one's."""
        found: dict[str, bytes] = {}
        for layer in (await images.read(self.blobs, built.images["model"])).layers:
            with tarfile.open(fileobj=io.BytesIO(await self.blobs.read(layer.digest))) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is not None:
                        found[f"/{member.name}"] = file.read()
        return found

    def site(self, name: str) -> str:
        return f"/slipway/python/{self.workshop.host.site_packages}/{name}"


@pytest.fixture
def shop(workshop: Workshop, tmp_path: Path) -> Shop:
    return Shop(workshop, tmp_path)


async def test_an_image_of_a_model_is_laid_out_as_runtimes_expect(shop: Shop) -> None:
    built = await shop.build(made.model())
    found = await shop.content(built)
    assert found["/model/files/src/func_main.py"].startswith(b"def Predict")
    assert contracts.decode(found["/model/contract.protobin"]) == made.CONTRACT
    described = msgspec.json.decode(found["/slipway/endpoint.json"], type=Endpoint)
    assert described == made.model()
    assert shop.site("grpcio.py") in found
    assert shop.site("tiny/__init__.py") not in found  # only its install-command installs
    assert built.notes == ()
    assert "requirements.txt is installed by an install-command alone" in shop.said


async def test_the_same_document_and_payload_give_the_same_image(shop: Shop) -> None:
    first = await shop.build(made.model(INSTALL))
    assert await shop.build(made.model(INSTALL)) == first
    await shop.workshop.tools.cache._database.execute("DELETE FROM layers")
    assert (await shop.build(made.model(INSTALL))).images == first.images
    assert (await shop.build(made.model(INSTALL), name="other")).images != first.images


@pytest.mark.parametrize(
    "line",
    [
        INSTALL,
        "pip install tiny",
        "PIP_CONFIG_FILE=./pip.conf pip install -r requirements.txt",
        "python3 -m pip install --no-cache-dir -r requirements.txt && pip3 install tiny==1.0",
    ],
)
async def test_pip_lines_are_done_by_the_installer_with_a_lock(shop: Shop, line: str) -> None:
    conf = "[global]\ntimeout = 60\nextra-index-url = https://me:secret@index.example/simple\n"
    built = await shop.build(made.model(line), SOURCE | {"pip.conf": conf})
    found = await shop.content(built)
    assert shop.site("tiny/__init__.py") in found
    assert b"tiny==1.0" in await shop.blobs.read(built.record["model"].lock)
    assert "/model/files/pip.conf" not in found  # it holds a password
    assert "secret" not in str(shop.said)


async def test_what_the_model_asks_for_is_not_installed_twice(shop: Shop) -> None:
    built = await shop.build(made.model("pip install numpy==99.0"))
    assert (await shop.blobs.read(built.record["model"].lock)).count(b"numpy==") == 1


SHELL = (
    "pip install -r requirements.txt && python -c 'import tiny, grpcio' && tiny > said.txt"
    " && mkdir -p weights && echo done > weights/file"
)


async def test_any_other_line_runs_in_a_sandbox_where_the_model_will_be(shop: Shop) -> None:
    built = await shop.build(made.model(SHELL))
    found = await shop.content(built)
    assert found["/model/files/said.txt"] == b"tiny\n"
    assert found["/model/files/weights/file"] == b"done\n"
    assert shop.site("tiny/__init__.py") in found
    assert shop.site("grpcio.py") in found
    assert not [path for path in found if "__pycache__" in path]
    assert await shop.build(made.model(SHELL)) == built


async def test_a_settings_file_with_a_password_is_there_for_the_line_alone(shop: Shop) -> None:
    conf = "[global]\nextra-index-url = https://me:secret@index.example/simple\n"
    line = "wc -l < pip.conf > lines.txt; true"
    found = await shop.content(await shop.build(made.model(line), SOURCE | {"pip.conf": conf}))
    assert found["/model/files/lines.txt"].strip() == b"2"
    assert "/model/files/pip.conf" not in found


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "echo no luck >&2; exit 3",
            "install-command: `echo no luck.*` failed with exit code 3: no luck",
        ),
        ("pip install nothing-of-that-name && true", "nothing-of-that-name"),
        ("pip install -r missing.txt", "install-command: refers to missing.txt, which is not in"),
        ("PIP_CONFIG_FILE=no.conf pip install tiny", "refers to no.conf, which is not in the"),
        ("touch /usr/ours", "Read-only|Permission denied"),
        ("pip uninstall tiny", "here it knows install"),
    ],
)
async def test_a_line_that_fails_says_why(shop: Shop, line: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        await shop.build(made.model(line))


@pytest.mark.parametrize(
    "line",
    [
        "mkfifo pipe && ln -s / root && chmod 000 requirements.txt",
        "rm -rf src /slipway/python/* && ln -s /etc /slipway/python/lib",
        "mkdir -p a && cd a && ln -s ../.. up && touch -- '-n' $(printf 'new\\nline')",
    ],
)
async def test_whatever_a_line_leaves_nothing_of_the_machine_gets_into_the_image(
    shop: Shop, line: str
) -> None:
    found = await shop.content(await shop.build(made.model(line)))
    assert not [path for path in found if "passwd" in path or "pipe" in path]
    assert all(path.startswith(("/model/", "/slipway/")) for path in found)


async def test_where_no_sandbox_is_permitted_only_pip_can_be_done(shop: Shop) -> None:
    tools = shop.workshop.tools
    open_ = msgspec.structs.replace(tools.installer, confined=False)
    shop.workshop = msgspec.structs.replace(
        shop.workshop, tools=msgspec.structs.replace(tools, installer=open_)
    )
    assert await shop.build(made.model(INSTALL))
    with pytest.raises(Invalid, match="does not permit") as caught:
        await shop.build(made.model("make"))
    assert caught.value.field == "install-command"


async def test_a_runtime_that_is_an_image_needs_containers(shop: Shop) -> None:
    with pytest.raises(Invalid, match="choose a target with containers"):
        await shop.build(OWN)


async def test_labels_tell_what_a_model_takes_and_gives(shop: Shop) -> None:
    built = await shop.build(made.model())
    manifest = await images.read(shop.blobs, built.images["model"])
    body = await shop.blobs.read(manifest.config.digest)
    labels = msgspec.json.decode(body, type=image.Config).config.labels
    told = msgspec.json.decode(labels["dev.slipway.contract"])
    assert (told["entry"], told["format"]) == ("model", "hydrosphere")
    assert [field["name"] for field in told["model"]["inputs"]] == ["x"]


async def model_version(database: Database, definition: Definition) -> None:
    """As the API writes one: no job comes with it."""
    await database.execute("INSERT INTO owners (name) VALUES ('acme')")
    await database.execute("INSERT INTO projects (owner, name) VALUES ('acme', 'web')")
    await database.execute(
        "INSERT INTO deployments (id, project, name, target, kind)"
        " SELECT 'm1', seq, 'claims', 'container', 'model' FROM projects"
    )
    await database.execute(
        "INSERT INTO versions (id, project, deployment, name, definition)"
        " SELECT 'v1', seq, 'm1', '1', $1 FROM projects",
        definition,
    )


async def test_a_model_version_is_built_for_its_models_target(database: Database) -> None:
    definition = Definition(source="sha256:" + "0" * 64, endpoints=(made.model(),))
    await model_version(database, definition)
    held = await claim(database, "l1")
    assert held is not None
    assert (held.target, held.deployment, held.project) == ("container", "claims", "acme/web")
    assert held.definition == definition


async def test_training_data_stays_while_its_version_does(database: Database, blobs: Blobs) -> None:
    source, data = await made.put(blobs, b"source"), await made.put(blobs, b"x,y\n1,2\n")
    definition = Definition(
        source=source, endpoints=(made.model(),), training=Training(digest=data)
    )
    await model_version(database, definition)
    needed = await Collector(database, blobs, Keep())._marks.needed()
    assert {source, data} <= needed


async def test_a_payload_without_a_function_for_our_server_is_refused(shop: Shop) -> None:
    with pytest.raises(
        Invalid, match=r"no src/func_main\.py, .* it has: model\.bin, src"
    ) as caught:
        await shop.build(made.model(), {"src/main.py": "", "model.bin": ""})
    assert caught.value.field == "payload"


@pytest.mark.parametrize("path", ["func_main.py", "src/func_main/__init__.py"])
async def test_a_function_may_lie_where_python_finds_it(shop: Shop, path: str) -> None:
    found = await shop.content(await shop.build(made.model(), {path: ""}))
    assert f"/model/files/{path}" in found

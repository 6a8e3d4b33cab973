"""Things that the builder's tests are made of: sources, wheels, definitions, rows."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
from packaging.requirements import Requirement

from services.builder.claims import Claim
from services.builder.python.requirements import normal
from shared.blobs import Blobs
from shared.contract import Contract, Field
from shared.database.pool import Database
from shared.endpoint import Command, Definition, Endpoint, Model
from shared.ids import JobId, VersionId


def tar(files: Mapping[str, str], *, mtime: int = 0, gz: bool = False, mode: int = 0o644) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz" if gz else "w") as archive:
        for name, content in files.items():
            data = content.encode()
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), mtime, mode
            archive.addfile(info, io.BytesIO(data))
    return body.getvalue()


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], **extra: str) -> Path:
    """A wheel with a console script `name` that runs `name:main`."""
    info = f"{name}-{version}.dist-info"
    content = dict(files) | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    rows = [f"{path},sha256={_b64(text)},{len(text.encode())}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in content.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return path


BACKEND = """
import os, sys, zipfile

INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n{NEEDS}"
ABOUT = f"Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: false\\nTag: {TAG}\\n"
PYTHON = sys.version.split()[0]

def build_wheel(folder, config_settings=None, metadata_directory=None):
    FIRST
    print(f"building {NAME} with Python {PYTHON}", flush=True)
    name = f"{NAME}-{VERSION}-{TAG}.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr(f"{NAME}.py", f"built_by = {PYTHON!r}\\n")
        wheel.writestr(f"{INFO}/METADATA", METADATA)
        wheel.writestr(f"{INFO}/WHEEL", ABOUT)
        wheel.writestr(f"{INFO}/RECORD", "")
    return name

build_editable = build_wheel
"""
HOOK = """
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, INFO))
    with open(os.path.join(folder, INFO, "METADATA"), "w") as file:
        file.write(METADATA)
    return INFO
"""


def package(
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    needs: str = "",
    first: str = "pass",
    hook: str = HOOK,
) -> dict[str, str]:
    """A package that builds itself, with nothing but a Python. `first` is what is run before.

    Without the hook, what it needs is only known once it is built.
    """
    needs = f"Requires-Dist: {needs}\n" if needs else ""
    facts = f"NAME, VERSION, TAG, NEEDS = {name!r}, {version!r}, {tag!r}, {needs!r}\n"
    return {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "backend.py": facts + BACKEND.replace("FIRST", first) + hook,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        'backend-path = ["."]\n',
    }


def sdist(folder: Path, name: str, version: str, **changes: str) -> Path:
    files = package(name, version, **changes)
    path = folder / f"{name}-{version}.tar.gz"
    path.write_bytes(tar({f"{name}-{version}/{at}": text for at, text in files.items()}, gz=True))
    return path


def _b64(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def put(blobs: Blobs, body: bytes) -> str:
    return (await blobs.put_bytes(body)).digest


def endpoint(name: str = "greet", **changes: Any) -> Endpoint:
    base = Endpoint(
        name=name,
        format="valohai",
        entry=Command(lines=("python serve.py",)),
        port=8000,
        readiness="listening",
    )
    return msgspec.structs.replace(base, **changes)


CONTRACT = Contract(
    inputs=(Field(name="x", dtype="float64", shape=()),),
    outputs=(Field(name="y", dtype="float64", shape=(), profile="numerical"),),
)


def model(*install: str, image: str = "", **entry: Any) -> Endpoint:
    """The endpoint of a model version; `install` is its install-command."""
    return Endpoint(
        name="model",
        format="hydrosphere",
        entry=Model(**{"contract": CONTRACT, "server": "platform", **entry}),
        port=9091,
        readiness="listening",
        image=image,
        install=install,
    )


def claim(
    definition: Definition,
    *,
    target: str = "process",
    project: str = "acme/web",
    deployment: str = "",
) -> Claim:
    return Claim(
        id=VersionId("v1"),
        lease="l1",
        project=project,
        target=target,
        deployment=deployment,
        definition=definition,
        claims=1,
        errors=0,
    )


async def submitted(
    database: Database,
    definition: Definition,
    *,
    version: str = "v1",
    jobs: int = 1,
    owner: str = "acme",
) -> list[JobId]:
    """A version and its jobs as the API writes them, in the owner's project `web`."""
    await database.execute("INSERT INTO owners (name) VALUES ($1) ON CONFLICT DO NOTHING", owner)
    await database.execute(
        "INSERT INTO projects (owner, name) VALUES ($1, 'web') ON CONFLICT DO NOTHING", owner
    )
    project = await database.value("SELECT seq FROM projects WHERE owner = $1", owner)
    await database.execute(
        "INSERT INTO versions (id, project, name, definition) VALUES ($1, $2, $1, $3)",
        version,
        project,
        definition,
    )
    made = [JobId(f"{version}-job{number}") for number in range(jobs)]
    for job in made:
        await database.execute(
            "INSERT INTO jobs (id, project, name, version, endpoint, target) "
            "VALUES ($1, $2, $1, $3, $4, 'process')",
            job,
            project,
            version,
            definition.endpoints[0].name,
        )
    return made


async def version(database: Database, id: str = "v1") -> Any:
    return await database.row("SELECT * FROM versions WHERE id = $1", id)


async def log_text(database: Database, subject: str = "v1") -> list[str]:
    rows = await database.fetch("SELECT text FROM logs WHERE subject = $1 ORDER BY line", subject)
    return [row["text"] for row in rows]


async def facts(database: Database) -> list[str]:
    """Types of what was announced, in order, each with its subject."""
    rows = await database.fetch("SELECT type, subject FROM events ORDER BY seq")
    return [
        f"{row['type'].split('.')[1]} {row['type'].split('.')[2]} {row['subject']}" for row in rows
    ]


def repacked(folder: Path, *names: str) -> None:
    """Wheels of distributions that run these tests, and of all that they need."""
    waiting = list(names)
    while waiting:
        found = metadata.distribution(waiting.pop())
        needs = map(Requirement, found.requires or ())
        waiting += [one.name for one in needs if one.marker is None or one.marker.evaluate()]
        tags = re.findall(r"^Tag: (.*)$", found.read_text("WHEEL") or "", re.MULTILINE)
        python, abi, _ = tags[0].split("-")
        platforms = ".".join(tag.rpartition("-")[2] for tag in tags)
        name = (
            f"{normal(found.name).replace('-', '_')}-{found.version}-{python}-{abi}-{platforms}.whl"
        )
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path in found.files or ():
                if ".." not in path.parts and "__pycache__" not in path.parts:
                    archive.write(path.locate(), path)

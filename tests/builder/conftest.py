"""A workshop with a real database, real blobs and the real installer, which reaches no index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.builder import machine
from services.builder.base.bases import Bases
from services.builder.build import Workshop
from services.builder.cache import Cache
from services.builder.parts import Tools
from services.builder.python import indexes
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.registry import Registries
from tests.builder import made

OFFLINE = {"PATH": "/usr/bin:/bin", "UV_OFFLINE": "1"}


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs.open(f"file:{tmp_path / 'blobs'}")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder of wheels, the only place that packages come from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    made.wheel(
        folder, "tiny", "1.0", {"tiny/__init__.py": "def main() -> None:\n    print('tiny')\n"}
    )
    for name in ("grpcio", "numpy", "protobuf"):
        made.wheel(folder, name, "99.0", {f"{name}.py": "def main() -> None: ...\n"})
    made.wheel(folder, "gunicorn", "99.0", {"gunicorn.py": "def main() -> None: ...\n"})
    return folder


@pytest.fixture
async def registries() -> AsyncIterator[Registries]:
    async with Registries.open() as opened:
        yield opened


@pytest.fixture
def workshop(
    database: Database, blobs: Blobs, wheels: Path, tmp_path: Path, registries: Registries
) -> Workshop:
    environ = OFFLINE | {"UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1"}
    installer = machine.installer(tmp_path / "cache", 60.0, environ)
    tools = Tools(
        blobs=blobs,
        cache=Cache(database, blobs),
        installer=installer,
        indexes=indexes.identity(installer.environment),
        runtime={"wsgi.py": b"print('wsgi')\n"},
    )
    bases = Bases(registries, tools.cache, blobs, named={})
    return Workshop(tools=tools, host=machine.host(), bases=bases)

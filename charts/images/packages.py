"""The packages of an image, installed by uv from a lock with hashes: the same files each time."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from services.builder.recipe import Host
from shared.errors import Permanent

# where packages come from is this machine's to say, as it is for `make setup`
OPTIONS: Final = (
    *("--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy"),
    # what is built here would be for this machine, and another time another
    *("--only-binary", ":all:"),
)
LEFT_BEHIND: Final = (".lock", "CACHEDIR.TAG", ".gitignore")


async def install(lock: Path, host: Host, into: Path) -> None:
    """Raises Permanent with what uv said."""
    process = await asyncio.create_subprocess_exec(
        *(find_uv_bin(), "pip", "install", *OPTIONS, "--requirements", str(lock)),
        *("--target", str(into)),
        *("--python-version", host.python, "--python-platform", host.platform),
        stdout=PIPE,
        stderr=STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise Permanent(f"{lock.name}: {said.decode(errors='replace').strip()[-2000:]}")
    await asyncio.to_thread(tidy, into)


def tidy(root: Path) -> None:
    """Take out what tells of this machine: scripts, which name its Python, and uv's own marks."""
    for name in LEFT_BEHIND:
        (root / name).unlink(missing_ok=True)
    for folder in [*root.rglob("__pycache__")]:
        shutil.rmtree(folder)
    for program in [*(root / "bin").glob("*")]:
        with program.open("rb") as file:
            script = file.read(2) == b"#!"
        if script:
            program.unlink()
    for info in root.glob("*.dist-info"):
        (info / "uv_cache.json").unlink(missing_ok=True)
        _record(info / "RECORD")


def _record(record: Path) -> None:
    """What is still there, in one order."""
    rows = [row for row in csv.reader(record.read_text("utf-8").splitlines()) if row]
    site = record.parent.parent
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        sorted(row for row in rows if (site / row[0]).is_file())
    )
    record.write_text(text.getvalue(), "utf-8")

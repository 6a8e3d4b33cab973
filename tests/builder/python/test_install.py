"""Installing with the real uv: reasons, limits, and that nothing of it is left running."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from services.builder import machine, warden
from services.builder.python.install import Room


class Place:
    """Folders for one installation and what it said."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.source, self.scratch, self.into = root / "src", root / "scratch", root / "into"
        for folder in (self.source, self.scratch, self.into):
            folder.mkdir(parents=True)
        environ = {
            "PATH": "/usr/bin:/bin",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(wheels),
            "DATABASE_URL": "postgresql://me:secret@db/x",
            "AMQP_URL": "amqp://me:secret@mq/",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        self.installer = machine.installer(root / "cache", 60.0, environ)
        self.said: list[str] = []

    async def install(self, *packages: str, **changes: object) -> str | None:
        installer = msgspec.structs.replace(self.installer, **changes)
        return await installer.install(
            self.room, self.into, packages, lambda text, _: self.said.append(text)
        )

    @property
    def room(self) -> Room:
        return Room(source=self.source, scratch=self.scratch)

    def package(self, setup: str, name: str = "odd") -> None:
        """A source distribution in the source whose build runs `setup`."""
        folder = self.source / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            f'[project]\nname = "{name}"\nversion = "1"\n'
        )
        (folder / "backend.py").write_text(setup)


@pytest.fixture
def place(tmp_path: Path, wheels: Path) -> Place:
    return Place(tmp_path / "place", wheels)


def alive(marker: str) -> list[int]:
    """Processes whose command line holds `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


async def gone(marker: str) -> None:
    async with asyncio.timeout(15):
        while alive(marker):
            await asyncio.sleep(0.01)


async def there(path: Path) -> None:
    async with asyncio.timeout(30):
        while not path.exists():
            await asyncio.sleep(0.01)


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[str]:
    """A word that processes of a test carry; what still does afterwards is ended."""
    word = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    yield word
    for pid in alive(word):
        os.kill(pid, signal.SIGKILL)


async def test_what_is_installed_is_laid_out_as_a_user_base(place: Place) -> None:
    assert await place.install("tiny==1.0") is None
    site = place.into / machine.host().site_packages
    assert (site / "tiny" / "__init__.py").is_file()
    assert os.access(place.into / "bin" / "tiny", os.X_OK)
    assert " + tiny==1.0" in place.said


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        (("no-such-thing",), ["no-such-thing was not found"]),
        (("tiny==9",), ["no version of tiny==9"]),
        (("tiny>1", "tiny<1"), ["tiny>1", "tiny<1", "unsatisfiable"]),
        (("tiny $ 1",), ["tiny"]),
    ],
)
async def test_a_failure_says_what_was_wrong(
    place: Place, packages: tuple[str, ...], words: list[str]
) -> None:
    reason = await place.install(*packages)
    assert reason is not None
    for word in words:
        assert word in reason


async def test_a_build_that_fails_names_its_error(place: Place) -> None:
    place.package("raise RuntimeError('no compiler today')\n")
    reason = await place.install("./odd")
    assert reason is not None
    assert reason.endswith("RuntimeError: no compiler today")
    assert str(place.source) not in "\n".join(place.said)


async def test_a_build_sees_none_of_our_secrets(place: Place) -> None:
    place.package(
        "import os\nprint(sorted(os.environ.items()), flush=True)\nraise SystemExit('no')\n"
    )
    assert await place.install("./odd") is not None
    said = "\n".join(place.said)
    assert "UV_FIND_LINKS" in said
    assert "secret" not in said
    assert "DATABASE_URL" not in said


async def test_time_is_limited_and_daemons_end_too(place: Place, marker: str) -> None:
    place.package(DAEMON.format(marker=marker, flag=place.scratch / "flag"))
    installing = asyncio.create_task(place.install("./odd", timeout=4.0))
    await there(place.scratch / "flag")
    assert alive(marker)
    assert await installing == "it took longer than 4 s"
    assert not alive(marker)


DAEMON = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{marker}"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "{marker}"])
    os._exit(0)
open("{flag}", "w").close()
time.sleep(600)
"""


async def test_a_cancelled_installation_leaves_nothing_running(place: Place, marker: str) -> None:
    place.package(DAEMON.format(marker=marker, flag=place.scratch / "flag"))
    installing = asyncio.create_task(place.install("./odd"))
    await there(place.scratch / "flag")
    installing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await installing
    assert not alive(marker)


async def test_an_installation_ends_with_the_builder_that_is_killed(
    tmp_path: Path, marker: str
) -> None:
    flag = tmp_path / "flag"
    script = f"open({str(flag)!r}, 'w').close(); import time; time.sleep(600)"
    builder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BUILDER, warden.__file__, script, marker)
    )
    await there(flag)
    assert alive(marker)
    builder.kill()
    await builder.wait()
    await gone(marker)


BUILDER = """
import subprocess, sys
warden = [sys.executable, "-I", "-S", sys.argv[1], "600", "1000000"]
subprocess.Popen([*warden, sys.executable, "-c", *sys.argv[2:]], stdin=subprocess.PIPE).wait()
"""


async def test_what_a_build_prints_is_bounded(place: Place) -> None:
    place.package("print('x' * 5_000_000)\nraise SystemExit('no')\n")
    assert await place.install("./odd") is not None
    assert max(map(len, place.said)) <= 1 << 14


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
async def test_the_warden_ends_as_its_command_did(command: str, code: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", warden.__file__, "60", "1000000", "/bin/sh", "-c", command),
        stdin=asyncio.subprocess.PIPE,
    )
    assert await process.wait() == code


async def test_a_file_can_not_fill_the_disk(tmp_path: Path) -> None:
    command = f"head -c 5000000 /dev/zero > {tmp_path}/big"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", warden.__file__, "60", "1000000", "/bin/sh", "-c", command),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() != 0
    assert (tmp_path / "big").stat().st_size <= 1_000_000


async def test_a_package_from_the_index_of_this_machine_is_found(place: Place) -> None:
    installer = machine.installer(place.scratch / "cache", 120.0, os.environ)
    said: list[str] = []
    failed = await installer.install(
        place.room, place.into, ("six==1.17.0",), lambda text, _: said.append(text)
    )
    assert failed is None, said
    assert (place.into / machine.host().site_packages / "six.py").is_file()

"""Work folders: one for each builder that lives, none of those that died."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from services.builder.ground import clear, ground, sweep

HOLD = """
import sys
from pathlib import Path
from services.builder.ground import ground
with ground(Path(sys.argv[1])) as own:
    (own / "half").write_text("made")
    print(own, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_ours_alone_and_gone_afterwards(tmp_path: Path) -> None:
    with ground(tmp_path) as one, ground(tmp_path) as other:
        assert one != other
        assert one.is_dir()
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_builder_left_is_swept_and_a_living_one_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        sweep(tmp_path)
        assert (folder / "half").exists()
        process.kill()
        process.wait()
    (tmp_path / "cache").mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


async def test_a_folder_is_cleared_while_a_thread_still_writes_into_it(tmp_path: Path) -> None:
    folder, begun, over = tmp_path / "build", threading.Event(), threading.Event()
    folder.mkdir()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            with suppress(OSError):
                (folder / str(number % 7)).mkdir(exist_ok=True)
                (folder / str(number % 7) / str(number)).touch()
            begun.set()

    writing = asyncio.create_task(asyncio.to_thread(write))
    try:
        await asyncio.to_thread(begun.wait)
        await asyncio.to_thread(clear, folder)
        assert list(tmp_path.iterdir()) == []
    finally:
        over.set()
        await writing

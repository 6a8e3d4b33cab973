"""What a container prints becomes numbered lines, whoever looks on and whoever does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.scheduler.driver import Phase
from services.scheduler.drivers.process.supervisor.output import KEPT, LONGEST
from shared.blobs import Blobs
from tests.scheduler.container.bed import Bed
from tests.scheduler.targets import Target, opened, target


async def test_streams_are_told_apart_and_ends_without_a_line_end_are_lines(on: Target) -> None:
    work = await on.shell("printf 'no end'; printf 'odd \\377' >&2; exit 3")
    await on.started(work)
    await on.until(work.replica, lambda seen: seen.restarts >= 2)
    assert (await on.texts(work.replica, 2))[:2] == ["no end", "no end"]
    assert (await on.texts(work.replica, 2, "stderr"))[:2] == ["odd \ufffd", "odd \ufffd"]


async def test_long_lines_are_cut(on: Target) -> None:
    work = await on.shell(
        "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next; sleep 600", readiness="none"
    )
    await on.started(work)
    assert await on.texts(work.replica, 2) == ["x" * LONGEST + " [cut]", "next"]


async def test_what_is_printed_while_nobody_looks_is_collected_later(
    bed: Bed, tmp_path: Path
) -> None:
    async with target("container", tmp_path, bed) as on:
        work = await on.shell(
            "n=0; while [ ! -e /tmp/stop ]; do echo $n; n=$((n + 1)); sleep 0.01; done; echo end; sleep 600"
        )
        await on.started(work)
        await on.texts(work.replica, 5)
        await on.driver.close()  # type: ignore[attr-defined]
        await asyncio.sleep(1.5)
        async with opened("container", tmp_path, Blobs.open(f"file:{tmp_path}/blobs"), bed) as new:
            again = Target("container", new, on.blobs, tmp_path, bed)
            await again.texts(work.replica, 150)
            await bed.inside(tmp_path, work.replica, "touch", "/tmp/stop")
            while (await again.driver.logs(work.replica, 0))[-1].text != "end":
                await asyncio.sleep(0.05)
            lines = await again.driver.logs(work.replica, 0)
            assert [line.line for line in lines] == list(range(1, len(lines) + 1))
            assert [line.text for line in lines] == [*map(str, range(len(lines) - 1)), "end"]


async def test_the_last_words_of_what_ended_while_nobody_looked_are_kept(
    bed: Bed, tmp_path: Path
) -> None:
    blobs = Blobs.open(f"file:{tmp_path}/blobs")
    async with opened("container", tmp_path, blobs, bed) as driver:
        one = Target("container", driver, blobs, tmp_path, bed)
        work = await one.shell("echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo last")
        await one.started(work)
        await one.texts(work.replica, 1)
        name = bed.name(tmp_path, work.replica)
    await bed.run("exec", name, "touch", "/tmp/go")
    while "last" not in await bed.run("logs", name):
        await asyncio.sleep(0.05)
    await bed.run("kill", name)
    async with target("container", tmp_path, bed) as on:
        assert (await on.driver.observe())[work.replica].phase is Phase.GONE
        assert (await on.texts(work.replica, 2))[:2] == ["first", "last"]


async def test_L09_a_flood_is_bounded_and_what_is_missing_is_told(on: Target, bed: Bed) -> None:
    work = await on.shell(
        "yes 0123456789012345678901234567890123456789 | head -c 60000000; sleep 600"
    )
    await on.started(work)
    before = memory("VmRSS", afresh=True)
    at, told = 0, ""
    async with asyncio.timeout(60):
        while not told:
            page = await on.driver.logs(work.replica, at)
            assert [line.line for line in page] == list(range(at + 1, at + 1 + len(page)))
            at += len(page)
            told = next((line.text for line in page if line.stream == "platform"), "")
            if not page:
                await asyncio.sleep(0.05)
    assert "were dropped: more output than is kept" in told
    kept = sum(file.stat().st_size for file in (on.home / "containers").rglob("*.jsonl"))
    assert kept < KEPT
    assert memory("VmHWM") - before < 64 << 20


def memory(kind: str, *, afresh: bool = False) -> int:
    """Bytes that this process has, or had at most since that was asked afresh."""
    if afresh:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{kind}:"))
    return int(line.split()[1]) << 10

"""Who uses up too much is ended alone, with a reason; who runs beside it answers on."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.scheduler.driver import Observed, Phase, Workload
from services.scheduler.drivers.limits import Limits, limited
from services.scheduler.drivers.process import launch
from shared.confine import kernel
from shared.endpoint import Range, Resources
from tests.scheduler.images import workload
from tests.scheduler.targets import Kind, Target, get, target

SMALL = Limits(memory=200 << 20, disk=30 << 20, files=300, processes=40)
HOG = "import time\nheld = bytearray(300 << 20)\nfor n in range(0, len(held), 4096): held[n] = 1\n"
BOMB = "for n in $(seq 200); do sleep 600 & done; wait"
FILE = "head -c 60000000 /dev/zero >big; sleep 600"
FILES = "mkdir many; cd many; seq 600 | xargs touch; sleep 600"
UNNAMED = "exec 3>/tmp/x; rm /tmp/x; head -c 60000000 /dev/zero >&3; sleep 600"


@pytest.fixture(params=["namespaces", "plain"])
async def tight(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Target]:
    kind: Kind = request.param
    async with target(kind, tmp_path, limits=SMALL) as opened:
        yield opened


@pytest.fixture
async def unkept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Target]:
    """Where there are no control groups: supervisors look for them elsewhere."""
    elsewhere = "import shared.confine.cgroups as g; g.ROOT = '/nowhere'; from supervisor"
    program = launch.PROGRAM.replace("from supervisor", elsewhere)
    monkeypatch.setattr(launch, "PROGRAM", program)
    async with target("namespaces", tmp_path, limits=SMALL) as opened:
        yield opened


async def answers(on: Target, work: Workload) -> bool:
    (address,) = (await on.driver.observe())[work.replica].addresses
    return bool(json.loads(await get(address, "/hello")) == "hello")


async def came_to(on: Target, work: Workload, phase: Phase) -> Observed:
    await on.started(work)
    return await on.until(work.replica, phase)


async def test_L04_each_ends_alone_and_its_neighbour_answers_on(tight: Target) -> None:
    neighbour = await tight.serving(job="neighbour")
    await tight.started(neighbour)
    hog = await tight.made("python", "hog.py", job="hog", code={"hog.py": HOG}, readiness="none")
    bomb = await tight.shell(BOMB, job="bomb")
    file = await tight.shell(FILE, job="file")
    files = await tight.shell(FILES, job="files")
    for work in (hog, bomb, file, files):
        await tight.driver.start(work)

    seen = await tight.until(hog.replica, Phase.CRASHING)
    assert seen.reason == "its server needed more than the 200 MiB of memory that it may"
    assert (seen.exit_code, seen.failures > 0) == (None, True)
    seen = await tight.until(bomb.replica, Phase.CRASHING)
    assert seen.reason == "its server had more than the 40 processes that it may"
    seen = await tight.until(file.replica, Phase.BROKEN)  # what it wrote would be there again
    assert seen.reason == "its server wrote more than the 30 MiB that it may"
    seen = await tight.until(files.replica, Phase.BROKEN)
    assert seen.reason == "its server made more than the 300 files that it may"

    assert await answers(tight, neighbour)
    seen = (await tight.driver.observe())[neighbour.replica]
    assert (seen.phase, seen.restarts) == (Phase.READY, 0)
    later = await tight.serving(job="later")
    await came_to(tight, later, Phase.READY)


async def test_L04_memory_and_processes_are_looked_at_where_no_control_group_keeps_them(
    unkept: Target,
) -> None:
    code = {"hog.py": HOG + "time.sleep(600)\n"}
    hog = await unkept.made("python", "hog.py", job="hog", code=code, readiness="none")
    bomb = await unkept.shell(BOMB, job="bomb")
    for work in (hog, bomb):
        await unkept.driver.start(work)
    assert "memory" in (await unkept.until(hog.replica, Phase.CRASHING)).reason
    assert "processes" in (await unkept.until(bomb.replica, Phase.CRASHING)).reason


@pytest.mark.parametrize("tight", ["namespaces"], indirect=True)  # else its /tmp is the machine's
async def test_L04_a_file_without_a_name_counts_and_a_run_ends_with_the_reason(
    tight: Target,
) -> None:
    work = await tight.running(UNNAMED)
    seen = await tight.finished(work)
    assert seen.exit_code is None
    assert seen.reason == "the command wrote more than the 30 MiB that it may"


async def test_L04_what_came_with_its_image_was_not_written_by_it(tight: Target) -> None:
    code = {f"{n}": "x" for n in range(400)} | {"large": "x" * (40 << 20)}
    work = await tight.made("sleep", "600", code=code, readiness="none")
    await came_to(tight, work, Phase.READY)
    folder = tight.home / "replicas" / str(work.replica)
    assert (folder / "image/valohai/code/large").stat().st_size > SMALL.disk


async def test_L04_a_single_file_is_held_to_a_size(tight: Target) -> None:
    work = await tight.shell("exec truncate -s 5G big")
    seen = await came_to(tight, work, Phase.CRASHING)
    assert seen.exit_code == -25
    assert seen.reason == "its server was ended (SIGXFSZ): it made a larger file than it may"


async def test_L04_the_kernel_would_end_it_before_the_platform(tight: Target) -> None:
    work = await tight.shell("cat /proc/self/oom_score_adj; ulimit -c; sleep 600")
    await tight.started(work)
    score, core = await tight.texts(work.replica, 2)
    assert int(score) >= 500
    assert core == "0"


def test_what_is_asked_for_is_the_limit_and_the_usual_is_for_the_rest() -> None:
    asked = Resources(memory=Range(min=64, max=128), disk=Range(max=10))
    assert limited(workload("sha256:0", resources=asked), SMALL) == Limits(
        memory=128 << 20, disk=10 << 20, files=300, processes=40
    )
    assert limited(workload("sha256:0"), SMALL) == SMALL


def test_the_kernel_says_its_version() -> None:
    assert kernel.release() >= (3, 0)
    assert os.uname().release.startswith(".".join(map(str, kernel.release())))

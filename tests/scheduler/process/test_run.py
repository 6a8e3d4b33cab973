"""Runs as processes: what happens when somebody is killed, and what a hostile run leaves."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from services.scheduler.driver import Phase, Started
from services.scheduler.drivers import outputs
from services.scheduler.drivers.process import alive, collect
from services.scheduler.drivers.process.rubbish import delete
from shared.errors import Invalid
from tests.scheduler.targets import Target, opened, target, unpacked


def pack(root: Path, most: int = 1 << 20) -> dict[str, bytes]:
    return unpacked(b"".join(collect.pack(root, "out", most)))


async def test_a_run_whose_supervisor_was_killed_is_gone_and_may_begin_again(on: Target) -> None:
    work = await on.running("echo ran; sleep 600")
    await on.driver.start(work)
    await on.until(work.replica, Phase.READY)
    folder = on.home / "replicas" / str(work.replica)
    process = alive.supervisor(folder)
    assert process is not None
    os.kill(process, signal.SIGKILL)
    await on.until(work.replica, Phase.GONE)
    assert await on.driver.start(work) == Started()
    await on.until(work.replica, Phase.READY)
    assert await on.texts(work.replica, 1) == ["ran"]


TORN = {
    "empty": b"",
    "zeros": bytes(60),
    "cut short": b'{"phase": "finished", "exit_co',
    "two in one": b'{"phase": "finished"}, "exit_code": 0}',
    "no text": b'{"phase": "finished", "reason": "\xff"}',
    "of a release to come": b'{"phase": "asleep"}',
    "another thing": b'["finished"]',
}


@pytest.mark.parametrize("said", TORN.values(), ids=TORN)
async def test_C04_a_status_that_says_nothing_is_of_one_that_is_gone_and_may_begin_again(
    tmp_path: Path, said: bytes
) -> None:
    async with target("plain", tmp_path) as on:
        work = await on.running("true")
        folder = tmp_path / "replicas" / str(work.replica)
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "status.json").write_bytes(said)
        assert (await on.driver.observe())[work.replica].phase is Phase.GONE
        assert (await on.finished(work)).exit_code == 0


@pytest.mark.parametrize("life", ["another", ""])
async def test_C04_what_finished_before_the_machine_was_started_anew_is_gone(
    on: Target, life: str
) -> None:
    """Nobody waited for the disk: what it left may be there by name alone."""
    work = await on.running('echo kept >"$SLIPWAY_OUTPUTS/file"')
    await on.finished(work)
    folder = on.home / "replicas" / str(work.replica)
    async with asyncio.timeout(20):
        while alive.lives(folder):
            await asyncio.sleep(0.01)
    (folder / "life").write_text(life)
    assert (await on.driver.observe())[work.replica].phase is Phase.GONE
    await on.finished(work)
    assert await on.outputs(work.replica) == {"file": b"kept\n"}


async def test_many_small_files_come_in_few_pieces(apart: Target) -> None:
    command = 'cd "$SLIPWAY_OUTPUTS"; for n in $(seq 200); do echo $n >$n; done'
    work = await apart.running(command)
    await apart.finished(work)
    pieces = [piece async for piece in apart.driver.outputs(work.replica, 1 << 20)]
    assert len(pieces) == 1  # each is a way to a thread and back
    assert len(unpacked(pieces[0])) == 200


async def test_how_it_ended_outlives_everybody(apart: Target) -> None:
    work = await apart.running('echo kept >"$SLIPWAY_OUTPUTS/file"; exit 7')
    seen = await apart.finished(work)
    folder = apart.home / "replicas" / str(work.replica)
    async with asyncio.timeout(20):
        while alive.lives(folder):  # it says how it ended, and then ends itself
            await asyncio.sleep(0.01)
    async with opened("namespaces", apart.home, apart.blobs) as again:
        assert (await again.observe())[work.replica] == seen
        assert await again.start(work) == Started()
        packed = b"".join([piece async for piece in again.outputs(work.replica, 100)])
        assert unpacked(packed) == {"file": b"kept\n"}


async def test_what_it_leaves_running_ends_with_it(apart: Target) -> None:
    work = await apart.running("sleep 600 & setsid sleep 600 & exit 0")
    assert (await apart.finished(work)).exit_code == 0


async def test_a_run_that_is_killed_says_so(apart: Target) -> None:
    work = await apart.running("kill -KILL $$")
    seen = await apart.finished(work)
    assert seen.exit_code == -9
    assert "perhaps the machine ran out of memory" in seen.reason


async def test_a_folder_that_leads_elsewhere_is_not_followed(apart: Target) -> None:
    (apart.home / "secret").mkdir()
    (apart.home / "secret" / "key").write_text("mine")
    work = await apart.running(
        "cd /slipway; mv outputs aside 2>/dev/null || cd outputs",
        f"ln -s {apart.home}/secret outputs; ln -s {apart.home}/secret/key key; true",
    )
    await apart.finished(work)
    assert "key" not in str(await apart.outputs(work.replica))


def test_links_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("x")
    (tmp_path / "out" / "link").symlink_to("/etc/passwd")
    (tmp_path / "out" / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "out" / "pipe")
    assert pack(tmp_path) == {"file": b"x"}


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("x")
    (tmp_path / "out").symlink_to("there")
    assert pack(tmp_path) == {}


def test_holes_count_like_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "bomb").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Invalid, match="more than the"):
        pack(tmp_path)


def test_what_is_too_deep_or_too_many_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "out"
    for _ in range(outputs.DEPTH + 2):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(Invalid, match="folders"):
        pack(tmp_path)
    monkeypatch.setattr(outputs, "MEMBERS", 3)
    delete(tmp_path / "out")
    (tmp_path / "out").mkdir()
    for number in range(4):
        (tmp_path / "out" / str(number)).touch()
    with pytest.raises(Invalid, match="files and folders"):
        pack(tmp_path)


def test_a_name_that_is_no_text_is_written_as_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / os.fsdecode(b"m\xfft")).write_text("x")
    assert pack(tmp_path) == {"m\\xfft": b"x"}

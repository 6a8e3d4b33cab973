"""Runs as containers: what is asked of the engine, and what its tars become."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.scheduler.driver import Phase, Started
from services.scheduler.drivers.container import collect, init, spec
from services.scheduler.drivers.container import life as lives
from services.scheduler.drivers.container.engine import ImageConfig
from services.scheduler.drivers.container.life import Life
from services.scheduler.drivers.container.spec import Place
from shared.endpoint import Run
from shared.errors import Invalid
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import workload
from tests.scheduler.targets import opened, target, unpacked

AT = datetime(2026, 1, 1, tzinfo=UTC)
WORK = workload("sha256:" + "0" * 64, run=Run(lines=("one", "two")))


def test_its_command_stands_in_place_of_the_images_own() -> None:
    labels = spec.labels("h1", WORK, "mark")
    place = Place(kind="docker", network="n", published=False)
    body = spec.body(ImageConfig(entrypoint=["serve"], cmd=["me"]), WORK, "r@d", labels, place)
    assert tuple(body["Cmd"]) == ("/bin/sh", "-c", "set -e\none\ntwo")
    read = spec.read_labels(labels)
    assert read is not None
    assert (read.run, read.readiness) == (True, "none")
    assert spec.folders(WORK) == ("/slipway/outputs",)
    assert b"_once=1" in spec.files(ImageConfig(), WORK)[init.PATH]


def test_a_container_from_before_there_were_runs_is_none() -> None:
    labels = spec.labels("h1", WORK, "mark")
    del labels[spec.RUN]
    read = spec.read_labels(labels)
    assert read is not None
    assert not read.run


def test_its_end_is_known_only_when_its_log_was_read() -> None:
    done = lives.told(Life(container="c1"), ["done", "137"], AT).life
    assert (done.phase, done.exit_code) == (Phase.FINISHED, -9)
    assert lives.observed(done, running=False).phase is Phase.FINISHED
    assert lives.observed(lives.unread(done), running=True).phase is Phase.READY


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as made:
        for member in members:
            made.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, link: str = ""):
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def test_files_and_folders_are_kept_and_nothing_else(tmp_path: Path) -> None:
    raw = tar(
        tmp_path / "raw.tar",
        member("outputs", tarfile.DIRTYPE),
        member("outputs/a", tarfile.DIRTYPE),
        member("outputs/a/b", size=2),
        member("outputs/same", tarfile.LNKTYPE, link="outputs/a/b"),
        member("outputs/lost", tarfile.LNKTYPE, link="outputs/none"),
        member("outputs/link", tarfile.SYMTYPE, link="/etc/passwd"),
        member("outputs/pipe", tarfile.FIFOTYPE),
        member("outputs/device", tarfile.CHRTYPE),
        member("outputs/../../x", size=1),
    )
    found = unpacked(b"".join(collect.repack(raw, 100)))
    assert found == {"a/": b"", "a/b": b"xx", "same": b"xx"}
    with pytest.raises(Invalid, match="more than the 3 bytes"):
        list(collect.repack(raw, 3))  # each link is one more copy


def test_links_that_lead_in_a_circle_are_left_out(tmp_path: Path) -> None:
    """As `ln -s b a && ln a b` makes them."""
    raw = tar(
        tmp_path / "raw.tar",
        member("outputs", tarfile.DIRTYPE),
        member("outputs/a", tarfile.SYMTYPE, link="b"),
        member("outputs/b", tarfile.LNKTYPE, link="outputs/a"),
        member("outputs/c", tarfile.LNKTYPE, link="outputs/c"),
        member("outputs/d", size=1),
        member("outputs/e", tarfile.LNKTYPE, link="outputs/d"),
        member("outputs/f", tarfile.LNKTYPE, link="outputs/./e"),
    )
    assert unpacked(b"".join(collect.repack(raw, 100))) == {"d": b"x", "e": b"x", "f": b"x"}


async def test_how_it_ended_is_known_to_the_next_driver(bed: Bed, tmp_path: Path) -> None:
    async with target("container", tmp_path, bed) as here:
        work = await here.running('echo kept >"$SLIPWAY_OUTPUTS/file"; echo said; exit 7')
        await here.driver.start(work)
        await here.until(work.replica, Phase.FINISHED)
        async with opened("container", tmp_path, here.blobs, bed) as again:
            assert await again.start(work) == Started()
            seen = (await again.observe())[work.replica]
            assert (seen.phase, seen.exit_code) == (Phase.FINISHED, 7)
            packed = b"".join([piece async for piece in again.outputs(work.replica, 100)])
            assert unpacked(packed) == {"file": b"kept\n"}


async def test_a_container_that_was_killed_has_not_finished(bed: Bed, tmp_path: Path) -> None:
    async with target("container", tmp_path, bed) as here:
        work = await here.running("echo began; sleep 600")
        await here.driver.start(work)
        await here.until(work.replica, Phase.READY)
        await here.texts(work.replica, 1)
        await bed.run("kill", bed.name(tmp_path, work.replica))
        await here.until(work.replica, Phase.GONE)
        assert await here.driver.start(work) == Started()
        await here.until(work.replica, Phase.READY)

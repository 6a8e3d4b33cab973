"""The marks of replicas that were stopped outlive whatever is done to the machine's clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.scheduler.driver import Ended
from services.scheduler.drivers.process import graves, moment
from services.scheduler.drivers.process.open import sweep
from services.scheduler.drivers.process.rubbish import part
from shared.errors import Transient
from tests.scheduler.targets import target

HOUR = 3600.0


def jump(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def go_by(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + seconds)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("replicas", "parts"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def folder(home: Path) -> Path:
    """The place of one that was stopped."""
    folder = home / "replicas" / "j1-1"
    assert graves.bury(home, folder)
    return folder


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
async def test_S17_a_late_start_is_refused_though_the_machines_clock_has_jumped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    async with target("plain", tmp_path) as on:
        late, other = await on.serving(job="j1"), await on.serving(job="j2")
        await on.driver.stop(late.replica, 0)
        jump(monkeypatch, seconds)
        await on.driver.stop(other.replica, 0)  # it lets old marks go
        with pytest.raises(Ended):
            await on.driver.start(late)


def test_old_marks_go(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graves.forget(home, home / "replicas")
    assert graves.ended(folder)
    go_by(monkeypatch, graves.KEPT + 1)
    graves.forget(home, home / "replicas")
    assert not folder.exists()
    assert list((home / "parts").iterdir()) == []


@pytest.mark.parametrize("said", ["", "another-boot.1.0", "torn.", "x"])
def test_a_mark_whose_age_can_not_be_told_is_kept_for_as_long_as_a_new_one(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    (folder / graves.MARK).write_text(said)
    jump(monkeypatch, HOUR)
    graves.forget(home, home / "replicas")
    assert graves.ended(folder)
    go_by(monkeypatch, graves.KEPT + 1)
    graves.forget(home, home / "replicas")
    assert not folder.exists()


def test_a_start_begins_anew_before_a_mark_that_it_should_have_found_may_be_gone(
    home: Path,
) -> None:
    with pytest.raises(Transient, match="begins anew"):
        graves.vet(home / "replicas" / "j2-1", time.monotonic() - graves.START - 1)


@pytest.mark.parametrize("seconds", [-2 * HOUR, 2 * HOUR])
def test_S17_what_is_being_made_is_not_swept_away_when_the_clock_jumps(
    home: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    with part(home) as folder:
        jump(monkeypatch, seconds)
        sweep(home)
        assert folder.exists()
        go_by(monkeypatch, 2 * HOUR)
        sweep(home)
        assert not folder.exists()


def test_a_moment_is_never_yet_to_come() -> None:
    assert all(moment.since(moment.now()) is not None for _ in range(1_000))

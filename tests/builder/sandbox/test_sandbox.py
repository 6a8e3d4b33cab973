"""The sandbox by itself, also where there are no control groups."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.builder.sandbox import ids, run, watch
from services.builder.sandbox.spec import Ended, Ids, Limits, Place, Spec
from services.builder.sandbox.watch import usage
from shared.confine import cgroups

SYSTEM = {"PATH": os.defpath}
USUAL = Limits(seconds=30)


class Yard:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    async def run(
        self,
        line: str,
        *,
        env: Mapping[str, str] = SYSTEM,
        users: Ids = "own",
        limits: Limits = USUAL,
        places: tuple[Place, ...] = (),
        handed: tuple[str, ...] = (),
    ) -> Ended:
        box = self.folder / f"box{len(list(self.folder.iterdir()))}"
        box.mkdir(mode=0o700)
        spec = Spec(
            command=["/bin/sh", "-c", line],
            env=dict(env),
            cwd="/",
            folder=str(box),
            places=list(places),
            limits=limits,
            ids=users,
            handed=list(handed),
        )
        return await run.run(spec, lambda text, _: self.said.append(text))


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    folder = tmp_path / "yard"
    folder.mkdir()
    return Yard(folder)


def test_this_machine_permits_it(tmp_path: Path) -> None:
    assert run.permits(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("line", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137)])
@pytest.mark.parametrize("users", ["own", "range"])
async def test_it_ends_as_its_command_did(yard: Yard, line: str, code: int, users: Ids) -> None:
    assert await yard.run(line, users=users) == Ended("exit", code)


async def test_a_command_that_is_not_there_is_named(yard: Yard) -> None:
    assert await yard.run("exec /no/such/thing") == Ended("exit", 127)
    assert "/no/such/thing" in yard.said[0]


async def test_it_has_the_environment_that_it_was_given(yard: Yard) -> None:
    await yard.run("env | cut -d= -f1", env={**SYSTEM, "OWN": "1"})
    assert {"OWN", "PATH"} <= set(yard.said) <= {"OWN", "PATH", "PWD", "SHLVL", "_"}


async def test_users_of_a_range_are_nobody_on_the_machine(yard: Yard, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    places = (Place(str(secret), "/secret"),)
    await yard.run("id -u; id -g; cat /secret", users="range", places=places)
    assert yard.said[:2] == ["0", "0"]
    assert "Permission denied" in yard.said[2]


async def test_a_file_that_is_handed_is_read_by_whoever_is_inside(
    yard: Yard, tmp_path: Path
) -> None:
    names = ["first", "second"]
    for name in names:
        (tmp_path / name).write_text(f"{name}\n")
        (tmp_path / name).chmod(0o600)
    handed = tuple(str(tmp_path / name) for name in names)
    line = "exec python3 -c 'import os; print(os.read(10, 99), os.read(11, 99))'"
    assert await yard.run(line, users="range", handed=handed) == Ended("exit")
    assert yard.said == [r"b'first\n' b'second\n'"]


async def test_places_are_read_written_or_copied(yard: Yard, tmp_path: Path) -> None:
    for name in ("read", "write", "copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("old\n")
    places = (
        Place(str(tmp_path / "read"), "/r"),
        Place(str(tmp_path / "write"), "/w", "write"),
        Place(str(tmp_path / "copy"), "/c", "copy"),
    )
    await yard.run("for at in r w c; do echo new > /$at/file; cat /$at/file; done", places=places)
    assert [text for text in yard.said if text in ("old", "new")] == ["old", "new", "new"]
    texts = {name: (tmp_path / name / "file").read_text() for name in ("read", "write", "copy")}
    assert texts == {"read": "old\n", "write": "new\n", "copy": "old\n"}


async def test_what_runs_inside_is_gone_with_its_command(yard: Yard) -> None:
    word = f"sleep 6{os.getpid()}"
    await yard.run(f"setsid {word} & setsid {word} & exit 0")
    found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _says(path, word)]
    assert found == []


def _says(path: Path, word: str) -> bool:
    try:
        return word.encode() in path.read_bytes().replace(b"\0", b" ")
    except OSError:
        return False


async def test_a_sandbox_that_can_not_be_made_says_why(yard: Yard, tmp_path: Path) -> None:
    found = await yard.run("true", places=(Place(str(tmp_path / "nowhere"), "/x"),))
    assert found.how == "broken"
    assert "nowhere" in found.why


async def test_a_stopped_sandbox_ends(yard: Yard) -> None:
    task = asyncio.create_task(yard.run("echo here; trap '' TERM; sleep 600"))
    async with asyncio.timeout(30):
        while yard.said != ["here"]:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("users", ["own", "range"])
@pytest.mark.parametrize(
    ("line", "limits", "how"),
    [
        ("x=1; while :; do x=$x$x; done", Limits(seconds=20, memory=100 << 20), "memory"),
        ("while :; do sleep 60 & done", Limits(seconds=20, processes=50), "processes"),
    ],
    ids=["memory", "processes"],
)
async def test_limits_hold_without_control_groups(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, users: Ids, line: str, limits: Limits, how: str
) -> None:
    """The program is told of another root of control groups, where there are none."""
    without = "import shared.confine.cgroups as g; g.ROOT = '/nowhere'; "
    monkeypatch.setattr(run, "PROGRAM", run.PROGRAM.replace("from", f"{without}from", 1))
    assert (await yard.run(line, users=users, limits=limits)).how == how


def test_leftover_groups_of_dead_sandboxes_are_removed() -> None:
    parents = list(cgroups._parents().values())
    dead = [Path(parent) / f"{cgroups.NAME}4194305" for parent in parents]  # beyond every id
    for folder in dead:
        folder.mkdir(exist_ok=True)
    group = cgroups.open_group(1 << 30, 100)
    try:
        assert [folder for folder in dead if folder.exists()] == []
    finally:
        group.close()
    assert [folder for folder in group.folders if Path(folder).exists()] == []


def test_what_is_counted_is_what_lies_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "deleted", lambda _: ())  # of who runs this
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/big").write_bytes(bytes(1 << 20))
        (tmp_path / "b").symlink_to("/")
        assert usage(handle, 2 << 20, 100) is None
        assert usage(handle, 1 << 19, 100) == "disk"
        assert usage(handle, 2 << 20, 2) == "files"
    finally:
        os.close(handle)


def test_root_gives_a_range_and_others_are_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(os, "getgid", lambda: 0)
    assert ids.mapping("range")[0] == [f"0 {ids.FIRST} {ids.COUNT}"]
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 1000)
    assert ids.mapping("own") == (["1000 1000 1"], ["1000 1000 1"])

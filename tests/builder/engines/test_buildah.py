"""Steps on a real base image: what they change, what they say, and how they fail."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from services.builder.engines import Layer, Step
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store, size
from shared.errors import Invalid, Transient
from tests.beds.bases import bases
from tests.beds.registry import registry
from tests.builder.engines.conftest import Bench


def members(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer.path) as archive:
        return {member.name: member for member in archive}


def content(layer: Layer, name: str) -> bytes:
    with tarfile.open(layer.path) as archive:
        found = archive.extractfile(name)
        assert found is not None
        return found.read()


def digest(layer: Layer) -> str:
    return hashlib.sha256(layer.path.read_bytes()).hexdigest()


def tar(folder: Path, files: dict[str, str]) -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.tar"
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.mode, member.size = 0o755, len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    path.chmod(0o600)
    return path


async def test_a_layer_holds_what_the_lines_changed_and_nothing_else(bench: Bench) -> None:
    layer = await bench.run(
        "mkdir -p /opt/made && echo hello > /opt/made/file",
        "ln -s file /opt/made/link && ln /opt/made/file /opt/made/same",
        "chown 33:8 /opt/made/file && chmod 4750 /opt/made/file",
        "echo more >> /etc/profile",
    )
    found = members(layer)
    assert set(found) == {
        *("etc", "etc/profile", "opt", "opt/made"),
        *("opt/made/file", "opt/made/link", "opt/made/same"),
    }
    file = found["opt/made/file"]
    assert (file.mode, file.uid, file.gid, file.mtime, file.uname) == (0o4750, 33, 8, 0, "")
    assert content(layer, "opt/made/file") == b"hello\n"
    assert content(layer, "etc/profile").endswith(b"more\n")
    assert found["opt/made/link"].linkname == "file"
    assert found["opt/made/same"].islnk()
    assert found["opt/made/same"].linkname == "opt/made/file"
    assert (layer.members, layer.size) == (len(found), layer.path.stat().st_size)


async def test_what_is_deleted_is_hidden(bench: Bench) -> None:
    layer = await bench.run(
        "rm /etc/debian_version",
        "rm -r /usr/share/base-files",
        "rm -r /etc/skel && mkdir /etc/skel",
    )
    assert set(members(layer)) == {
        *("etc", "etc/.wh.debian_version", "etc/skel", "etc/skel/.wh..wh..opq"),
        *("usr", "usr/share", "usr/share/.wh.base-files"),
    }


async def test_the_same_lines_give_the_same_layer(bench: Bench) -> None:
    lines = ("mkdir /made && for i in 3 1 2; do echo $i > /made/$i; done", "useradd -m ann")
    first = await bench.run(*lines)
    assert digest(first) == digest(await bench.run(*lines))
    assert "home/ann" in members(first)


async def test_caches_logs_and_what_is_compiled_are_left_out(bench: Bench) -> None:
    layer = await bench.run(
        "mkdir -p /root/.cache/pip /x/__pycache__ /var/cache/apt/archives",
        "for f in /root/.cache/pip/a /x/__pycache__/a.pyc /x/b.pyc /var/log/x /tmp/x /var/tmp/x"
        " /var/cache/apt/archives/x /etc/machine-id; do echo x > $f; done",
    )
    assert set(members(layer)) == {"x"}


async def test_lines_that_change_nothing_give_an_empty_layer(bench: Bench) -> None:
    layer = await bench.run("true", "ls / > /tmp/x")
    assert (layer.members, members(layer)) == (0, {})


async def test_lines_share_a_shell_a_folder_and_an_environment(bench: Bench) -> None:
    await bench.run(
        "cd /usr; here=there",
        "pwd; echo $here $GREETING",
        cwd="/made/for/it",
        env={"GREETING": "it's"},
    )
    assert bench.texts == ["/usr", "there it's"]
    assert [text for stream, text in bench.said if stream == "platform"] == [
        "$ cd /usr; here=there",
        "$ pwd; echo $here $GREETING",
    ]


async def test_lines_that_span_others_run_as_one(bench: Bench) -> None:
    await bench.run("for word in a b; do", "  echo $word", "done")
    assert bench.texts == ["a", "b"]


async def test_lines_that_run_as_one_end_with_the_first_that_fails(bench: Bench) -> None:
    with pytest.raises(Invalid, match="failed with exit code 3"):
        await bench.run("if true; then", "  (exit 3)", "fi", "echo never")
    assert "never" not in bench.texts


async def test_a_failed_line_is_named_with_the_end_of_what_it_said(bench: Bench) -> None:
    with pytest.raises(Invalid) as caught:
        await bench.run("echo fine", "echo one; echo two >&2; (exit 3)", "echo never")
    assert caught.value.field == "install"
    assert caught.value.message.startswith(
        "`echo one; echo two >&2; (exit 3)` failed with exit code 3: "
    )
    assert "one" in caught.value.message
    assert "two" in caught.value.message
    assert "fine" not in caught.value.message
    assert "never" not in bench.texts
    assert bench.left() == []


async def test_a_line_that_is_no_shell_fails_alone(bench: Bench) -> None:
    with pytest.raises(Invalid, match=r"`echo 'unfinished` failed with exit code 2"):
        await bench.run("echo 'unfinished")


async def test_lower_layers_are_there_and_not_in_the_layer(bench: Bench, tmp_path: Path) -> None:
    low = tar(tmp_path, {"app/": "", "app/kept": "old", "app/gone": "old", "app/changed": "old"})
    high = tar(tmp_path, {"app/.wh.kept": "", "app/new": "new"})
    layer = await bench.run(
        "ls /app; echo new > changed; rm gone; echo x > made", layers=(low, high), cwd="/app"
    )
    assert bench.texts == ["changed", "gone", "new"]
    assert set(members(layer)) == {"app", "app/changed", "app/.wh.gone", "app/made"}


async def test_a_layer_can_not_be_laid_outside_of_the_root(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "0.tar"
    with tarfile.open(link, "w") as archive:
        member = tarfile.TarInfo("out")
        member.type, member.linkname = tarfile.SYMTYPE, "/opt"
        archive.addfile(member)
        archive.addfile(tarfile.TarInfo("out/planted"))
        archive.addfile(tarfile.TarInfo("../../planted"))
    await bench.run("ls /opt", "ls -d /planted", layers=(link,))
    assert bench.texts == ["planted", "/planted"]
    assert bench.left() == []


async def test_packages_are_installed_from_the_bases_own_sources(bench: Bench) -> None:
    layer = await bench.run("tree --version", apt=("tree",), network=True)
    assert "usr/bin/tree" in members(layer)
    assert not [
        name for name in members(layer) if name.startswith(("var/log/", "var/lib/apt/lists/"))
    ]
    assert digest(layer) == digest(await bench.run("tree --version", apt=("tree",), network=True))


async def test_a_package_that_nobody_has_is_named(bench: Bench) -> None:
    with pytest.raises(Invalid, match="Unable to locate package no-such-package"):
        await bench.run(apt=("no-such-package",), network=True)


async def test_an_option_is_no_package(bench: Bench) -> None:
    with pytest.raises(Invalid, match="is not the name of a package for apt"):
        await bench.run(apt=("-oDebug::x=1",))
    assert bench.said == []


async def test_a_base_without_conda_is_told_so(bench: Bench) -> None:
    with pytest.raises(Invalid, match="the base image has no conda, mamba or micromamba"):
        await bench.run(conda=("numpy",))


async def test_conda_packages_are_installed_with_the_tool_that_is_there(bench: Bench) -> None:
    fake = "printf '#!/bin/sh\\necho installing $*\\n' > /usr/bin/mamba && chmod +x /usr/bin/mamba"
    tool = await bench.run(fake)
    await bench.run(conda=("numpy>=2,<3", "a::b"), layers=(tool.path,))
    assert bench.texts == ["installing install -y numpy>=2,<3 a::b"]


async def test_a_base_without_a_shell_is_told_so(bench: Bench) -> None:
    gone = await bench.run("rm /bin/sh")
    with pytest.raises(Invalid, match="has no /bin/sh"):
        await bench.run("true", layers=(gone.path,))


@pytest.mark.parametrize(
    "base", ["debian", "debian:12", "registry.example/x:1", "--help", "a/b@sha256:1"]
)
async def test_a_base_is_named_by_its_digest(bench: Bench, base: str) -> None:
    bench.base = base
    with pytest.raises(Invalid, match="by its digest"):
        await bench.run("true")


async def test_a_base_that_its_registry_has_not_is_told_so(tmp_path: Path) -> None:
    async with registry(tmp_path / "registry") as address:
        step = Step(base=f"{address}/nobody@sha256:{'0' * 64}", lines=("true",))
        engine = Buildah(store=Store(folder=tmp_path / "store"))
        with pytest.raises(Invalid, match="is not in its registry"):
            await engine.run(step, tmp_path, lambda *_: None)


async def test_a_registry_that_is_away_is_passing_trouble(tmp_path: Path) -> None:
    step = Step(base=f"127.0.0.1:9/x@sha256:{'0' * 64}", lines=("true",))
    engine = Buildah(store=Store(folder=tmp_path / "store"))
    with pytest.raises(Transient, match="can't be pulled now"):
        await engine.run(step, tmp_path, lambda *_: None)
    assert [path.name for path in (tmp_path / "store").glob("box-*")] == []


async def test_a_base_is_pulled_once(bench: Bench, tmp_path: Path) -> None:
    async with registry(tmp_path / "registry") as address:
        (found,) = (await bases(address, "debian:bookworm")).values()
        bench.base = f"{address}/debian@{found}"
        bench.store = Store(folder=tmp_path / "store")
        await bench.run("true")
    await bench.run("true")
    assert len([text for _, text in bench.said if text.startswith("pulling ")]) == 1


async def test_a_store_that_was_emptied_is_filled_again(bench: Bench, tmp_path: Path) -> None:
    async with registry(tmp_path / "registry") as address:
        (found,) = (await bases(address, "debian:bookworm")).values()
        bench.base = f"{address}/debian@{found}"
        bench.store = Store(folder=tmp_path / "store")
        await bench.run("true")
        shutil.rmtree(bench.store.images)
        with pytest.raises(Transient):
            await bench.run("true")
        await bench.run("true")


async def test_bases_that_nobody_used_lately_make_room_for_others(
    bench: Bench, tmp_path: Path
) -> None:
    async with registry(tmp_path / "registry") as address:
        (found,) = (await bases(address, "debian:bookworm")).values()
        bench.base = f"{address}/debian@{found}"
        bench.store = Store(folder=tmp_path / "store", most=10 << 20)
        await bench.run("true")
        assert size(bench.store.images) > 10 << 20
        other = f"{address}/other@{found}"
        with pytest.raises(Invalid, match="is not in its registry"):
            async with (
                bench.store.holding(bench.base, bench.write),
                bench.store.holding(other, bench.write),
            ):
                pass
        assert size(bench.store.images) > 10 << 20  # it was in use
        with pytest.raises(Invalid, match="is not in its registry"):
            async with bench.store.holding(other, bench.write):
                pass
        assert size(bench.store.images) < 10 << 20
        await bench.run("true")  # and is pulled again


async def test_a_builder_that_is_killed_while_it_pulls_is_in_nobodys_way(
    bench: Bench, tmp_path: Path
) -> None:
    async with registry(tmp_path / "registry") as address:
        (found,) = (await bases(address, "debian:bookworm")).values()
        bench.base = f"{address}/debian@{found}"
        bench.store = Store(folder=tmp_path / "store")
        for after in (0.1, 0.3, 0.6, 1.0):
            builder = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PULLER, bench.base, str(bench.store.folder)),
                cwd=Path.cwd(),
            )
            await asyncio.sleep(after)
            builder.kill()
            await builder.wait()
        await bench.run("test -x /usr/bin/apt-get")
    assert [path.name for path in bench.store.folder.glob("box-*")] == []


PULLER = """
import asyncio, sys
from pathlib import Path
from services.builder.engines.store import Store, size

async def pull():
    async with Store(folder=Path(sys.argv[2])).holding(sys.argv[1], lambda *_: None):
        await asyncio.sleep(600)

asyncio.run(pull())
"""

"""Locking and installing with the real uv, for this machine and for base images, from indexes."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder import machine
from services.builder.python import lock as locks
from services.builder.python import requirements, wanted
from services.builder.python.install import Installer
from services.builder.python.lock import Lock
from services.builder.python.wanted import NoWheel, Wanted
from services.builder.recipe import Host
from shared.errors import Invalid
from tests.builder import made
from tests.builder.python.shelf import Shelf, shelf

BASE = Host(
    python="3.9.2",
    platform="x86_64-manylinux_2_31",
    architecture="amd64",
    executable="/usr/local/bin/python3",
)
SECRET = "s3cr3t-of-acme"


class Site:
    """One project's folders, and what was said."""

    def __init__(self, root: Path, wheels: Path, files: Mapping[str, str]) -> None:
        self.root = root
        self.source, self.scratch = root / "source", root / "scratch"
        for folder in (self.source, self.scratch):
            folder.mkdir(parents=True)
        for name, text in files.items():
            (self.source / name).write_text(text)
        self.installer: Installer = machine.installer(
            root / "cache",
            120.0,
            {"PATH": "/usr/bin:/bin", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)},
        )
        self.said: list[str] = []
        self.count = 0

    def write(self, text: str, stream: str) -> None:
        self.said.append(text)

    def wanted(self, host: Host | None = None, **changes: Any) -> Wanted:
        asked = requirements.read(self.source)
        return Wanted(host=host or machine.host(), asked=asked, project="acme/web", **changes)

    def online(self, index: str) -> None:
        """With a shared index that is not the project's own."""
        environment = dict(self.installer.environment) | {"UV_DEFAULT_INDEX": index}
        environment.pop("UV_NO_INDEX")
        environment |= {"UV_INSECURE_HOST": "127.0.0.1"}
        self.installer = msgspec.structs.replace(self.installer, environment=environment)

    def near(self, *shelves: Shelf) -> None:
        """The operator lets projects name these, which are on a private network."""
        places = tuple(f"http://{shelf.address}" for shelf in shelves)
        self.installer = msgspec.structs.replace(self.installer, private=places)

    def without_shared(self) -> None:
        self.online("http://127.0.0.1:9/simple")  # nobody is there

    async def lock(self, asked: Wanted) -> Lock:
        found = await wanted.lock(self.installer, asked, self.source, self.scratch, self.write)
        assert found is not None
        return found

    async def install(self, asked: Wanted, lock: Lock | None) -> Path:
        self.count += 1
        into = self.root / f"into{self.count}"
        into.mkdir()
        folders = (self.source, self.scratch, into)
        await wanted.install(self.installer, asked, lock, folders, self.write)
        return into


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "site"


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }


MARKED = """
tiny==1.0; python_version < "3.10"
gunicorn; python_version >= "3.10"
never; platform_machine == "aarch64"
"""


async def test_markers_are_those_of_the_base(root: Path, wheels: Path) -> None:
    site = Site(root, wheels, {"requirements.txt": MARKED})
    lock = await site.lock(site.wanted(BASE))
    assert [pin.requirement for pin in lock.pins] == ["tiny==1.0"]
    body = (wheels / "tiny-1.0-py3-none-any.whl").read_bytes()
    assert lock.pins[0].hashes == (f"sha256:{hashlib.sha256(body).hexdigest()}",)
    here = await site.lock(site.wanted())
    assert [pin.requirement for pin in here.pins] == ["gunicorn==99.0"]


async def test_a_lock_is_read_again_as_it_was_written(root: Path, wheels: Path) -> None:
    site = Site(root, wheels, {"requirements.txt": "tiny\n"})
    lock = await site.lock(site.wanted(BASE, extra=("gunicorn",)))
    assert locks.read(lock.text) == lock
    assert lock.text.startswith("# Python 3.9.2 on x86_64-manylinux_2_31\ngunicorn==99.0 \\\n")


async def test_a_base_gets_its_own_layout_and_scripts_that_start_its_python(
    root: Path, wheels: Path
) -> None:
    site = Site(root, wheels, {"requirements.txt": "tiny\n"})
    asked = site.wanted(BASE)
    into = await site.install(asked, await site.lock(asked))
    assert (into / "lib/python3.9/site-packages/tiny/__init__.py").is_file()
    assert not (into / f"lib/python{'.'.join(machine.host().python.split('.')[:2])}").exists()
    assert (into / "bin/tiny").read_text().startswith("#!/usr/local/bin/python3\n")
    record = (into / "lib/python3.9/site-packages/tiny-1.0.dist-info/RECORD").read_text()
    assert "../../../bin/tiny,sha256=" in record


async def test_the_same_lock_gives_the_same_bytes_whatever_the_machine_is_set_to(
    root: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(root, wheels, {"requirements.txt": "tiny\n"})
    asked = site.wanted(BASE, extra=("gunicorn",))
    lock = await site.lock(asked)
    first = tree(await site.install(asked, lock))
    odd = Site(root / "odd", wheels, {"requirements.txt": "tiny\n"})
    environment = dict(odd.installer.environment) | {"TZ": "Asia/Tokyo", "LC_ALL": "C"}
    odd.installer = msgspec.structs.replace(odd.installer, environment=environment)
    before = os.umask(0o077)
    try:
        assert await odd.lock(asked) == lock
        again = tree(await odd.install(asked, lock))
    finally:
        os.umask(before)
    assert {name: body for name, (_, body) in first.items()} == {
        name: body for name, (_, body) in again.items()
    }
    assert {name: mode & 0o100 for name, (mode, _) in first.items()} == {
        name: mode & 0o100 for name, (mode, _) in again.items()
    }
    assert not [name for name in first if name.endswith(".pyc")]


async def test_what_must_be_built_for_a_base_is_named_with_what_it_is_for(
    root: Path, wheels: Path
) -> None:
    sdist(wheels, "needy", "2.0")
    site = Site(root, wheels, {"requirements.txt": "needy==2.0\n"})
    with pytest.raises(NoWheel) as caught:
        await site.lock(site.wanted(BASE))
    assert caught.value.packages == ("needy",)
    assert str(caught.value) == (
        "needy: there is no wheel for Python 3.9.2 on x86_64-manylinux_2_31"
    )


async def test_what_was_built_for_a_base_is_found_in_its_folder(root: Path, wheels: Path) -> None:
    sdist(wheels, "needy", "2.0")
    built = root / "built"
    built.mkdir(parents=True)
    made.wheel(built, "needy", "2.0", {"needy.py": "def main() -> None: ...\n"})
    site = Site(root, wheels, {"requirements.txt": "needy==2.0\n"})
    asked = site.wanted(BASE, wheels=built)
    into = await site.install(asked, await site.lock(asked))
    assert (into / "lib/python3.9/site-packages/needy.py").is_file()


async def test_a_part_of_the_source_can_not_be_locked_and_not_built_for_a_base(
    root: Path, wheels: Path
) -> None:
    site = Site(root, wheels, {"requirements.txt": "./part\n"})
    part = site.source / "part"
    part.mkdir()
    (part / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
        '[project]\nname = "part"\nversion = "1"\n'
    )
    (part / "b.py").write_text("raise SystemExit('it was run')\n")
    asked = site.wanted(BASE)
    assert await wanted.lock(site.installer, asked, site.source, site.scratch, site.write) is None
    with pytest.raises(NoWheel) as caught:
        await site.install(asked, None)
    assert caught.value.packages == ("part",)
    assert "it was run" not in "\n".join(site.said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": ""}, "has no Python"),
        ({"python": "3.6.9"}, "has Python 3.6.9"),
        ({"platform": "linux-s390x-glibc-2.36"}, "linux-s390x-glibc-2.36"),
    ],
)
async def test_a_base_that_nothing_can_be_installed_for_is_refused(
    root: Path, wheels: Path, changes: dict[str, str], words: str
) -> None:
    site = Site(root, wheels, {"requirements.txt": "tiny\n"})
    with pytest.raises(Invalid, match=words) as caught:
        await site.lock(site.wanted(msgspec.structs.replace(BASE, **changes)))
    assert caught.value.field == "image"


async def test_the_lock_still_holds_when_the_index_has_newer_packages(
    root: Path, wheels: Path
) -> None:
    site = Site(root, wheels, {"requirements.txt": "tiny\n"})
    asked = site.wanted(BASE)
    lock = await site.lock(asked)
    made.wheel(wheels, "tiny", "2.0", {"tiny/__init__.py": "new = True\n"})
    into = await site.install(asked, lock)
    assert (into / "lib/python3.9/site-packages/tiny-1.0.dist-info").is_dir()
    assert [pin.version for pin in (await site.lock(asked)).pins] == ["2.0"]


@pytest.mark.parametrize("host", [BASE, None], ids=["base", "machine"])
async def test_a_file_that_was_swapped_behind_the_lock_is_refused(
    root: Path, wheels: Path, tmp_path: Path, host: Host | None
) -> None:
    async with shelf(tmp_path / "shelf") as index:
        made.wheel(index.folder, "thing", "1.0", {"thing.py": "def main() -> None: ...\n"})
        site = Site(root, wheels, {"requirements.txt": "thing\n", "pip.conf": index.conf()})
        site.near(index)
        site.online(index.place)
        asked = site.wanted(host)
        lock = await site.lock(asked)
        made.wheel(index.folder, "thing", "1.0", {"thing.py": "evil = True\n"})
        fresh = msgspec.structs.replace(site.installer, cache=root / "fresh")
        site.installer = fresh
        with pytest.raises(Invalid, match=r"(?i)hash mismatch.*thing"):
            await site.install(asked, lock)
        assert not [*root.glob("into*/lib/*/site-packages/thing.py")]


async def test_a_projects_own_index_wins_over_the_shared_one_whatever_that_offers(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own") as own, shelf(tmp_path / "shared") as shared:
        made.wheel(own.folder, "thing", "1.0", {"thing.py": "ours = True\n"})
        made.wheel(shared.folder, "thing", "99.0", {"thing.py": "evil = True\n"})
        made.wheel(shared.folder, "other", "1.0", {"other.py": ""})
        for text in (
            own.conf(),
            # in the order that pip does not look at
            f"[global]\nindex-url = {shared.place}\nextra-index-url = {own.place}\n"
            "trusted-host = 127.0.0.1\n",
        ):
            site = Site(
                root / hashlib.sha256(text.encode()).hexdigest()[:8],
                wheels,
                {"requirements.txt": "thing\nother\n", "pip.conf": text},
            )
            site.near(own)
            site.online(shared.place)
            lock = await site.lock(site.wanted(BASE))
            assert [pin.requirement for pin in lock.pins] == ["other==1.0", "thing==1.0"]
        assert "thing" not in shared.asked


async def test_an_index_that_is_named_in_place_of_the_shared_one_is_the_only_one(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own") as own, shelf(tmp_path / "shared") as shared:
        made.wheel(own.folder, "thing", "1.0", {"thing.py": "ours = True\n"})
        made.wheel(shared.folder, "other", "1.0", {"other.py": ""})
        files = {"requirements.txt": "thing\nother\n", "pip.conf": own.conf("index-url")}
        site = Site(root, wheels, files)
        site.near(own)
        site.online(shared.place)
        with pytest.raises(Invalid, match="other was not found"):
            await site.lock(site.wanted(BASE))
        assert shared.asked == []


async def test_a_password_is_used_and_told_to_nobody(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own", f"ann:{SECRET}") as own:
        made.wheel(own.folder, "thing", "1.0", {"thing.py": "def main() -> None: ...\n"})
        files = {"requirements.txt": "thing\n", "pip.conf": own.conf("index-url")}
        site = Site(root, wheels, files)
        site.near(own)
        site.without_shared()
        asked = site.wanted(BASE)
        lock = await site.lock(asked)
        await site.install(asked, lock)
        assert asked.asked.private == {"pip.conf"}
        told = [lock.text, repr(asked), *site.said, *asked.asked.files.values()]
        assert not [text for text in told if SECRET in text]
        assert holding(root, SECRET) == ["source/pip.conf"]


async def test_a_refused_password_is_not_repeated_in_the_reason(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own", "ann:other") as own:
        made.wheel(own.folder, "thing", "1.0", {"thing.py": ""})
        own_place = own.place.replace("other", SECRET)
        conf = f"[global]\nindex-url = {own_place}\ntrusted-host = 127.0.0.1\n"
        site = Site(root, wheels, {"requirements.txt": "thing\n", "pip.conf": conf})
        site.near(own)
        site.without_shared()
        with pytest.raises(Invalid) as caught:
            await site.lock(site.wanted(BASE))
        assert "thing" in str(caught.value)
        assert SECRET not in "\n".join([str(caught.value), *site.said])


async def test_a_build_script_that_prints_its_environment_tells_no_password(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own", f"ann:{SECRET}") as own:
        site = Site(root, wheels, {"requirements.txt": "./part\n", "pip.conf": own.conf()})
        part = site.source / "part"
        part.mkdir()
        (part / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
            '[project]\nname = "part"\nversion = "1"\n'
        )
        (part / "b.py").write_text(
            "import base64, os\n"
            "print(os.environ)\n"
            f"print(base64.b64encode(b'ann:{SECRET}'), flush=True)\n"
            f"print('{SECRET}', flush=True)\nraise SystemExit('no')\n"
        )
        with pytest.raises(Invalid):
            await site.install(site.wanted(), None)
        said = "\n".join(site.said)
        assert "UV_INDEX" in said
        assert SECRET not in said
        assert "YW5u" not in said


async def test_what_one_project_fetched_with_its_password_is_not_given_to_another(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own", f"ann:{SECRET}") as own:
        made.wheel(own.folder, "thing", "1.0", {"thing.py": ""})
        files = {"requirements.txt": "thing\n", "pip.conf": own.conf("index-url")}
        site = Site(root, wheels, files)
        site.near(own)
        site.without_shared()
        asked = site.wanted(BASE)
        await site.install(asked, await site.lock(asked))
        without = files | {"pip.conf": files["pip.conf"].replace(f"ann:{SECRET}@", "")}
        other = Site(root / "other", wheels, without)
        other.installer = site.installer  # the same cache
        with pytest.raises(Invalid, match="thing"):
            await other.lock(msgspec.structs.replace(other.wanted(BASE), project="evil/web"))


async def test_an_address_on_the_builders_own_network_is_not_fetched(
    root: Path, wheels: Path, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "inner") as inner:
        made.wheel(inner.folder, "thing", "1.0", {"thing.py": ""})
        link = f"http://{inner.address}/files/thing-1.0-py3-none-any.whl"
        for number, files in enumerate(
            (
                {"requirements.txt": "thing\n", "pip.conf": inner.conf("index-url")},
                {"requirements.txt": f"thing @ {link}\n"},
            )
        ):
            for host in (BASE, None):
                site = Site(root / f"{number}{host is None}", wheels, files)
                site.without_shared()
                with pytest.raises(Invalid):
                    await site.lock(site.wanted(host))
        site = Site(root / "extra", wheels, {})
        with pytest.raises(Invalid):
            await site.lock(site.wanted(BASE, extra=(f"thing @ {link}",)))
        assert inner.asked == []
        assert inner.served == []


def holding(root: Path, secret: str) -> list[str]:
    """Files that hold it, packed or not."""
    found = subprocess.run(["grep", "-rlaF", secret, "."], cwd=root, capture_output=True, text=True)
    return sorted(line.removeprefix("./") for line in found.stdout.splitlines())


async def test_hashes_that_an_owner_gives_are_the_only_ones_that_do(
    root: Path, wheels: Path
) -> None:
    body = (wheels / "tiny-1.0-py3-none-any.whl").read_bytes()
    right = f"sha256:{hashlib.sha256(body).hexdigest()}"
    wrong = "sha256:" + "0" * 64
    site = Site(root, wheels, {"requirements.txt": f"tiny==1.0 --hash={right} --hash={wrong}\n"})
    asked = site.wanted(BASE, extra=("gunicorn",), added=frozenset({"gunicorn"}))
    assert [pin.hashes for pin in (await site.lock(asked)).pins if pin.name == "tiny"] == [(right,)]
    (site.source / "requirements.txt").write_text(f"tiny==1.0 \\\n  --hash={wrong}\n")
    with pytest.raises(Invalid, match="the hashes given for tiny"):
        await site.lock(site.wanted(BASE))
    (site.source / "requirements.txt").write_text(f"tiny==1.0 --hash={right}\ngunicorn\n")
    with pytest.raises(Invalid, match=r"none for gunicorn==99\.0"):
        await site.lock(site.wanted(BASE))


async def test_wheels_are_those_of_the_bases_python_and_platform(root: Path, wheels: Path) -> None:
    tags = {
        "cp39-cp39-manylinux_2_28_x86_64": "right",
        "cp39-cp39-manylinux_2_36_x86_64": "for a newer system",
        "cp39-cp39-musllinux_1_2_x86_64": "for another C library",
        "cp39-cp39-manylinux_2_28_aarch64": "for another machine",
        "cp311-cp311-manylinux_2_28_x86_64": "for another Python",
    }
    for tag, said in tags.items():
        tagged(wheels, tag, said)
    site = Site(root, wheels, {"requirements.txt": "fast\n"})
    found = {
        platform: await site.install(asked, await site.lock(asked))
        for platform in ("x86_64-manylinux_2_31", "x86_64-unknown-linux-musl")
        for asked in [site.wanted(msgspec.structs.replace(BASE, platform=platform))]
    }
    said = [(into / "lib/python3.9/site-packages/fast.py").read_text() for into in found.values()]
    assert said == ["right", "for another C library"]


def tagged(folder: Path, tag: str, said: str) -> None:
    made.wheel(folder, "fast", "1.0", {"fast.py": said}).rename(folder / f"fast-1.0-{tag}.whl")


def sdist(folder: Path, name: str, version: str) -> None:
    top = f"{name}-{version}"
    body = made.tar(
        {
            f"{top}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{top}/pyproject.toml": "[build-system]\nrequires = []\n",
        },
        gz=True,
    )
    (folder / f"{top}.tar.gz").write_bytes(body)


def test_a_shelf_is_an_index_of_pips(tmp_path: Path) -> None:
    assert Shelf(tmp_path, "a:b").conf().startswith("[global]\nextra-index-url = http://a:b@")

"""Fetching from a real server: what comes is one commit, whole, and always the same bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.builder.git import child
from services.builder.git.fetch import Wanted
from shared.blobs import Blobs
from shared.errors import Invalid, Permanent, Transient
from tests.beds.git import LINK, Repository, git, git_server
from tests.builder.git.conftest import trusting

FILES: dict[str, bytes | str] = {
    "README.md": "hello\n",
    "lib/run.sh": "#!/bin/sh\n",
    "lib/größe.py": "size = 1\n",
    "lib-x": "sorts between\n",
    "current": LINK + "lib/run.sh",
    "empty": "",
    "model.bin": bytes(range(256)) * 3000,
}


async def members(blobs: Blobs, digest: str) -> dict[str, tarfile.TarInfo]:
    raw = b"".join([chunk async for chunk in blobs.stream(digest)])
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        return {member.name: member for member in archive}


async def content(blobs: Blobs, digest: str) -> dict[str, bytes]:
    raw = b"".join([chunk async for chunk in blobs.stream(digest)])
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = [member for member in archive if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]


async def test_what_comes_is_what_was_committed(root: Path, fetch: Any, blobs: Blobs) -> None:
    commit = Repository(root / "house.git").files(FILES)
    fetched = await fetch("house.git")
    assert fetched.commit == commit
    assert fetched.notes == ()
    found = await members(blobs, fetched.blob.digest)
    assert found["lib"].isdir()
    assert found["current"].linkname == "lib/run.sh"
    assert (found["lib/run.sh"].mode, found["empty"].mode) == (0o755, 0o644)
    assert {member.mtime for member in found.values()} == {0}
    bodies = await content(blobs, fetched.blob.digest)
    want = {n: b.encode() if isinstance(b, str) else b for n, b in FILES.items() if n != "current"}
    assert bodies == want


async def test_the_same_files_are_the_same_archive_whatever_came_before(
    root: Path, fetch: Any
) -> None:
    repository = Repository(root / "house.git")
    first = repository.files(FILES)
    changed = repository.files({"other": "x"}, parent=first)
    again = repository.files(FILES, parent=changed)
    one, other = await fetch("house.git", first), await fetch("house.git", again)
    assert (one.commit, other.commit) == (first, again)
    assert one.blob == other.blob


@pytest.mark.parametrize("hash", ["sha1", "sha256"])
async def test_every_way_to_name_a_commit(hash: str, root: Path, fetch: Any) -> None:
    repository = Repository(root / "house.git", hash=hash)
    first = repository.files({"a": "1"})
    second = repository.files({"a": "2"}, parent=first)
    git(repository.path, "update-ref", "refs/heads/feature/x", first)
    git(repository.path, "tag", "light", first)
    git(repository.path, "tag", "-a", "v1.0", "-m", "release", first)
    git(repository.path, "update-ref", "refs/notes/odd", first)
    for ref, commit in {
        "": second,
        "HEAD": second,
        "main": second,
        "refs/heads/main": second,
        "feature/x": first,
        "light": first,
        "v1.0": first,
        "refs/tags/v1.0": first,
        "refs/notes/odd": first,
        first: first,
        first.upper(): first,
    }.items():
        assert (await fetch("house.git", ref)).commit == commit, ref


async def test_a_folder_of_the_repository_is_the_code(root: Path, fetch: Any, blobs: Blobs) -> None:
    Repository(root / "house.git").files({"a/b/x.py": "1", "a/y.py": "2", "z": "3"})
    fetched = await fetch("house.git", path="a")
    assert await content(blobs, fetched.blob.digest) == {"b/x.py": b"1", "y.py": b"2"}
    for path in ("nowhere", "z", "a/y.py"):
        with pytest.raises(Invalid, match="is not a folder") as caught:
            await fetch("house.git", path=path)
        assert caught.value.field == "path"


async def test_attributes_and_filters_change_nothing(root: Path, fetch: Any, blobs: Blobs) -> None:
    files: dict[str, bytes | str] = {
        ".gitattributes": "* export-ignore\n*.txt export-subst text eol=crlf filter=evil ident\n",
        "a.txt": "$Format:%H$ $Id$\n",
    }
    Repository(root / "house.git").files(files)
    fetched = await fetch("house.git")
    bodies = await content(blobs, fetched.blob.digest)
    assert bodies == {name: str(body).encode() for name, body in files.items()}


async def test_pointers_and_submodules_are_left_and_told(
    root: Path, fetch: Any, blobs: Blobs
) -> None:
    repository = Repository(root / "house.git")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    modules = '[submodule "m"]\n\tpath = m\n\turl = https://git.example/m.git\n'
    tree = repository.tree(
        ("100644", ".gitmodules", repository.blob(modules)),
        ("160000", "m", "ab" * 20),
        ("100644", "model.bin", repository.blob(pointer)),
    )
    repository.commit(tree)
    fetched = await fetch("house.git")
    assert set(await members(blobs, fetched.blob.digest)) == {".gitmodules", "model.bin"}
    submodules, lfs = fetched.notes
    assert submodules == "submodules are not fetched and are left out: m"
    assert "pointers" in lfs
    assert "model.bin" in lfs


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_host_may_be_an_address(
    host: str, root: Path, blobs: Blobs, place: Callable[[], Path]
) -> None:
    commit = Repository(root / "house.git").files({"a": "1"})
    async with git_server(root, host) as url:
        fetched = await trusting(url, blobs).fetch(Wanted(url=f"{url}/house.git"), place())
    assert fetched.commit == commit


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["127.0.0.3", "::1", "127.0.0.1"]])
async def test_a_host_may_have_addresses_that_do_not_answer(
    addresses: list[str], root: Path, blobs: Blobs, place: Callable[[], Path]
) -> None:
    commit = Repository(root / "house.git").files({"a": "1"})

    async def lookup(host: str, port: int) -> list[str]:
        return addresses

    async with git_server(root, addresses[-1]) as url:
        named = f"http://git.example:{url.rpartition(':')[2]}"
        fetcher = trusting(named, blobs, lookup=lookup)
        fetched = await fetcher.fetch(Wanted(url=f"{named}/house.git"), place())
    assert fetched.commit == commit


async def test_git_has_only_so_much_memory(
    root: Path, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repository(root / "house.git").files({"a": "1"})
    monkeypatch.setattr(child, "MEMORY", 4 << 20)
    with pytest.raises(Transient, match="git failed"):
        await fetch("house.git")


async def test_a_builder_without_git_says_so(
    root: Path, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.defpath", "/nowhere")
    with pytest.raises(Permanent, match="git is not installed"):
        await fetch("house.git")


async def test_no_folder_of_the_fetch_knows_a_hook_or_a_credential(
    root: Path, fetch: Any, tmp_path: Path
) -> None:
    Repository(root / "house.git").files({"a": "1"})
    await fetch("house.git")
    left = tmp_path / "fetch-0"
    assert not any((left / "home").iterdir())
    assert not (left / "repository" / "hooks").exists()

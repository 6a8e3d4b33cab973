"""Repositories made to do harm: each is refused with a reason, and nothing is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.builder.git.fetch import Limits
from shared.errors import Invalid
from tests.beds.git import LINK, Repository, git

SMALL = Limits(size=1 << 20)

Make = Callable[[Repository], object]


def files(**given: bytes | str) -> Make:
    return lambda repository: repository.files({k.replace("__", "/"): v for k, v in given.items()})


def tree(*entries: tuple[str, bytes | str, str]) -> Make:
    """Of `(mode, name, content)`."""
    return lambda repository: repository.commit(
        repository.tree(*((mode, name, repository.blob(body)) for mode, name, body in entries))
    )


def modules(text: str) -> Make:
    return files(**{".gitmodules": text})


def named(name: bytes | str, mode: str = "100644") -> Make:
    return tree((mode, name, "x"))


def inside(name: str) -> Make:
    """A folder of that name."""
    return lambda repository: repository.commit(
        repository.tree(
            ("40000", name, repository.tree(("100644", "config", repository.blob("x"))))
        )
    )


def bomb(repository: Repository) -> None:
    """Ten to the tenth files, in eleven objects."""
    at, mode = repository.blob("boom"), "100644"
    for _ in range(10):
        at, mode = repository.tree(*((mode, f"{name}", at) for name in range(10))), "40000"
    repository.commit(at)


def deep(repository: Repository) -> None:
    at = repository.tree(("100644", "x", repository.blob("x")))
    for _ in range(200):
        at = repository.tree(("40000", "d", at))
    repository.commit(at)


def broken(repository: Repository) -> None:
    """A commit whose tree is not there."""
    commit = f"tree {'ab' * 20}\nauthor A <a@b> 0 +0000\ncommitter A <a@b> 0 +0000\n\nx\n"
    made = git(
        repository.path, "hash-object", "-t", "commit", "-w", "--stdin", "--literally",
        given=commit.encode(),
    )  # fmt: skip
    (repository.path / "refs/heads/main").write_text(made + "\n")


def other(kind: str) -> Make:
    """A branch that is no commit."""

    def make(repository: Repository) -> None:
        blob = repository.blob("x")
        made = blob if kind == "blob" else repository.tree(("100644", "x", blob))
        path = repository.path / "refs/tags/main"
        path.write_text(made + "\n")

    return make


DANGEROUS = "damaged or dangerous"

REPOSITORIES: dict[str, tuple[Make, str]] = {
    # names that reach out of the folder, or into git's own
    "a folder named .git": (inside(".git"), DANGEROUS),
    "a folder named .GIT": (inside(".GIT"), DANGEROUS),
    "a folder that HFS reads as .git": (inside(".g\u200cit"), DANGEROUS),
    "a folder that NTFS reads as .git": (inside("git~1"), DANGEROUS),
    "a file named .git": (named(".git"), DANGEROUS),
    "a link named .git": (named(".git", "120000"), DANGEROUS),
    "a folder named ..": (inside(".."), DANGEROUS),
    "a folder named .": (inside("."), DANGEROUS),
    "a name with a slash": (named("a/b"), DANGEROUS),
    "a name that climbs": (named("../../etc/passwd"), DANGEROUS),
    "an absolute name": (named("/etc/passwd"), DANGEROUS),
    "an empty name": (named(""), ""),
    "the same name twice": (tree(("100644", "a", "1"), ("100644", "a", "2")), DANGEROUS),
    "a link and a folder": (
        lambda repository: repository.commit(
            repository.tree(
                ("120000", "a", repository.blob("/etc")),
                ("40000", "a", repository.tree(("100644", "x", repository.blob("x")))),
            )
        ),
        DANGEROUS,
    ),
    "names out of order": (tree(("100644", "b", "1"), ("100644", "a", "2")), DANGEROUS),
    # links
    "a link to the root": (files(a=LINK + "/etc"), "a link that leaves the archive"),
    "a link up": (files(a__b=LINK + "../../x"), "a link that leaves the archive"),
    "links that climb together": (
        files(p__q__d=LINK + "../..", e=LINK + "p/q/d/../x"),
        "a link that leaves the archive",
    ),
    "a link in circles": (files(a=LINK + "b", b=LINK + "a"), "in circles"),
    "a link to a novel": (files(a=LINK + "x" * 5000), "what can't be a path"),
    # names
    "a name that is not UTF-8": (named(b"a\xff"), "not UTF-8"),
    "a name with a newline": (named("a\nb"), "control characters"),
    "a name with an escape": (named("a\x1b[2J"), "control characters"),
    "a name with a backslash": (named("..\\x"), "backslash"),
    "a drive": (named("C:"), "absolute path"),
    "a long name": (named("n" * 300), "more than 255 bytes"),
    "twins": (files(Readme="1", README="2"), "only in case"),
    # submodules
    "a submodule that climbs": (
        modules('[submodule "../../x"]\n\tpath = x\n\turl = https://git.example/x\n'),
        DANGEROUS,
    ),
    "a submodule with an option": (
        modules('[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch\n'),
        DANGEROUS,
    ),
    "a submodule at an option": (
        modules('[submodule "x"]\n\tpath = -x\n\turl = https://git.example/x\n'),
        DANGEROUS,
    ),
    "a link named .gitmodules": (named(".gitmodules", "120000"), DANGEROUS),
    # sizes
    "a tree bomb": (bomb, "larger than allowed"),
    "a deep tree": (deep, "folders deep"),
    "a large file": (files(a=os.urandom(2 << 20)), "larger than allowed"),
    "a file that was packed well": (files(a=bytes(2 << 20)), "larger than allowed"),
    # what is no commit
    "nothing": (lambda repository: None, "names no branch, tag or commit"),
    "no files": (lambda repository: repository.commit(repository.tree()), "has no files"),
    "a missing tree": (broken, ""),
    "a tag of a file": (other("blob"), "not a commit"),
    "a tag of a folder": (other("tree"), "not a commit"),
}


@pytest.mark.parametrize("name", REPOSITORIES)
async def test_it_is_refused_with_a_reason_and_not_kept(
    name: str, root: Path, fetch: Any, tmp_path: Path
) -> None:
    make, message = REPOSITORIES[name]
    make(Repository(root / "house.git"))
    ref = "main" if name.startswith("a tag") else ""
    with pytest.raises(Invalid) as caught:
        await fetch("house.git", ref, limits=SMALL)
    error = caught.value
    assert error.field in ("url", "ref")
    assert message in error.message
    assert error.message.isprintable()
    assert len(error.message) < 400
    assert not any((tmp_path / "blobs").rglob("sha256/*/*"))


async def test_what_a_repository_does_not_have_is_named(root: Path, fetch: Any) -> None:
    Repository(root / "house.git").files({"a": "1"})
    for ref in ("nowhere", "refs/heads/nowhere", "ab" * 20, "abcdef12"):
        with pytest.raises(Invalid, match="names no branch, tag or commit") as caught:
            await fetch("house.git", ref)
        assert caught.value.field == "ref"
    with pytest.raises(Invalid, match="leads to no repository"):
        await fetch("barn.git")
    with pytest.raises(Invalid, match="names something that is not a commit"):
        await fetch("house.git", git(root / "house.git", "rev-parse", "main:a"))


async def test_a_long_history_is_left_where_it_is(root: Path, fetch: Any, tmp_path: Path) -> None:
    repository = Repository(root / "house.git")
    large = repository.files({"large": os.urandom(3 << 20)})
    commit = repository.files({"a": "1"}, parent=large)
    assert (await fetch("house.git", limits=SMALL)).commit == commit


async def test_a_submodule_is_never_asked_for(root: Path, server: str, fetch: Any) -> None:
    repository = Repository(root / "house.git")
    text = f'[submodule "m"]\n\tpath = m\n\turl = {server}/secret.git\n\tupdate = !touch x\n'
    tree = repository.tree(
        ("100644", ".gitmodules", repository.blob(text.replace("\tupdate = !touch x\n", ""))),
        ("160000", "m", "ab" * 20),
    )
    repository.commit(tree)
    fetched = await fetch("house.git")
    assert fetched.notes == ("submodules are not fetched and are left out: m",)

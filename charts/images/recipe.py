"""What is in each image, as values. Pure but for reading this repository's files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
APP: Final = "/app"
PACKAGES: Final = f"{APP}/packages"

USER: Final = "65532:65532"
"""By number, so that a cluster can tell that it is not root, and no base has to know it."""

ENVIRONMENT: Final = {
    "HOME": "/tmp",  # the one place that is writable where the root is read-only
    "PYTHONUNBUFFERED": "1",
}
WITH_PACKAGES: Final = {
    "PYTHONPATH": f"{APP}:{PACKAGES}",
    # what is compiled at the first start serves the later ones of the same pod; an image holds
    # none, since only its own Python could make it. With it, Python does not look at what its base
    # has compiled, so who needs no more than that is better off without
    "PYTHONPYCACHEPREFIX": "/tmp/python",
}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One image, before anything of it is made."""

    name: str
    title: str
    start: tuple[str, ...]  # what the base's Python is given
    folders: tuple[str, ...] = ()  # of this repository, as they are, at APP
    files: Mapping[str, str] = {}  # absolute path -> the file of this repository that is there
    lock: str = ""  # of its packages; empty: the standard library is enough
    base: str = "BASE"  # the setting that names its base

    @property
    def repository(self) -> str:
        return f"slipway-{self.name}"


def _service(name: str, *folders: str, base: str = "BASE") -> Part:
    return Part(
        name=name,
        title=f"Slipway {name}",
        start=("-m", f"services.{name}"),
        folders=("shared", f"services/{name}", *folders),
        files={f"{APP}/services/__init__.py": "services/__init__.py"},
        lock=f"charts/images/{name}.lock",
        base=base,
    )


PARTS: Final = (
    _service("api"),
    # it puts the runtimes into what it builds, and runs git
    _service("builder", "runtimes", base="BUILDER_BASE"),
    _service("scheduler"),
    _service("router"),
    Part(
        name="doorman",
        title="Slipway doorman",
        start=("/doorman.py",),
        files={"/doorman.py": "runtimes/doorman.py"},
    ),
)


def code(part: Part, root: Path = ROOT) -> dict[str, bytes]:
    """The files of its code by absolute path. What Python or a person left beside is not code."""
    found = {path: (root / name).read_bytes() for path, name in part.files.items()}
    for folder in part.folders:
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root)
            hidden = any(name.startswith(".") for name in inside.parts)
            if path.is_file() and not hidden and "__pycache__" not in inside.parts:
                found[f"{APP}/{inside.as_posix()}"] = path.read_bytes()
    return found


def environment(part: Part, base: tuple[str, ...]) -> tuple[str, ...]:
    """The base's variables with ours over them."""
    found = dict(entry.partition("=")[::2] for entry in base) | ENVIRONMENT
    if part.lock:
        found |= WITH_PACKAGES
    return tuple(f"{name}={value}" for name, value in found.items())


def version(root: Path = ROOT) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def labels(part: Part, version: str, base: str, digest: str, revision: str) -> dict[str, str]:
    """In OCI's words. `revision` is empty where it is not known, and then is not said."""
    said = {
        "title": part.title,
        "version": version,
        "base.name": base,
        "base.digest": digest,
        "revision": revision,
    }
    return {f"org.opencontainers.image.{name}": value for name, value in said.items() if value}

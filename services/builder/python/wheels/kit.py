"""What is laid over a base image so that packages can be built inside it: uv, and what is asked.

Nothing inside sees the builder's disk, so what the settings name there comes along: folders of
packages, and the certificates of the machine. An index in a folder does not, and neither do logins
that are in files.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.builder import layers
from services.builder.python import indexes
from services.builder.python.install import Installer
from services.builder.python.wanted import Wanted
from services.builder.sandbox import gates
from shared.errors import Invalid, Transient, translate

PLACE: Final = "/slipway/wheels"
ASKED: Final = "asked"  # the requirements files, which may hold passwords
EXTRA: Final = "extra.txt"
NEEDED: Final = "needed.txt"
OUT: Final = f"{PLACE}/out"
COLLECT: Final = "collect.py"
COLLECTING: Final = """
import glob, shutil, sys

for path in glob.glob(sys.argv[1] + "/**/*.whl", recursive=True):
    shutil.copy(path, sys.argv[2])
"""
CERTIFICATES: Final = "certificates.pem"

INDEXES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
PASSED: Final = re.compile(
    rf"{'|'.join(INDEXES)}|UV_(?:INDEX_\w+|NO_INDEX|INSECURE_HOST|HTTP_\w+|EXCLUDE_NEWER|OFFLINE"
    r"|NATIVE_TLS|SYSTEM_CERTS|CONCURRENT_\w+)|GIT_\w+|LC_ALL"
)
LOOPBACK: Final = ("127.", "localhost:", "::1:")
ARCHIVES: Final = (".whl", ".tar.gz", ".zip")
LARGEST: Final = 1 << 30  # bytes of all folders of packages together
LARGEST_CERTIFICATES: Final = 16 << 20


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Those of an installation's settings that mean something inside. Raises ValueError."""
    found = {name: text for name, text in settings.items() if PASSED.fullmatch(name)}
    for name in INDEXES:
        for index in found.get(name, "").split():
            if index.startswith(("file:", "/")):
                raise ValueError(f"the index {index} is on the builder's own disk")
    if links(settings):
        found["UV_FIND_LINKS"] = ",".join([*_remote(settings), f"{PLACE}/links"])
    elif remote := _remote(settings):
        found["UV_FIND_LINKS"] = ",".join(remote)
    if settings.get("SSL_CERT_FILE"):
        found["SSL_CERT_FILE"] = f"{PLACE}/{CERTIFICATES}"
    if any(gate.startswith(LOOPBACK) for gate in gates.named(found.values())):
        found |= {"no_proxy": "", "NO_PROXY": ""}  # the machine's loopback is not the sandbox's
    return found


def links(settings: Mapping[str, str]) -> list[Path]:
    """The folders of packages that settings name on this machine."""
    return [Path(part.removeprefix("file://")) for part in _parts(settings) if _is_local(part)]


def _remote(settings: Mapping[str, str]) -> list[str]:
    return [part for part in _parts(settings) if not _is_local(part)]


def _parts(settings: Mapping[str, str]) -> list[str]:
    return [part for part in re.split(r"[,\s]+", settings.get("UV_FIND_LINKS", "")) if part]


def _is_local(part: str) -> bool:
    return part.startswith(("file://", "/"))


class Kit:
    """`folder` is the build's own; the kit lies in it until it is cleared."""

    def __init__(self, folder: Path, installer: Installer) -> None:
        self._folder = folder / "kit"
        self._tar = folder / "kit.tar"
        self._installer = installer

    def settings(self, wanted: Wanted, source: Path) -> dict[str, str]:
        return indexes.merged(
            self._installer.environment, wanted.asked.own, source, self._installer.public
        )

    def pack(self, wanted: Wanted, source: Path, needed: str = "") -> Path:
        """A layer with all that a step needs. Blocks. Raises Invalid for what is too much."""
        shutil.rmtree(self._folder, ignore_errors=True)
        settings = self.settings(wanted, source)
        with translate({OSError: Transient}):
            (self._folder / "out").mkdir(parents=True)
            shutil.copy2(self._installer.uv, self._folder / "uv")
            (self._folder / COLLECT).write_text(COLLECTING)
            (self._folder / NEEDED).write_text(needed)
            (self._folder / EXTRA).write_text("".join(f"{line}\n" for line in wanted.extra))
            for path in wanted.asked.files:
                if path != wanted.asked.conf:
                    (self._folder / ASKED / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source / path, self._folder / ASKED / path)
            if certificates := settings.get("SSL_CERT_FILE"):
                body = _read(Path(certificates))
                (self._folder / CERTIFICATES).write_bytes(body)
            self._bring(links(settings))
            with self._tar.open("wb") as file:
                file.writelines(layers.folder(self._folder, PLACE))
        return self._tar

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._tar.unlink(missing_ok=True)

    def _bring(self, folders: list[Path]) -> None:
        into, size = self._folder / "links", 0
        if folders:
            into.mkdir()
        for folder in reversed(folders):  # of two files of one name, that of the first
            for path in folder.iterdir() if folder.is_dir() else [folder]:
                if path.name.endswith(ARCHIVES) and path.is_file():
                    size += path.stat().st_size
                    if size > LARGEST:
                        raise Invalid("", f"find-links holds more than {LARGEST} bytes")
                    shutil.copyfile(path, into / path.name)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        body = file.read(LARGEST_CERTIFICATES + 1)
    if len(body) > LARGEST_CERTIFICATES:
        raise Invalid("", f"{path.name} is too large for a file of certificates")
    return body

"""Takes out of an installation what tells where and when it was made, so that it can be an image.

Console scripts start the interpreter that the installation is for: on a base image by its path,
else the one on PATH. What installers and compilers leave behind is removed; each distribution's
RECORD is kept right.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.builder.base import target
from services.builder.python.reason import masked
from services.builder.recipe import Host

LEFT_BEHIND: Final = ("uv_cache.json", "uv_build.json")
PORTABLE: Final = b"#!/usr/bin/env python3\n"
DIRECT: Final = re.compile(rb"#![^\n]*python[\d.]*(?: [^\n]*)?\n")
TRAMPOLINE: Final = re.compile(rb"#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n")


LONGEST: Final = 127  # bytes of a first line that every Linux reads whole


def tidy(root: Path, host: Host | None = None) -> None:
    """Make the installation in `root` independent of this machine's paths and clock.

    With `host` it is one for a base image's Python, wherever it was installed from.
    """
    _without_links(root)
    for name in (".lock", "CACHEDIR.TAG", ".gitignore"):
        (root / name).unlink(missing_ok=True)
    for folder in [*root.rglob("__pycache__")]:
        shutil.rmtree(folder)
    base = host if host is not None and target.is_base(host) else None
    for script in sorted((root / "bin").glob("*")):
        _make_portable(script, PORTABLE if base is None else first_line(base.executable))
    moved = {} if base is None else _move(root, base)
    for info in sorted(root.glob("lib/python*/site-packages/*.dist-info")):
        _forget_place(info)
        _make_record(info, moved)


def _without_links(root: Path) -> None:
    """Code of strangers wrote here: what we look into or write to leads nowhere else."""
    distributions = "lib/python*/site-packages/*.dist-info"
    for pattern in (
        *("bin", "lib", "include", "include/site", "lib/python*", "include/site/python*"),
        *("lib/python*/site-packages", distributions),
        *(f"{distributions}/{name}" for name in ("METADATA", "RECORD", "direct_url.json")),
    ):
        for path in [*root.glob(pattern)]:  # outer ones first
            if path.is_symlink():
                path.unlink()


def first_line(executable: str) -> bytes:
    """Of a script that an interpreter runs, by its path where that is possible.

    >>> first_line("/usr/local/bin/python3")
    b'#!/usr/local/bin/python3\\n'
    """
    line = b"#!" + executable.encode(errors="surrogateescape") + b"\n"
    return PORTABLE if len(line) > LONGEST or re.search(rb"\s", line[:-1]) else line


def _make_portable(script: Path, line: bytes) -> None:
    if script.is_symlink() or not script.is_file():
        return
    with script.open("rb") as file:
        if file.read(2) != b"#!":
            return
    body = script.read_bytes()
    match = TRAMPOLINE.match(body) or DIRECT.match(body)
    if match:
        script.write_bytes(line + body[match.end() :])


def _move(root: Path, base: Host) -> dict[str, str]:
    """From folders named after the Python that installed to those of the one that will run it."""
    moved = {}
    wanted = base.site_packages.split("/")[1]
    for found in sorted([*root.glob("lib/python*"), *root.glob("include/site/python*")]):
        if found.name != wanted:
            found.rename(found.with_name(wanted))
            moved[f"/{found.relative_to(root)}/"] = f"/{found.with_name(wanted).relative_to(root)}/"
    return moved


def _forget_place(info: Path) -> None:
    for name in LEFT_BEHIND:
        (info / name).unlink(missing_ok=True)
    direct = info / "direct_url.json"
    if direct.is_file():
        if _is_local(direct.read_bytes()):
            direct.unlink()
        else:
            direct.write_text(masked(direct.read_text("utf-8")), "utf-8")


def _is_local(body: bytes) -> bool:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return True
    return isinstance(found, dict) and str(found.get("url", "")).startswith("file:")


def _make_record(info: Path, moved: Mapping[str, str]) -> None:
    """What is still there, sorted; scripts, which lie outside, were changed and are hashed anew."""
    record = info / "RECORD"
    if not record.is_file():
        return
    rows = csv.reader(record.read_text("utf-8").splitlines())
    site = info.parent
    named = {_moved(row[0], moved): row[1:] for row in rows if row}
    kept = {name: (name, *row) for name, row in named.items() if os.path.lexists(site / name)}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        _hashed(site, name) if _may_differ(name) else kept[name] for name in sorted(kept)
    )
    record.write_text(text.getvalue(), "utf-8")


def _may_differ(name: str) -> bool:
    return name.startswith("..") or name.endswith(".dist-info/direct_url.json")


def _moved(name: str, moved: Mapping[str, str]) -> str:
    if name.startswith(".."):
        for old, new in moved.items():
            name = name.replace(old, new, 1)
    return name


def _hashed(site: Path, name: str) -> tuple[str, str, str]:
    path = site / name
    if not path.is_file():
        return name, "", ""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return name, f"sha256={text}", str(path.stat().st_size)

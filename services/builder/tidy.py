"""Takes out of an installation what tells where and when it was made, so that it can be an image.

Console scripts find their interpreter on PATH, and what installers and compilers leave behind is
removed; each distribution's RECORD is kept right.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
from pathlib import Path
from typing import Final

import msgspec

LEFT_BEHIND: Final = ("uv_cache.json", "uv_build.json")
PORTABLE: Final = b"#!/usr/bin/env python3\n"
DIRECT: Final = re.compile(rb"#![^\n]*python[\d.]*(?: [^\n]*)?\n")
TRAMPOLINE: Final = re.compile(rb"#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n")


def tidy(root: Path) -> None:
    """Make the installation in `root` independent of this machine's paths and clock."""
    for name in (".lock", "CACHEDIR.TAG", ".gitignore"):
        (root / name).unlink(missing_ok=True)
    for folder in [*root.rglob("__pycache__")]:
        shutil.rmtree(folder)
    for script in sorted((root / "bin").glob("*")):
        _make_portable(script)
    for info in sorted(root.glob("lib/python*/site-packages/*.dist-info")):
        _forget_place(info)
        _make_record(info)


def _make_portable(script: Path) -> None:
    if script.is_symlink() or not script.is_file():
        return
    with script.open("rb") as file:
        if file.read(2) != b"#!":
            return
    body = script.read_bytes()
    match = TRAMPOLINE.match(body) or DIRECT.match(body)
    if match:
        script.write_bytes(PORTABLE + body[match.end() :])


def _forget_place(info: Path) -> None:
    for name in LEFT_BEHIND:
        (info / name).unlink(missing_ok=True)
    direct = info / "direct_url.json"
    if direct.is_file() and _is_local(direct.read_bytes()):
        direct.unlink()


def _is_local(body: bytes) -> bool:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return True
    return isinstance(found, dict) and str(found.get("url", "")).startswith("file:")


def _make_record(info: Path) -> None:
    """What is still there, sorted; scripts, which lie outside, were changed and are hashed anew."""
    record = info / "RECORD"
    if not record.is_file():
        return
    rows = csv.reader(record.read_text("utf-8").splitlines())
    site = info.parent
    kept = {row[0]: row for row in rows if row and os.path.lexists(site / row[0])}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        _hashed(site, name) if name.startswith("..") else kept[name] for name in sorted(kept)
    )
    record.write_text(text.getvalue(), "utf-8")


def _hashed(site: Path, name: str) -> tuple[str, str, str]:
    path = site / name
    if not path.is_file():
        return name, "", ""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return name, f"sha256={text}", str(path.stat().st_size)

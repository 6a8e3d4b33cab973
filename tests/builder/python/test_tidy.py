"""An installation without traces of the machine that made it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from services.builder.python.tidy import first_line, tidy
from services.builder.recipe import Host

BODY = b"# -*- coding: utf-8 -*-\nprint(1)\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    info = tmp_path / "lib/python3.11/site-packages/tiny-1.dist-info"
    (tmp_path / "bin").mkdir()
    (info.parent / "tiny" / "__pycache__").mkdir(parents=True)
    info.mkdir()
    (info.parent / "tiny" / "__pycache__" / "x.pyc").write_bytes(b"")
    (info.parent / "tiny" / "__init__.py").write_bytes(b"")
    (info / "uv_cache.json").write_text("{}")
    (info / "RECORD").write_text(
        "tiny/__init__.py,sha256=47DEQ,0\n../../../bin/tiny,sha256=old,9\n"
        "tiny-1.dist-info/uv_cache.json,sha256=x,2\ntiny-1.dist-info/RECORD,,\n"
    )
    (tmp_path / ".lock").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("head", "tidied"),
    [
        (b"#!/opt/here/bin/python3.11\n", b"#!/usr/bin/env python3\n"),
        (b"#!/opt/here/bin/python -E\n", b"#!/usr/bin/env python3\n"),
        (
            b"#!/bin/sh\n'''exec' '/opt/a b/python3.11' \"$0\" \"$@\"\n' '''\n",
            b"#!/usr/bin/env python3\n",
        ),
        (b"#!/bin/sh\n", b"#!/bin/sh\n"),
        (b"#!/usr/bin/perl\n", b"#!/usr/bin/perl\n"),
        (b"\x7fELF", b"\x7fELF"),
    ],
)
def test_scripts_find_their_interpreter_on_path(root: Path, head: bytes, tidied: bytes) -> None:
    script = root / "bin" / "tiny"
    script.write_bytes(head + BODY)
    script.chmod(0o755)
    tidy(root)
    assert script.read_bytes() == tidied + BODY
    assert script.stat().st_mode & 0o111


def test_the_record_is_right_and_sorted(root: Path) -> None:
    (root / "bin" / "tiny").write_bytes(b"#!/x/python\n" + BODY)
    tidy(root)
    site = root / "lib/python3.11/site-packages"
    rows = list(csv.reader((site / "tiny-1.dist-info/RECORD").read_text().splitlines()))
    names = [row[0] for row in rows]
    assert names == sorted(names)
    assert "tiny-1.dist-info/uv_cache.json" not in names
    size = (root / "bin" / "tiny").stat().st_size
    assert next(row[2] for row in rows if row[0] == "../../../bin/tiny") == str(size)
    assert not list(root.rglob("__pycache__"))
    assert not (root / ".lock").exists()


@pytest.mark.parametrize(
    ("url", "stays"),
    [("file:///tmp/build/x", False), ("https://a.example/x.whl", True)],
)
def test_where_a_local_package_lay_is_forgotten(root: Path, url: str, stays: bool) -> None:
    direct = root / "lib/python3.11/site-packages/tiny-1.dist-info/direct_url.json"
    direct.write_text(f'{{"url": "{url}"}}')
    tidy(root)
    assert direct.exists() == stays


BASE = Host(
    python="3.9.2",
    platform="x86_64-manylinux_2_31",
    architecture="amd64",
    executable="/opt/p/bin/python3",
)


def test_an_installation_for_a_base_has_its_folders_and_starts_its_python(root: Path) -> None:
    site = root / "lib/python3.11/site-packages"
    info = site / "tiny-1.0.dist-info"
    headers = root / "include/site/python3.11/tiny"
    for folder in (info, headers, root / "bin"):
        folder.mkdir(parents=True, exist_ok=True)
    (headers / "tiny.h").write_text("")
    (root / "bin/tiny").write_bytes(b"#!/somewhere/bin/python3.11\nimport tiny\n")
    (info / "RECORD").write_text(
        "../../../bin/tiny,sha256=old,1\n../../../include/site/python3.11/tiny/tiny.h,sha256=x,0\n"
    )
    tidy(root, BASE)
    assert (root / "bin/tiny").read_bytes() == b"#!/opt/p/bin/python3\nimport tiny\n"
    record = root / "lib/python3.9/site-packages/tiny-1.0.dist-info/RECORD"
    names = [line.partition(",")[0] for line in record.read_text().splitlines()]
    assert names == ["../../../bin/tiny", "../../../include/site/python3.9/tiny/tiny.h"]
    assert not site.exists()


@pytest.mark.parametrize(
    "executable", ["/opt/my python/bin/python3", "/" + "deep/" * 30 + "python3"]
)
def test_an_interpreter_that_no_first_line_can_name_is_looked_for_on_path(executable: str) -> None:
    assert first_line(executable) == b"#!/usr/bin/env python3\n"


def test_the_password_of_an_address_is_not_kept_with_its_package(root: Path) -> None:
    info = root / "lib/python3.11/site-packages/tiny-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "direct_url.json").write_text('{"url": "https://me:hidden@x.example/tiny.whl"}')
    (info / "RECORD").write_text("tiny-1.0.dist-info/direct_url.json,sha256=old,1\n")
    tidy(root)
    assert (info / "direct_url.json").read_text() == '{"url": "https://***@x.example/tiny.whl"}'
    assert "sha256=old" not in (info / "RECORD").read_text()


def test_links_that_code_of_strangers_left_are_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    (outside / "x-1.dist-info").mkdir(parents=True)
    theirs = outside / "x-1.dist-info" / "RECORD"
    theirs.write_text("gone,,\n")
    (outside / "script").write_bytes(b"#!/usr/bin/python3\n" + BODY)
    site = root / "lib/python3.11/site-packages"
    (site / "linked-1.dist-info").mkdir()
    (site / "linked-1.dist-info" / "RECORD").symlink_to(theirs)
    (site / "x-1.dist-info").symlink_to(theirs.parent)
    (root / "bin").rmdir()
    (root / "bin").symlink_to(outside)
    (root / "lib" / "python3.12").symlink_to(outside)
    tidy(root)
    assert theirs.read_text() == "gone,,\n"
    assert (outside / "script").read_bytes().startswith(b"#!/usr/bin/python3\n")
    assert not (site / "x-1.dist-info").exists()

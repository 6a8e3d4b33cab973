"""Looking into base images: how layers lie over each other, and what is found in them."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import zstandard

from services.builder.base import scan
from services.builder.base.look import Look, look
from services.builder.base.rootfs import RootFs
from services.builder.base.scan import Limits, Spent
from shared.errors import Invalid

ELF = b"\x7fELF\x02\x01"
PYTHON = ELF + b"/lib64/ld-linux-x86-64.so.2\0" + b"x" * 5000
OFFICIAL = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "bin": "-> usr/bin",
    "lib": "-> usr/lib",
    "usr/lib/x86_64-linux-gnu/libc.so.6": ELF
    + b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n",
    "usr/local/bin/python3.11": PYTHON,
    "usr/local/bin/python3": "-> python3.11",
    "usr/local/bin/python": "-> python3",
    "usr/local/lib/libpython3.11.so.1.0": ELF + b"/usr/local/lib/3.11.9\0",
    "usr/local/lib/python3.11/site-packages/pip-24.0.dist-info/METADATA": b"Name: pip\nVersion: 24.0\n\nName: x\n",
    "var/lib/dpkg/status": (
        b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u14\n\n"
        b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    ),
}
Files = Mapping[str, bytes | str]


def layer(files: Files, **more: Any) -> bytes:
    """Content, `-> target` for a link, `=> path` for a hard link, `/` for a folder."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", **more) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            data = b""
            if isinstance(content, bytes):
                info.size, data = len(content), content
            elif content == "/":
                info.type = tarfile.DIRTYPE
            elif content in ("device", "fifo"):
                info.type = tarfile.CHRTYPE if content == "device" else tarfile.FIFOTYPE
            else:
                info.type = tarfile.SYMTYPE if content.startswith("->") else tarfile.LNKTYPE
                info.linkname = content[3:]
            archive.addfile(info, io.BytesIO(data))
    return body.getvalue()


def merged(*layers: Files | bytes, limits: Limits = scan.DEFAULT) -> RootFs:
    files, spent = RootFs(), Spent()
    for one in layers:
        body = one if isinstance(one, bytes) else layer(one)
        files.apply(scan.scan(io.BytesIO(body), spent, limits))
    return files


def seen(*layers: Files, **environment: str) -> Look:
    return look(merged(*layers), environment)


def version(found: Look) -> str:
    assert found.python is not None
    return found.python.version


def test_an_official_python_is_told_from_its_files() -> None:
    found = seen(OFFICIAL, PYTHON_VERSION="3.11.9")
    assert (found.os, found.os_version, found.libc) == ("debian", "12", "glibc-2.36")
    assert found.python is not None
    assert found.python.executable == "/usr/local/bin/python3"
    assert found.python.names == ("python3", "python")
    assert found.python.version == "3.11.9"
    assert found.python.site == ("/usr/local/lib/python3.11/site-packages",)
    assert [(one.name, one.version) for one in found.distributions] == [("pip", "24.0")]
    assert [(one.name, one.version) for one in found.packages] == [("libc6", "2.36-9+deb12u14")]
    assert found.manager == "dpkg"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Look) == found


DEBIAN: Files = {
    "usr/bin/python3.11": PYTHON,
    "usr/bin/python3": "-> python3.11",
    "usr/lib/python3/dist-packages/six-1.16.0.egg-info": b"Name: six\nVersion: 1.16.0\n",
    "usr/lib/python3/dist-packages/yaml.egg-info/PKG-INFO": b"Name: PyYAML\nVersion: 6.0\n",
    "var/lib/dpkg/status": b"Package: python3.11-minimal\nStatus: install ok installed\nVersion: 3.11.2-6+deb12u6\n",
}


def test_debians_python_is_that_of_its_package_and_of_its_folders() -> None:
    found = seen(DEBIAN)
    assert version(found) == "3.11.2"
    assert found.python is not None
    assert found.python.names == ("python3",)
    assert [one.name for one in found.distributions] == ["PyYAML", "six"]


def test_what_the_binary_says_outranks_what_others_say_of_it() -> None:
    said = DEBIAN | {"usr/bin/python3.11": PYTHON + b"\0" + b"3.11.4\0" + b"3.46.1\0"}
    assert version(seen(said, PYTHON_VERSION="3.11.9")) == "3.11.4"


def test_a_promised_version_counts_only_for_the_python_that_it_fits() -> None:
    bare = {"opt/bin/python3.12": PYTHON, "opt/bin/python3": "-> python3.12"}
    assert version(seen(bare, PATH="/opt/bin", PYTHON_VERSION="3.12.1")) == "3.12.1"
    assert version(seen(bare, PATH="/opt/bin", PYTHON_VERSION="3.9.1")) == "3.12"
    assert version(seen(bare, PATH="/opt/bin")) == "3.12"


ALPINE: Files = {
    "etc/os-release": b"ID=alpine\nVERSION_ID=3.20.3\n",
    "usr/bin/python3.12": ELF + b"/lib/ld-musl-x86_64.so.1\0" + b"\0003.12.8\0",
    "usr/bin/python3": "-> python3.12",
    "usr/bin/python": "-> python3",
    "lib/apk/db/installed": b"P:musl\nV:1.2.5-r0\nA:x86_64\n\nP:python3\nV:3.12.8-r1\nA:x86_64\n\n",
}


def test_alpine_has_musl_and_its_own_database() -> None:
    found = seen(ALPINE)
    assert (found.libc, found.manager, version(found)) == ("musl-1.2.5", "apk", "3.12.8")
    assert [one.name for one in found.packages] == ["musl", "python3"]


def test_of_two_c_libraries_it_is_the_one_that_python_is_made_for() -> None:
    glibc = {"usr/lib/x86_64-linux-gnu/libc.so.6": OFFICIAL["usr/lib/x86_64-linux-gnu/libc.so.6"]}
    assert seen(ALPINE, glibc).libc == "musl-1.2.5"
    assert seen(OFFICIAL, {"lib/ld-musl-x86_64.so.1": ELF + b"\x001.2.4\0"}).libc == "glibc-2.36"


VENV: Files = {
    "opt/venv/bin/python3": "-> /usr/local/bin/python3",
    "opt/venv/pyvenv.cfg": b"home = /usr/local/bin\ninclude-system-site-packages = false\n",
    "opt/venv/lib/python3.11/site-packages/flask-3.0.dist-info/METADATA": b"Name: Flask\nVersion: 3.0\n",
}


def test_a_virtual_environment_on_path_is_kept_to() -> None:
    found = seen(OFFICIAL, VENV, PATH="/opt/venv/bin:/usr/local/bin")
    assert found.python is not None
    assert found.python.executable == "/opt/venv/bin/python3"
    assert found.python.venv
    assert [one.name for one in found.distributions] == ["Flask"]
    wide = VENV | {"opt/venv/pyvenv.cfg": b"include-system-site-packages = TRUE\n"}
    found = seen(OFFICIAL, wide, PATH="/opt/venv/bin")
    assert found.python is not None
    assert not found.python.venv
    assert [one.name for one in found.distributions] == ["Flask", "pip"]


def test_conda_shares_files_by_hard_links() -> None:
    found = seen(
        {
            "opt/conda/pkgs/python-3.10.4/bin/python3.10": PYTHON + b"\x003.10.4\0",
            "opt/conda/bin/python3.10": "=> opt/conda/pkgs/python-3.10.4/bin/python3.10",
            "opt/conda/bin/python3": "-> python3.10",
            "opt/conda/bin/python": "-> python3.10",
            "opt/conda/pkgs/x/site-packages/x-1.dist-info/METADATA": b"Name: x\nVersion: 1\n",
            "opt/conda/lib/python3.10/site-packages/x-1.dist-info/METADATA": "=> opt/conda/pkgs/x/site-packages/x-1.dist-info/METADATA",
        },
        PATH="/opt/conda/bin:/usr/bin",
    )
    assert version(found) == "3.10.4"
    assert [one.name for one in found.distributions] == ["x"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, ""),
        ({"usr/bin/python3": b"#!/bin/sh\nexec pyenv\n"}, "/usr/bin/python3 is a script"),
        ({"usr/bin/pypy3": PYTHON, "usr/bin/python3": "-> pypy3"}, "is PyPy"),
        ({"usr/bin/python3": "-> gone"}, ""),
        ({"usr/bin/python3": "-> python3"}, ""),
        ({"usr/bin/python3": "/"}, ""),
        ({"usr/bin/python3": "device"}, ""),
        ({"usr/bin/python3": PYTHON}, "which version /usr/bin/python3 is can't be told"),
    ],
)
def test_where_there_is_no_python_it_is_said_why(files: Files, why: str) -> None:
    found = seen({"etc/os-release": b"ID=x\n"} | files)
    assert found.python is None
    assert why in found.no_python
    assert bool(why) == bool(found.no_python)


def test_an_image_of_rpm_says_so_and_names_no_packages() -> None:
    found = seen({"var/lib/rpm/rpmdb.sqlite": b"SQLite"})
    assert (found.manager, found.packages) == ("rpm", ())


def test_images_without_a_package_manager_keep_a_file_for_each_package() -> None:
    parts = {
        "var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.31-13\n",
        "var/lib/dpkg/status.d/libc6.md5sums": b"Package: no\n",
    }
    found = seen(parts)
    assert [one.name for one in found.packages] == ["libc6"]
    assert found.libc == "glibc-2.31"


def test_a_whiteout_takes_away_from_below_and_not_from_its_own_layer() -> None:
    site = "usr/local/lib/python3.11/site-packages"
    gone = {f"{site}/.wh.pip-24.0.dist-info": b""}
    assert seen(OFFICIAL, gone).distributions == ()
    new = gone | {f"{site}/pip-25.0.dist-info/METADATA": b"Name: pip\nVersion: 25.0\n"}
    assert [one.version for one in seen(OFFICIAL, new).distributions] == ["25.0"]
    same = {f"{site}/pip-24.0.dist-info/METADATA": b"Name: pip\nVersion: 24.0\n"} | gone
    assert [one.version for one in seen(OFFICIAL, same).distributions] == ["24.0"]


def test_an_opaque_folder_hides_all_that_is_below_it() -> None:
    site = "usr/local/lib/python3.11/site-packages"
    new = {
        f"{site}/six-1.dist-info/METADATA": b"Name: six\nVersion: 1\n",
        f"{site}/.wh..wh..opq": b"",
    }
    assert [one.name for one in seen(OFFICIAL, new).distributions] == ["six"]


def test_a_later_layer_takes_the_place_of_what_was_there() -> None:
    assert seen(OFFICIAL, {"usr/local/bin/python3": b"#!/bin/sh\n"}).python is None
    assert seen(OFFICIAL, {"usr/local/lib": b"a file now"}).distributions == ()
    linked = {"usr/local/bin/python3": "-> /usr/bin/python3.11"}
    assert seen(OFFICIAL, DEBIAN, linked, PATH="/usr/local/bin").python is not None


def test_a_layer_that_writes_through_a_link_below_it_lands_where_that_leads() -> None:
    """As container engines unpack it: /bin is a link to usr/bin."""
    found = seen(
        OFFICIAL, {"bin/python3.9": PYTHON, "bin/python3": "-> python3.9"}, PATH="/usr/bin"
    )
    assert version(found) == "3.9"


def test_a_link_that_leaves_the_image_stays_inside() -> None:
    found = seen({"usr/bin/python3": "-> ../../../../../../etc/python3.11", "etc/python3.11": b"x"})
    assert found.python is None


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.compress, bytes], ids=["gzip", "zstd", "plain"]
)
def test_layers_are_read_however_they_are_packed(pack: Any) -> None:
    body = pack(layer(OFFICIAL))
    assert version(look(merged(body), {})) == "3.11.9"
    with pytest.raises(Invalid, match=r"ends|cut short|damaged|is empty"):
        merged(body[: len(body) // 2])


def test_zstd_with_notes_before_and_behind_is_read() -> None:
    note = b"\x50\x2a\x4d\x18\x04\0\0\0note"
    half = layer(OFFICIAL)
    body = note + zstandard.compress(half[:5000]) + note + zstandard.compress(half[5000:]) + note
    assert version(look(merged(body), {})) == "3.11.9"


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(bytes(200 << 20), 9) + b"",
        zstandard.compress(bytes(200 << 20)),
    ],
    ids=["gzip", "zstd"],
)
def test_a_bomb_is_stopped(body: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Invalid, match=r"times its size|not a tar|more than"):
        merged(body, limits=Limits(size=64 << 20, ratio=100))
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b"hello, I am no tar" * 100, "not a tar"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "not valid zstd"),
        (layer({"a/../../etc/passwd": b""}), "leaves the image"),
        (layer({"a/.wh.": b""}), "has no name"),
        (layer({"a/.wh...": b""}), "has no name"),
        (layer({"/".join("a" * 300): b""}), "folders deep"),
        (layer({"x" * 5000: b""}), "more than 4096 characters"),
    ],
)
def test_what_is_no_layer_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        merged(body)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(members=5), "more than the 5 members"),
        (Limits(size=4000), "unpacks to more than"),
        (Limits(kept=2000), "2000 bytes of names"),
    ],
)
def test_an_image_that_is_too_much_is_refused(limits: Limits, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        merged(OFFICIAL, limits=limits)


def test_limits_hold_for_all_layers_together() -> None:
    limits = Limits(members=len(OFFICIAL) + 3)
    merged(OFFICIAL, limits=limits)
    with pytest.raises(Invalid, match="members"):
        merged(OFFICIAL, {f"x{number}": b"" for number in range(4)}, limits=limits)


def test_links_through_links_through_links_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.builder.base.rootfs.STEPS", 10_000)
    knot: dict[str, bytes | str] = {
        f"l{n}": f"-> l{n + 1}/../l{n + 1}/../l{n + 1}" for n in range(39)
    }
    knot |= {f"l0/x{n}": b"" for n in range(1000)}
    with pytest.raises(Invalid, match="more links and packages"):
        merged(knot)


def test_devices_and_names_of_no_encoding_are_nothing_special() -> None:
    odd = {
        "dev/console": "device",
        "run/x": "fifo",
        "usr/share/caf\udce9": b"x",
        "/etc/x": b"",
        "./y": b"",
    }
    assert version(seen(odd, OFFICIAL)) == "3.11.9"


def test_a_folder_is_not_hard_linked_into_itself() -> None:
    files = merged({"a/site-packages": "/", "a/site-packages/b": "=> a/site-packages"}, OFFICIAL)
    assert version(look(files, {})) == "3.11.9"


def test_odd_metadata_is_left_out() -> None:
    site = "usr/local/lib/python3.11/site-packages"
    odd = {
        f"{site}/a.dist-info/METADATA": b"\xff\xfe",
        f"{site}/b.dist-info/METADATA": b"Name: b\x1b[31m\nVersion: 1\n",
        f"{site}/c.dist-info/METADATA": b"Name: c\nVersion: " + b"9" * 5000 + b"\n",
        f"{site}/d.dist-info": b"",
    }
    found = seen(OFFICIAL, odd)
    assert [one.name for one in found.distributions] == ["c", "pip"]
    assert len(found.distributions[0].version) == 200

"""What an install step leaves of its base, and what it adds."""

from __future__ import annotations

from services.builder.artifacts.changes import over
from services.builder.base.look import Look, Package, Python
from services.builder.base.scan import Found

SITE = "usr/lib/python3/dist-packages"
USER = "slipway/python/lib/python3.11/site-packages"
TAR = Package(name="tar", version="1.34", architecture="amd64")
SIX, PIP = Package(name="six", version="1.16.0"), Package(name="pip", version="24.0")
BASE = Look(
    os="debian",
    os_version="12",
    manager="dpkg",
    python=Python(
        executable="/usr/bin/python3", version="3.11.2", names=("python3",), site=(f"/{SITE}",)
    ),
    distributions=(PIP, SIX),
    packages=(TAR,),
)


def paragraph(name: str, version: str) -> str:
    return (
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
    )


def status(*packages: tuple[str, str]) -> Found:
    body = "\n".join(paragraph(*package) for package in packages)
    return Found(path="var/lib/dpkg/status", kind="file", content=body.encode())


def metadata(folder: str, name: str, version: str) -> Found:
    return Found(
        path=f"{folder}/{name}-{version}.dist-info/METADATA",
        kind="file",
        content=f"Name: {name}\nVersion: {version}\n".encode(),
    )


def gone(path: str) -> Found:
    return Found(path=path, kind="gone")


def test_a_layer_that_installs_nothing_changes_nothing() -> None:
    left, added = over(BASE, [Found(path="etc/motd", kind="file")])
    assert left == BASE
    assert (added.packages, added.distributions) == ((), ())


def test_packages_of_the_system_are_those_of_its_new_database() -> None:
    left, added = over(BASE, [status(("tar", "1.34"), ("ffmpeg", "5.1"))])
    assert left.packages == (TAR,)
    assert added.packages == (Package(name="ffmpeg", version="5.1", architecture="amd64"),)
    assert (added.os, added.os_version, added.manager) == ("debian", "12", "dpkg")


def test_what_was_upgraded_or_removed_is_no_longer_the_bases() -> None:
    left, added = over(BASE, [status(("tar", "1.35"))])
    assert left.packages == ()
    assert added.packages == (Package(name="tar", version="1.35", architecture="amd64"),)
    assert over(BASE, [status()])[0].packages == (TAR,)  # an empty database is none


def test_a_distribution_that_was_replaced_is_listed_as_what_it_is_now() -> None:
    layer = [gone(f"{SITE}/six-1.16.0.dist-info"), metadata(SITE, "six", "1.17.0")]
    left, added = over(BASE, layer)
    assert left.distributions == (PIP,)
    assert added.distributions == (Package(name="six", version="1.17.0"),)


def test_a_distribution_that_was_removed_is_listed_no_more() -> None:
    for name in ("six-1.16.0.egg-info", "Six-1.16.0-py3.11.egg-info"):
        assert over(BASE, [gone(f"{SITE}/{name}")])[0].distributions == (PIP,)


def test_only_what_lies_where_python_looks_counts() -> None:
    layer = [gone("opt/six-1.16.0.dist-info"), metadata("opt/site-packages", "flask", "3.0")]
    left, added = over(BASE, layer)
    assert (left.distributions, added.distributions) == ((PIP, SIX), ())


def test_another_version_of_the_name_stays() -> None:
    assert over(BASE, [gone(f"{SITE}/six-1.15.0.dist-info")])[0] == BASE


def test_what_is_installed_for_the_user_is_found() -> None:
    _, added = over(BASE, [metadata(USER, "flask", "3.0")])
    assert added.distributions == (Package(name="flask", version="3.0"),)


def test_metadata_that_was_only_touched_is_still_the_bases() -> None:
    left, added = over(BASE, [metadata(SITE, "six", "1.16.0")])
    assert (left.distributions, added.distributions) == ((PIP, SIX), ())


def test_a_base_without_python_has_its_packages() -> None:
    bare = Look(os="debian", manager="dpkg", packages=(TAR,))
    left, added = over(bare, [status(("tar", "1.34"), ("curl", "8"))])
    assert left == bare
    assert [package.name for package in added.packages] == ["curl"]

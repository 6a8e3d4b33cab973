"""Bills of materials: valid by CycloneDX's own schema, complete, and the same each time."""

from __future__ import annotations

import json
import warnings
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from services.builder.artifacts import bill
from services.builder.base.look import Look, Package, Python
from tests.builder.artifacts.made import BASE, PYTHON

IN_BASE = Look(
    os="debian",
    os_version="12",
    manager="dpkg",
    python=Python(executable="/usr/bin/python3", version="3.11.9", names=("python3",)),
    distributions=(
        Package(name="pip", version="24.0"),
        Package(name="numpy", version="1.26.4"),
    ),
    packages=(
        Package(name="libstdc++6", version="12.2.0-14", architecture="amd64"),
        Package(name="tar", version="1:1.34+dfsg-1.2", architecture="amd64"),
    ),
)
OURS = Look(
    distributions=(
        Package(name="numpy", version="2.1.0"),
        Package(name="Flask_Login", version="0.6+local"),
    )
)
ALL = {"base": IN_BASE, "python": OURS}


def components(document: bytes) -> dict[str, dict[str, Any]]:
    return {each["bom-ref"]: each for each in json.loads(document)["components"]}


def assert_valid(document: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the validator's own parts
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode())
    assert wrong is None, wrong


@pytest.mark.parametrize(
    "parts", [{}, {"python": OURS}, ALL, {"base": Look(packages=(Package(name="a", version=""),))}]
)
def test_a_bill_is_valid_cyclonedx(parts: dict[str, Look]) -> None:
    assert_valid(bill(parts))
    assert_valid(bill(parts, PYTHON))


def test_everything_installed_is_listed_with_where_it_lies() -> None:
    found = components(bill(ALL, PYTHON))
    assert sorted(found) == [
        "base/pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12",
        "base/pkg:deb/debian/tar@1%3A1.34%2Bdfsg-1.2?arch=amd64&distro=debian-12",
        "base/pkg:generic/python@3.11.9",
        "base/pkg:pypi/numpy@1.26.4",
        "base/pkg:pypi/pip@24.0",
        f"pkg:oci/python@{BASE.replace(':', '%3A')}",
        "python/pkg:pypi/flask-login@0.6%2Blocal",
        "python/pkg:pypi/numpy@2.1.0",
    ]
    ours = found["python/pkg:pypi/flask-login@0.6%2Blocal"]
    assert ours["name"] == "Flask_Login"
    assert ours["properties"] == [{"name": "slipway:part", "value": "python"}]


def test_package_urls_mean_what_they_name() -> None:
    for component in components(bill(ALL, PYTHON)).values():
        url = PackageURL.from_string(component["purl"])
        assert url.version == component["version"]
        if url.type in ("deb", "generic"):
            assert url.name == component["name"]


def test_a_bill_is_the_same_in_whatever_order_things_were_found() -> None:
    turned = msgspec.structs.replace(
        IN_BASE,
        distributions=tuple(reversed(IN_BASE.distributions)),
        packages=tuple(reversed(IN_BASE.packages)),
    )
    assert bill(ALL, PYTHON) == bill({"python": OURS, "base": turned}, PYTHON)


def test_what_is_found_twice_in_one_part_is_listed_once() -> None:
    one = Package(name="a", version="1")
    assert len(components(bill({"python": Look(distributions=(one, one))}))) == 1


def test_names_that_no_url_could_hold_are_quoted() -> None:
    document = bill({"python": Look(distributions=(Package(name="a/b?c#d", version="1 2%\n"),))})
    assert_valid(document)
    [component] = components(document).values()
    assert PackageURL.from_string(component["purl"]).name == "a/b?c#d"


def test_an_alpine_package_is_alpines() -> None:
    package = Package(name="musl", version="1.2.5-r0", architecture="x86_64")
    alpine = Look(os="alpine", os_version="3.20.1", manager="apk", packages=(package,))
    [component] = components(bill({"base": alpine})).values()
    assert component["purl"] == "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1"

"""Bills of materials: valid by CycloneDX's own schema, complete, and the same each time."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from services.builder.artifacts import Part, System, bill
from services.builder.artifacts.installed import Package
from tests.builder.artifacts.made import BASE, PYTHON

BASE_PART = Part(
    name="base",
    python="3.11.9",
    distributions=(Package("pip", "24.0"), Package("numpy", "1.26.4")),
    system=System(
        name="debian",
        version="12",
        architecture="amd64",
        packages=(Package("libstdc++6", "12.2.0-14"), Package("tar", "1:1.34+dfsg-1.2")),
    ),
    conda=(Package("mkl", "2024.1"),),
)
OURS = Part(
    name="python",
    distributions=(Package("numpy", "2.1.0", "f" * 64), Package("Flask_Login", "0.6+local")),
)


def components(document: bytes) -> dict[str, dict[str, Any]]:
    return {each["bom-ref"]: each for each in json.loads(document)["components"]}


def assert_valid(document: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the validator's own parts
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode())
    assert wrong is None, wrong


@pytest.mark.parametrize("parts", [[], [OURS], [BASE_PART, OURS], [Part(name="python")]])
def test_a_bill_is_valid_cyclonedx(parts: list[Part]) -> None:
    assert_valid(bill(parts))
    assert_valid(bill(parts, PYTHON))


def test_everything_installed_is_listed_with_where_it_lies() -> None:
    found = components(bill([BASE_PART, OURS], PYTHON))
    assert sorted(found) == [
        "base/pkg:conda/mkl@2024.1",
        "base/pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12",
        "base/pkg:deb/debian/tar@1%3A1.34%2Bdfsg-1.2?arch=amd64&distro=debian-12",
        "base/pkg:generic/python@3.11.9",
        "base/pkg:pypi/numpy@1.26.4",
        "base/pkg:pypi/pip@24.0",
        f"pkg:oci/python@{BASE.replace(':', '%3A')}",
        "python/pkg:pypi/flask-login@0.6%2Blocal",
        "python/pkg:pypi/numpy@2.1.0",
    ]
    numpy = found["python/pkg:pypi/numpy@2.1.0"]
    assert numpy["hashes"] == [{"alg": "SHA-256", "content": "f" * 64}]
    assert numpy["properties"] == [{"name": "slipway:part", "value": "python"}]
    assert found["python/pkg:pypi/flask-login@0.6%2Blocal"]["name"] == "Flask_Login"


def test_package_urls_mean_what_they_name() -> None:
    for component in components(bill([BASE_PART, OURS], PYTHON)).values():
        url = PackageURL.from_string(component["purl"])
        assert url.version == component["version"]
        if url.type in ("deb", "conda", "generic"):
            assert url.name == component["name"]


def test_a_bill_is_the_same_in_whatever_order_things_were_found() -> None:
    turned = Part(
        name="base",
        python=BASE_PART.python,
        distributions=tuple(reversed(BASE_PART.distributions)),
        system=BASE_PART.system,
        conda=BASE_PART.conda,
    )
    assert bill([BASE_PART, OURS], PYTHON) == bill([OURS, turned], PYTHON)


def test_what_is_found_twice_in_one_part_is_listed_once() -> None:
    twice = Part(name="python", distributions=(Package("a", "1"), Package("a", "1")))
    assert len(components(bill([twice]))) == 1


def test_names_that_no_url_could_hold_are_quoted() -> None:
    odd = Part(name="python", distributions=(Package("a/b?c#d", "1 2%\n"),))
    document = bill([odd])
    assert_valid(document)
    [component] = components(document).values()
    assert PackageURL.from_string(component["purl"]).name == "a/b?c#d"

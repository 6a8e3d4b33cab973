"""The bill of materials: CycloneDX 1.6 as JSON, the same for the same contents.

It lists what is installed and where from, not in which image: images that differ in their code
alone share one bill, which is then stored and pushed once. The manifest that carries it names the
image as its `subject`, and the provenance names the bill by its digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from services.builder.artifacts.installed import Package
from shared.image import BaseRecord

SPEC_VERSION: Final = "1.6"
WHERE: Final = "slipway:part"  # property of a component

_SEPARATORS: Final = re.compile(r"[-_.]+")


class System(msgspec.Struct, frozen=True, kw_only=True):
    """An operating system and the packages of its own manager."""

    kind: str = "deb"  # as package URLs call it: deb, apk, rpm
    name: str = "debian"
    version: str = ""  # of its release
    architecture: str = ""
    packages: tuple[Package, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in one part of an image."""

    name: str  # base, install, python
    python: str = ""  # version of its interpreter
    distributions: tuple[Package, ...] = ()
    system: System | None = None
    conda: tuple[Package, ...] = ()


def bill(parts: Sequence[Part], base: BaseRecord | None = None) -> bytes:
    """The document. A thing that lies in two parts is listed in both."""
    components = {each["bom-ref"]: each for part in parts for each in _components(part)}
    if base is not None:
        component = _base(base)
        components[component["bom-ref"]] = component
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"tools": {"components": [{"type": "application", "name": "slipway"}]}},
        "components": [components[ref] for ref in sorted(components)],
    }
    return msgspec.json.encode(document, order="sorted")


def _components(part: Part) -> Iterator[dict[str, Any]]:
    if part.python:
        python = Package("python", part.python)
        yield _component(part, "platform", python, f"pkg:generic/{_at(python)}")
    for package in part.distributions:
        yield _component(part, "library", package, pypi(package))
    for package in part.conda:
        yield _component(part, "library", package, f"pkg:conda/{_at(package)}")
    if part.system is not None:
        for package in part.system.packages:
            yield _component(part, "library", package, _system(part.system, package))


def _component(part: Part, kind: str, package: Package, url: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "bom-ref": f"{part.name}/{url}",
        "type": kind,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "properties": [{"name": WHERE, "value": part.name}],
    }
    if package.sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": package.sha256}]
    return found


def _base(base: BaseRecord) -> dict[str, Any]:
    where, _, digest = base.reference.rpartition("@")
    name = where.rpartition("/")[2]
    url = f"pkg:oci/{quote(name, safe='')}@{quote(digest, safe='')}"
    return {
        "bom-ref": url,
        "type": "container",
        "name": base.name,
        "version": digest,
        "purl": f"{url}?repository_url={quote(where, safe='/:')}",
        "hashes": [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}],
        "properties": [{"name": WHERE, "value": "base"}],
    }


def pypi(package: Package) -> str:
    """
    >>> pypi(Package("Flask_Login", "0.6+local"))
    'pkg:pypi/flask-login@0.6%2Blocal'
    """
    name = _SEPARATORS.sub("-", package.name).lower()
    return f"pkg:pypi/{quote(name, safe='')}@{quote(package.version, safe='')}"


def _system(system: System, package: Package) -> str:
    distribution = "-".join(filter(None, (system.name, system.version)))
    asked = [("arch", system.architecture), ("distro", distribution)]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked if value)
    url = f"pkg:{system.kind}/{quote(system.name, safe='')}/{_at(package)}"
    return f"{url}?{query}" if query else url


def _at(package: Package) -> str:
    return f"{quote(package.name, safe='')}@{quote(package.version, safe='')}"

"""The bill of materials: CycloneDX 1.6 as JSON, the same for the same contents.

It lists what is installed and where it lies, not in which image: images that differ in their code
alone share one bill, which is then stored and pushed once. The manifest that carries it names the
image as its `subject`, and the provenance names the bill by its digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from services.builder.base.look import Look, Package
from shared.image import BaseRecord

SPEC_VERSION: Final = "1.6"
WHERE: Final = "slipway:part"  # property of a component
MANAGERS: Final = {"dpkg": "deb", "apk": "apk", "rpm": "rpm"}  # as package URLs call them

_SEPARATORS: Final = re.compile(r"[-_.]+")


def bill(parts: Mapping[str, Look], base: BaseRecord | None = None) -> bytes:
    """The document. `parts` are what was seen in `base`, `install`, `python`; what lies in two
    of them is listed in both.
    """
    found = {
        each["bom-ref"]: each for name, look in parts.items() for each in _components(name, look)
    }
    if base is not None:
        component = _base(base)
        found[component["bom-ref"]] = component
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"tools": {"components": [{"type": "application", "name": "slipway"}]}},
        "components": [found[ref] for ref in sorted(found)],
    }
    return msgspec.json.encode(document, order="sorted")


def _components(part: str, look: Look) -> Iterator[dict[str, Any]]:
    if look.python is not None:
        python = Package(name="python", version=look.python.version)
        yield _component(part, "platform", python, f"pkg:generic/{_at(python)}")
    for package in look.distributions:
        yield _component(part, "library", package, pypi(package))
    for package in look.packages:
        yield _component(part, "library", package, _system(look, package))


def _component(part: str, kind: str, package: Package, url: str) -> dict[str, Any]:
    return {
        "bom-ref": f"{part}/{url}",
        "type": kind,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "properties": [{"name": WHERE, "value": part}],
    }


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
    >>> pypi(Package(name="Flask_Login", version="0.6+local"))
    'pkg:pypi/flask-login@0.6%2Blocal'
    """
    name = _SEPARATORS.sub("-", package.name).lower()
    return f"pkg:pypi/{quote(name, safe='')}{_version(package)}"


def _system(look: Look, package: Package) -> str:
    distribution = "-".join(filter(None, (look.os, look.os_version)))
    asked = [("arch", package.architecture), ("distro", distribution)]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked if value)
    kind = MANAGERS.get(look.manager, "generic")
    space = f"{quote(look.os, safe='')}/" if look.os else ""
    return f"pkg:{kind}/{space}{_at(package)}" + (f"?{query}" if query else "")


def _at(package: Package) -> str:
    return f"{quote(package.name, safe='')}{_version(package)}"


def _version(package: Package) -> str:
    """Metadata that lacks its version is still metadata of something that is installed."""
    return f"@{quote(package.version, safe='')}" if package.version else ""

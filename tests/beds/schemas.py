"""The JSON schemas of the OCI image specification, from Debian's package of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.beds.debian import NotHad, install

PACKAGE: Final = "golang-github-opencontainers-image-spec-dev"
FOLDER: Final = Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")

MANIFEST: Final = "image-manifest-schema.json"
INDEX: Final = "image-index-schema.json"
CONFIG: Final = "config-schema.json"
DESCRIPTOR: Final = "content-descriptor.json"
LAYOUT: Final = "image-layout-schema.json"


def check(name: str, body: bytes | dict[str, Any]) -> dict[str, Any]:
    """What it says, when it is as the schema wants it; raises ValidationError when not."""
    found: dict[str, Any] = json.loads(body) if isinstance(body, bytes) else body
    schemas: Registry[Any] = Registry(retrieve=_retrieve)  # type: ignore[call-arg]
    Draft4Validator(_schema(name), registry=schemas).validate(found)
    return found


def _retrieve(uri: str) -> Resource[Any]:
    """They name one another relative to addresses of their own."""
    return DRAFT4.create_resource(_schema(uri.rpartition("/")[2]))


def _schema(name: str) -> Any:
    if not FOLDER.is_dir():
        reason = install(PACKAGE)
        if not FOLDER.is_dir():
            raise NotHad(f"{FOLDER} is missing ({reason}); run: apt-get install {PACKAGE}")
    return json.loads((FOLDER / name).read_text())

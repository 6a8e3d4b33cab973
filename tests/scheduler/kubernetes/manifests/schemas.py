"""The JSON schemas of Kubernetes, several versions of it, in which no unknown field is allowed."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
from jsonschema import Draft202012Validator

_FOLDER: Final = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"

VERSIONS: Final = ("1.25.0", "1.30.0", kubernetes_validate.latest_version())


def objections(manifest: dict[str, Any], version: str) -> list[str]:
    found = validator(manifest["apiVersion"], manifest["kind"], version).iter_errors(manifest)
    return [f"{error.json_path}: {error.message}" for error in found]


@cache
def validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    of = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = json.loads((_place(version) / f"{kind.lower()}-{of}.json").read_text())
    return Draft202012Validator(_whole(schema, _definitions(version)))


@cache
def _definitions(version: str) -> dict[str, Any]:
    return json.loads((_place(version) / "_definitions.json").read_text())["$defs"]


def _whole(schema: Any, definitions: dict[str, Any]) -> Any:
    """With what it refers to in its place: to look that up each time takes most of the time."""
    if isinstance(schema, list):
        return [_whole(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (to := schema.get("$ref")) is not None:
        return _whole(definitions[to.rpartition("/")[2]], definitions)
    return {key: _whole(value, definitions) for key, value in schema.items()}


def _place(version: str) -> Path:
    return _FOLDER / f"v{version}-local-strict"

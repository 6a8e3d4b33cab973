"""Bodies of answers, as people and programs read them."""

from __future__ import annotations

import base64
from typing import Any

import msgspec


def is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def pretty(body: bytes) -> str:
    """JSON indented; what is none, as it is."""
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")


def readable(body: bytes, kind: str) -> Any:
    """A body as part of a JSON document."""
    try:
        return msgspec.json.decode(body) if is_json(kind) else body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"base64": base64.b64encode(body).decode()}

"""Which objects a selector is for."""

from __future__ import annotations

import re
from typing import Any


def matches(object: dict[str, Any], labels: str, fields: str) -> bool:
    has = object["metadata"].get("labels") or {}
    return all(_label(has, term) for term in _terms(labels)) and all(
        _field(object, term) for term in _terms(fields)
    )


def _terms(selector: str) -> list[str]:
    """Split at commas that are not inside of brackets."""
    return [term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip()]


def _label(has: dict[str, str], term: str) -> bool:
    if found := re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", term):
        values = {value.strip() for value in found[3].split(",")}
        return (has.get(found[1]) in values) == (found[2] == "in")
    if found := re.fullmatch(r"([^=!\s]+)\s*(==|=|!=)\s*(\S*)", term):
        return (has.get(found[1]) == found[3]) == (found[2] != "!=")
    return term[1:] not in has if term.startswith("!") else term in has


def _field(object: dict[str, Any], term: str) -> bool:
    found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", term)
    assert found, term
    value: Any = object
    for name in found[1].split("."):
        value = (value or {}).get(name)
    return (str(value or "") == found[3]) == (found[2] != "!=")

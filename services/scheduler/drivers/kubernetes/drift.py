"""What somebody else changed about an object: where it differs from what we applied. Pure.

Only what we applied is looked at, so defaults, status, and what others add beside it are no drift.
How many copies run is not looked at either: that is `Observed.wanted`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from services.scheduler.drivers.kubernetes.quantity import quantity

SHOWN: Final = 3  # differences

_KEYS: Final = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey",),
}
"""Lists that the API merges by name: others may add to them."""

_QUANTITIES: Final = frozenset({"limits", "requests", "emptyDir", "hard"})
_OURS: Final = frozenset({("spec", "replicas"), ("apiVersion",), ("kind",)})
"""Not looked at."""

Path = tuple[str, ...]


def drift(applied: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    """One line for a person; "" where the object is as it was applied."""
    found = [f"{'.'.join(path)} {what}" for path, what in _of(_whole(applied), live, ())]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _whole(applied: Mapping[str, Any]) -> Mapping[str, Any]:
    """As an object would be read: a Secret's text as bytes, and of owners who they are."""
    meta = applied.get("metadata") or {}
    if owners := meta.get("ownerReferences"):
        known = [{"uid": owner.get("uid")} for owner in owners]
        applied = {**applied, "metadata": {**meta, "ownerReferences": known}}
    text = applied.get("stringData")
    if not isinstance(text, Mapping):
        return applied
    coded = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
    rest = {name: value for name, value in applied.items() if name != "stringData"}
    return {**rest, "data": {**(rest.get("data") or {}), **coded}}


def _of(ours: Any, theirs: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if path in _OURS:
        return
    if not ours and not theirs:
        return  # what is empty is left out, or not
    if theirs is None:
        yield path, "was removed"
    elif isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name, value in ours.items():
            yield from _of(value, theirs.get(name), (*path, name))
    elif isinstance(ours, Sequence) and not isinstance(ours, str):
        yield from _of_lists(ours, theirs if isinstance(theirs, Sequence) else (), path)
    elif not _equal(ours, theirs, path):
        yield path, "was changed"


def _of_lists(ours: Sequence[Any], theirs: Any, path: Path) -> Iterator[tuple[Path, str]]:
    key = _key(ours, path)
    if key is None:
        if len(ours) != len(theirs):
            yield path, "was changed"
            return
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from _of(*pair, (*path, str(number)))
        return
    known = {str(one[key]): one for one in theirs if isinstance(one, Mapping) and key in one}
    for one in ours:
        yield from _of(one, known.get(str(one[key])), (*path, str(one[key])))


def _key(ours: Sequence[Any], path: Path) -> str | None:
    for key in _KEYS.get(path[-1] if path else "", ()):
        names = [one.get(key) for one in ours if isinstance(one, Mapping)]
        if len(names) == len(ours) and all(names) and len(set(names)) == len(names):
            return key
    return None


def _equal(ours: Any, theirs: Any, path: Path) -> bool:
    if ours == theirs:
        return True
    if _QUANTITIES.isdisjoint(path):
        return False
    known = quantity(ours)
    return known is not None and known == quantity(theirs)

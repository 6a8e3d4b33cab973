"""Server-side apply and merge patches, as far as we need them."""

from __future__ import annotations

import copy
from typing import Any, Final

# what makes two items of a list the same one; other lists are taken whole
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
}


def applied(live: Any, before: Any, wanted: Any, field: str = "") -> Any:
    """`live` as its new applier wants it, without what it wanted `before` and wants no more."""
    if isinstance(wanted, dict):
        live, before = (each if isinstance(each, dict) else {} for each in (live, before))
        kept = {key: value for key, value in live.items() if key in wanted or key not in before}
        return kept | {
            key: applied(live.get(key), before.get(key), value, key)
            for key, value in wanted.items()
        }
    if isinstance(wanted, list) and (keys := _keys(field, wanted)):
        lives, befores = _by(keys, live), _by(keys, before)
        wants = _by(keys, wanted)
        others = [value for key, value in lives.items() if key not in wants | befores]
        return [applied(lives.get(k), befores.get(k), v) for k, v in wants.items()] + others
    return copy.deepcopy(wanted)


def merged(live: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    live = live if isinstance(live, dict) else {}
    kept = {key: value for key, value in live.items() if key not in patch}
    return kept | {
        key: merged(live.get(key), value) for key, value in patch.items() if value is not None
    }


def _keys(field: str, wanted: list[Any]) -> tuple[str, ...]:
    if field == "ports":
        which = "containerPort" if any("containerPort" in port for port in wanted) else "port"
        return (which, "protocol")
    return KEYS.get(field, ())


def _by(keys: tuple[str, ...], items: Any) -> dict[tuple[Any, ...], Any]:
    return {
        tuple(item.get(key, "TCP" if key == "protocol" else None) for key in keys): item
        for item in (items or ())
    }

"""What was applied, written beside it: whatever differs from that later was somebody else's hand.

Contents of ConfigMaps and Secrets are remembered as digests, since an annotation has less room than
they have, and tells more people. Those of a Secret take what is in it to make: else whoever is
shown a description of it could try what its passwords are.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.scheduler.drivers.kubernetes.manifests import secret

APPLIED: Final = "slipway.dev/applied"

_CONTENT: Final = ("data", "binaryData")


def stamped(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its own summary as an annotation."""
    metadata = manifest["metadata"]
    told = msgspec.json.encode(summary(manifest), order="sorted").decode()
    annotations = metadata.get("annotations", {}) | {APPLIED: told}
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest, or an object of the cluster, in the form in which the two are compared."""
    told = dict(found)
    if found["kind"] in ("ConfigMap", "Secret"):
        key = _key(found)
        for part in _CONTENT:
            if part in found:
                told[part] = {name: _digest(key, value) for name, value in found[part].items()}
    return told


def applied(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an object of the cluster says that it was; None when it does not say."""
    written = (found["metadata"].get("annotations") or {}).get(APPLIED)
    if written is None:
        return None
    try:
        return msgspec.json.decode(written, type=dict[str, Any])
    except msgspec.DecodeError:
        return None


def _key(found: Mapping[str, Any]) -> str:
    """What only those know who may read it anyway; "" where there is nothing to hide."""
    return str((found.get("data") or {}).get(secret.DOORMAN, ""))


def _digest(key: str, content: str) -> str:
    return "sha256:" + hmac.new(key.encode(), content.encode(), hashlib.sha256).hexdigest()

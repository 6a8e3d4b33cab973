"""GPUs that the node offers and does not have, with the labels that GPU feature discovery sets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.beds.kubernetes import api, daemons
from tests.beds.kubernetes.place import NODE_NAME, RUN

RESOURCE = "nvidia.com/gpu"
NODE = f"/api/v1/nodes/{NODE_NAME}"
PRODUCT = "NVIDIA-GeForce-RTX-3090"


def offer(count: int, product: str = PRODUCT) -> None:
    """From now on, also after a restart of the kubelet; 0 is none, and no labels."""
    api.call("PATCH", f"{NODE}/status", operations(count), api.JSON_PATCH)
    api.call("PATCH", NODE, labels(count, product), api.MERGE_PATCH)
    (RUN / "gpus.json").write_text(json.dumps([count, product]))


def operations(count: int) -> list[dict[str, str]]:
    """A JSON patch of a node's status."""
    key = RESOURCE.replace("/", "~1")
    return [
        {"op": "add", "path": f"/status/{which}/{key}", "value": str(count)}
        for which in ("capacity", "allocatable")
    ]


def labels(count: int, product: str) -> dict[str, Any]:
    """A merge patch of a node."""
    told = {"product": product, "count": str(count), "present": "true"}
    return {
        "metadata": {
            "labels": {f"{RESOURCE}.{key}": value if count else None for key, value in told.items()}
        }
    }


def offer_again(since: datetime) -> None:
    """Once a kubelet that started then has spoken, which may set them to 0 with its first words."""
    kept = RUN / "gpus.json"
    if kept.exists():
        daemons.until("kubelet", lambda: _spoke() >= since.replace(microsecond=0))
        offer(*json.loads(kept.read_text()))


def _spoke() -> datetime:
    try:
        conditions = api.call("GET", NODE)["status"]["conditions"]
    except api.Refused:
        return datetime.fromtimestamp(0, UTC)
    return max(datetime.fromisoformat(each["lastHeartbeatTime"]) for each in conditions)

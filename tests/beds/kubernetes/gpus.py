"""GPUs that the node offers and does not have, with the labels that GPU feature discovery sets."""

from __future__ import annotations

import json
from typing import Any

from tests.beds.kubernetes import api, daemons
from tests.beds.kubernetes.place import NODE_NAME, RUN

RESOURCE = "nvidia.com/gpu"
NODE = f"/api/v1/nodes/{NODE_NAME}"
PRODUCT = "NVIDIA-GeForce-RTX-3090"


def offer(count: int, product: str = PRODUCT) -> None:
    """From now on, also after a restart of the kubelet; 0 is none, and no labels."""
    key = RESOURCE.replace("/", "~1")
    operations = [
        {"op": "add", "path": f"/status/{which}/{key}", "value": str(count)}
        for which in ("capacity", "allocatable")
    ]
    api.call("PATCH", f"{NODE}/status", operations, api.JSON_PATCH)
    labels: dict[str, Any] = {
        f"{RESOURCE}.product": product,
        f"{RESOURCE}.count": str(count),
        f"{RESOURCE}.present": "true",
    }
    if count == 0:
        labels = dict.fromkeys(labels)
    api.call("PATCH", NODE, {"metadata": {"labels": labels}}, api.MERGE_PATCH)
    (RUN / "gpus.json").write_text(json.dumps([count, product]))


def offer_again() -> None:
    """After a kubelet started, which forgets them with its first words."""
    kept = RUN / "gpus.json"
    if kept.exists():
        count, product = json.loads(kept.read_text())
        daemons.until("kubelet", lambda: _offered() == "0" or _offered() == "")
        offer(count, product)


def _offered() -> str:
    status: dict[str, Any] = api.call("GET", NODE)["status"]
    return str(status["capacity"].get(RESOURCE, ""))

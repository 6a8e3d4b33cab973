"""What a replica's containers are told that nobody else may read: a Secret."""

from __future__ import annotations

import base64
from typing import Any, Final

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import meta
from services.scheduler.drivers.kubernetes.manifests.environment import Environment, doorman_secret
from services.scheduler.drivers.kubernetes.manifests.settings import Settings

DOORMAN: Final = ".doorman"  # no variable is called that
MOST: Final = 1000_000  # bytes that a Secret or a ConfigMap holds, with some to spare


def secret(
    workload: Workload, found: Environment, settings: Settings, owner: str
) -> dict[str, Any]:
    told = found.given | {DOORMAN: doorman_secret(workload, settings)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta.metadata(workload, settings, owner),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in told.items()},
    }

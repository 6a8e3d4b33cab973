"""The platform with a cluster for its target.

`beside`: its services are processes of this machine, which reaches pods by their own addresses.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.platform import ROOT, Platform, distributed
from tests.beds.ground import NAMED
from tests.beds.kubernetes.bed import Cluster
from tests.beds.kubernetes.place import NODE
from tests.keys import pair

BASE = "python:3.13"
PLACE = "platform"  # of the platform's own images in the registry


def images(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Composes the platform's images and pushes them; the chart's values for them. Blocks."""
    values = folder / "images.yaml"
    asked = {
        "REGISTRY": f"{cluster.registry}/{PLACE}",
        "BASE": BASE,
        "BUILDER_BASE": BASE,
        "BASE_REGISTRY": cluster.registry,
        "VALUES": str(values),
    }
    # a process of its own, since authorities are read when a process starts
    subprocess.run(
        [sys.executable, "-m", "charts.images"],
        cwd=ROOT,
        env={**os.environ, **cluster.environment, **asked},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    found: dict[str, Any] = yaml.safe_load(values.read_text())
    return found


def image(values: Mapping[str, Any], name: str) -> str:
    told = values["images"]
    return f"{told['registry']}/slipway-{name}@{told[name]['digest']}"


@asynccontextmanager
async def beside(
    home: Path, amqp_url: str, cluster: Cluster, values: Mapping[str, Any], **settings: str
) -> AsyncIterator[Platform]:
    keys = pair(home, "signing")  # what the builder makes, the scheduler trusts
    async with cluster.namespace() as namespace:
        told = {
            "TARGET": "kubernetes",
            "TARGETS": "kubernetes",
            "KUBERNETES_NAMESPACE": namespace,
            "DOORMAN_IMAGE": image(values, "doorman"),
            "DOORMAN_KEY": secrets.token_hex(32),
            "REGISTRY": f"{cluster.registry}/slipway",
            "BASE_REGISTRY": cluster.registry,
            "BASE_IMAGES": json.dumps(NAMED),
            "SIGNING_KEY": str(keys.private),
            "TRUSTED_KEYS": str(keys.public),
            **outside(cluster),
            **cluster.environment,
        }
        async with distributed(home, amqp_url, **told, **settings) as platform:
            yield platform


def outside(cluster: Cluster) -> dict[str, str]:
    """What stands beside our own cluster's pods, for whom its policies have to make room: routers
    that are processes of this machine, and the name server of its node."""
    if not cluster.host:
        return {}
    return {"ROUTER_NETWORKS": f"{cluster.host}/32", "DNS_NETWORKS": f"{NODE}/32"}

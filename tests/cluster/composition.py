"""The platform's own images, composed and pushed to where the cluster pulls from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.platform import ROOT
from tests.beds.kubernetes.bed import Cluster

BASE = os.environ.get("BASE", "python:3.13")
PLACE = "platform"  # of the platform's own images in the registry


def images(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Composes and pushes them; the chart's values for them. Blocks."""
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

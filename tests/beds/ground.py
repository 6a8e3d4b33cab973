"""What a platform on the container target stands on: a registry with base images, and an engine.

Missing packages are installed and base images made when they are first needed; after that it is up
in a second or two, and nothing of it is left at the end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.beds.bases import bases
from tests.beds.debian import program
from tests.beds.podman import Podman, podman
from tests.beds.registry import registry

PYTHONS: Final = ("python:3.9", "python:3.11", "python:3.13")
NAMED: Final = {
    "DEEPLEARNING_PY310": "python:3.11",
    "DEEPLEARNING_PY313": "python:3.13",
    "python:3.6": "python:3.9",
    "tensorflow/tensorflow:1.3.0-py3": "python:3.11",
}
"""What the examples of both systems' documentation name, and what they get here."""


@dataclass(frozen=True)
class Ground:
    registry: str  # host:port
    engine: Podman

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables for every service."""
        return {
            "TARGET": "container",
            "TARGETS": "container",
            "REGISTRY": f"{self.registry}/slipway",
            "BASE_REGISTRY": self.registry,
            "BASE_IMAGES": json.dumps(NAMED),
            "CONTAINER_SOCKET": str(self.engine.socket),
            "CONTAINER_GPUS": "counted",  # declared ones are numbers alone
        }


@asynccontextmanager
async def ground(folder: Path, *names: str) -> AsyncIterator[Ground]:
    """With the base images of these names, or with each Python. Needs root."""
    program("buildah", "buildah")  # the builder's engine
    async with registry(folder / "registry") as address:
        await bases(address, *(names or PYTHONS))
        async with podman(folder / "podman", registries=[address]) as engine:
            yield Ground(address, engine)

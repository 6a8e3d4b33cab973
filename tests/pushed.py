"""Images in a real registry, small ones made by hand, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from services.builder import image as images
from services.builder import layers, recipe
from services.builder.artifacts import Artifact, Made, artifacts_of, bill
from services.builder.depot import Depot
from services.builder.image import Layer
from shared.blobs import Blob, Blobs
from shared.endpoint import Command, Definition, Endpoint
from shared.image import ContainerConfig
from shared.registry import Reference, Registries
from shared.signing import Signer

HOST = recipe.Host(python="3.11.9", platform="linux-x86_64", architecture="amd64")
ENDPOINT = Endpoint(
    name="greet",
    format="valohai",
    entry=Command(lines=("python serve.py",)),
    port=8000,
    readiness="listening",
)


class Yard:
    """One repository of a registry, and the blobs that its images are made of."""

    def __init__(self, registries: Registries, blobs: Blobs, address: str, project: str) -> None:
        self.registries = registries
        self.blobs = blobs
        self.depot = Depot(registries, blobs, f"{address}/slipway")
        self.into: Reference = self.depot.repository(project)

    async def image(self, content: str, **config: Any) -> Blob:
        """An image with one file; another content, another image."""
        return await self.of(layers.small({"/hello": content.encode()}), **config)

    async def of(self, layer: Iterable[bytes], **config: Any) -> Blob:
        blob = await self.blobs.put_bytes(b"".join(layer))
        container = ContainerConfig(**{"entrypoint": ("/hello",), **config})
        return await images.keep(self.blobs, container, HOST, [Layer(role="code", blob=blob)])

    async def push(
        self, image: Blob, said: Sequence[Artifact] = (), *, base: Reference | None = None
    ) -> str:
        """Its digest."""
        await self.depot.push(self.into, image, base)
        await self.depot.attach(self.into, image, said)
        return image.digest

    def said(self, image: str, signer: Signer | None, **changes: Any) -> Sequence[Artifact]:
        """What the builder says about an image of this repository."""
        made = Made(
            repository=self.into.name,
            image=image,
            definition=Definition(source="sha256:" + "0" * 64, endpoints=(ENDPOINT,)),
            endpoint=ENDPOINT.name,
        )
        return artifacts_of(msgspec.structs.replace(made, **changes), bill({}), signer)


def yard(registries: Registries, folder: Path, address: str, project: str = "acme/web") -> Yard:
    return Yard(registries, Blobs.open(f"file:{folder / 'blobs'}"), address, project)

"""Images as other tools see them: an OCI layout that is whole and means what it says."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from services.builder import image as images
from services.builder import layers, recipe
from services.builder.image import Layer
from shared import image
from shared.blobs import Blob, Blobs
from shared.errors import Permanent
from tests.builder import made

HOST = recipe.Host(python="3.11.7", platform="linux-x86_64", architecture="amd64")


async def an_image(blobs: Blobs) -> Blob:
    parts = [
        Layer(role=role, blob=await blobs.put_bytes(b"".join(layers.small({path: b"x"}))))
        for role, path in (("runtime", "/slipway/runtime/a.py"), ("code", "/valohai/code/b.py"))
    ]
    container = recipe.container(made.endpoint(), HOST)
    return await images.keep(
        blobs, container, HOST, parts, annotations={image.BASE_NAME: "python:3.9"}
    )


def blob_of(folder: Path, descriptor: dict[str, Any]) -> bytes:
    """The blob that a descriptor names, when it is what it says."""
    algorithm, _, hexed = descriptor["digest"].partition(":")
    body = Path(folder, "blobs", algorithm, hexed).read_bytes()
    assert hashlib.sha256(body).hexdigest() == hexed
    assert len(body) == descriptor["size"]
    return body


async def test_an_exported_image_is_a_valid_layout(blobs: Blobs, tmp_path: Path) -> None:
    kept = await an_image(blobs)
    await images.export(blobs, kept.digest, tmp_path / "out", name="greet")
    folder = tmp_path / "out"
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((folder / "index.json").read_text())
    assert index["schemaVersion"] == 2
    [entry] = index["manifests"]
    assert entry["digest"] == kept.digest
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "greet"
    manifest = json.loads(blob_of(folder, entry))
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == entry["mediaType"]
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    config = json.loads(blob_of(folder, manifest["config"]))
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["Entrypoint"] == ["/bin/sh", "-c", "exec python serve.py"]
    assert config["rootfs"]["type"] == "layers"
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    for layer in manifest["layers"]:
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
        with tarfile.open(fileobj=io.BytesIO(blob_of(folder, layer)), mode="r:") as tar:
            assert not [name for name in tar.getnames() if name.startswith("/") or ".." in name]


async def test_the_base_image_is_remembered_as_it_was_written(blobs: Blobs) -> None:
    manifest = await images.read(blobs, (await an_image(blobs)).digest)
    assert manifest.annotations == {"org.opencontainers.image.base.name": "python:3.9"}
    assert [layer.annotations["dev.slipway.layer"] for layer in manifest.layers] == [
        "runtime",
        "code",
    ]


async def test_an_image_is_whole_only_with_all_its_parts(blobs: Blobs, tmp_path: Path) -> None:
    kept = await an_image(blobs)
    assert await images.is_whole(blobs, kept.digest)
    manifest = await images.read(blobs, kept.digest)
    hexed = manifest.layers[1].digest.removeprefix("sha256:")
    path = tmp_path / "blobs" / "sha256" / hexed[:2] / hexed
    body = path.read_bytes()
    path.write_bytes(body[:-1])
    assert not await images.is_whole(blobs, kept.digest)
    path.unlink()
    assert not await images.is_whole(blobs, kept.digest)


async def test_what_is_no_manifest_is_no_image(blobs: Blobs) -> None:
    blob = await blobs.put_bytes(b"hello")
    with pytest.raises(Permanent):
        await images.read(blobs, blob.digest)
    assert not await images.is_whole(blobs, "sha256:" + "0" * 64)

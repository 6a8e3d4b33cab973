"""Images as others judge them: the specification's schemas, skopeo, podman and containerd.

They are small and made by hand here; test_examples_on_a_base.py has those of the whole builder.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.builder import image as images
from services.builder import layers, recipe
from services.builder.artifacts import Artifact, manifest_of
from services.builder.artifacts.labels import config_labels, manifest_annotations
from services.builder.image import Layer, Under
from shared.blobs import Blob
from shared.image import MANIFEST_TYPE, USER, BaseRecord, ContainerConfig, Descriptor
from shared.registry import Reference, Registries, parse
from tests.beds import schemas
from tests.beds.bases import bases
from tests.beds.containerd import containerd
from tests.beds.debian import program
from tests.beds.podman import podman
from tests.beds.registry import registry
from tests.keys import Pair, openssl, pair
from tests.pushed import ENDPOINT, HOST, Yard, yard

SAYS = 'printf "%s in %s with %s: " "$(id -u)" "$PWD" "$WHO"; cat hello.txt'
SAID = "1000 in /valohai/code with you: hello from inside\n"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Yard]:
    async with registry(tmp_path / "registry") as address, Registries.open() as registries:
        yield yard(registries, tmp_path, address)


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return pair(tmp_path, "ours")


@pytest.fixture
def near() -> Iterator[Path]:
    """A folder with a short path, as podman wants it."""
    with tempfile.TemporaryDirectory(prefix="near-") as folder:
        yield Path(folder)


async def on_base(place: Yard) -> tuple[Blob, Reference]:
    """An image on a base that has a shell: what it writes, where it stands and who it is."""
    await bases(place.into.registry, "debian:bookworm")
    base = await place.registries.resolve(parse("debian:bookworm", place.into.registry))
    config = json.loads(await place.registries.read(base.reference, base.manifest.config))
    record = BaseRecord(name="debian:bookworm", reference=str(base.reference))
    host = recipe.Host(python="", platform="", architecture=config["architecture"])
    owned = layers.small({"/valohai/code/hello.txt": b"hello from inside\n"}, owner=USER)
    container = ContainerConfig(
        entrypoint=("/bin/sh", "-c", SAYS),
        env=("PATH=/usr/bin:/bin", "WHO=you"),
        working_dir="/valohai/code",
        labels=config_labels(ENDPOINT, record),
        user=f"{USER}:{USER}",
    )
    made = await images.keep(
        place.blobs,
        container,
        host,
        [Layer(role="code", blob=await place.blobs.put_bytes(b"".join(owned)))],
        under=Under(layers=base.manifest.layers, diff_ids=tuple(config["rootfs"]["diff_ids"])),
        annotations=manifest_annotations(ENDPOINT, record),
    )
    return made, base.reference


async def run(*command: str | Path) -> bytes:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


async def test_an_image_is_as_the_specification_wants_it(place: Yard) -> None:
    image = await place.image("a", labels=config_labels(ENDPOINT), user="1000:1000")
    manifest = schemas.check(schemas.MANIFEST, await place.blobs.read(image.digest))
    schemas.check(schemas.CONFIG, await place.blobs.read(manifest["config"]["digest"]))
    assert manifest["mediaType"] == MANIFEST_TYPE


async def test_a_layout_is_as_the_specification_wants_it(place: Yard, tmp_path: Path) -> None:
    image = await place.image("a")
    await images.export(place.blobs, image.digest, tmp_path / "out")
    schemas.check(schemas.INDEX, (tmp_path / "out" / "index.json").read_bytes())
    schemas.check(schemas.LAYOUT, (tmp_path / "out" / "oci-layout").read_bytes())


@pytest.mark.parametrize("signed", [True, False])
async def test_artifacts_are_as_the_specification_wants_them(
    place: Yard, ours: Pair, signed: bool
) -> None:
    image = await place.image("a")
    subject = Descriptor(media_type=MANIFEST_TYPE, digest=image.digest, size=image.size)
    for artifact in place.said(image.digest, ours.signer if signed else None):
        manifest = schemas.check(schemas.MANIFEST, manifest_of(artifact, subject)[1])
        schemas.check(schemas.DESCRIPTOR, manifest["subject"])
        assert manifest["artifactType"] == artifact.artifact_type


async def test_the_list_of_what_is_said_is_as_the_specification_wants_it(
    place: Yard, ours: Pair
) -> None:
    image = await place.image("a")
    said = place.said(image.digest, ours.signer)
    await place.push(image, said)
    where = f"docker://{place.into.name}:{image.digest.replace(':', '-')}"
    body = await run(program("skopeo", "skopeo"), "inspect", "--tls-verify=false", "--raw", where)
    index = schemas.check(schemas.INDEX, body)
    assert {each["artifactType"] for each in index["manifests"]} == {
        each.artifact_type for each in said
    }


async def test_skopeo_reads_an_image(place: Yard) -> None:
    labels = config_labels(ENDPOINT)
    image = await place.image("a", labels=labels, env=("A=b",))
    await place.push(image)
    where = f"docker://{place.into.at(image.digest)}"
    inspect = (program("skopeo", "skopeo"), "inspect", "--tls-verify=false")
    found = json.loads(await run(*inspect, "--no-tags", where))
    assert found["Digest"] == image.digest
    assert (found["Os"], found["Architecture"]) == ("linux", HOST.architecture)
    assert (found["Labels"], found["Env"]) == (labels, ["A=b"])
    config = json.loads(await run(*inspect, "--config", where))
    assert config["config"]["Entrypoint"] == ["/hello"]


async def test_podman_runs_an_image(place: Yard, near: Path) -> None:
    image, base = await on_base(place)
    await place.push(image, base=base)
    async with podman(near, registries=[place.into.registry]) as engine:
        where = str(place.into.at(image.digest))
        await asyncio.to_thread(engine.run, "pull", "--quiet", where)
        said = await asyncio.to_thread(engine.run, "run", "--rm", "--network", "none", where)
    assert said == SAID.strip()


async def test_containerd_runs_an_image(place: Yard, tmp_path: Path) -> None:
    image, base = await on_base(place)
    await place.push(image, base=base)
    async with containerd(tmp_path / "containerd") as engine:
        where = str(place.into.at(image.digest))
        await engine.pull(where)
        assert await engine.run(where) == SAID


async def test_openssl_is_enough_to_verify_an_image(
    place: Yard, ours: Pair, tmp_path: Path
) -> None:
    image = await place.image("a")
    await place.push(image, place.said(image.digest, ours.signer))
    where = f"docker://{place.into.name}:{image.digest.replace(':', '-')}.sig"
    copy = (program("skopeo", "skopeo"), "copy", "--quiet", "--src-tls-verify=false", where)
    await run(*copy, f"dir:{tmp_path / 'out'}")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    [part] = manifest["layers"]
    assert part["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = tmp_path / "out" / part["digest"].removeprefix("sha256:")
    signature = part["annotations"]["dev.cosignproject.cosign/signature"]
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    verify = ("dgst", "-sha256", "-verify", ours.public, "-signature", tmp_path / "signature")
    assert openssl(*verify, payload) == b"Verified OK\n"
    critical = json.loads(payload.read_text())["critical"]
    assert critical == {
        "identity": {"docker-reference": place.into.name},
        "image": {"docker-manifest-digest": image.digest},
        "type": "cosign container image signature",
    }


async def test_the_list_survives_what_else_is_said(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    await place.push(image, place.said(image.digest, None))
    await place.push(image, place.said(image.digest, ours.signer))
    await place.push(image, place.said(image.digest, ours.signer))
    other = Artifact(artifact_type="application/x.note", media_type="text/plain", body=b"hello")
    await place.push(image, [other])
    listed = await place.registries.referrers(place.into, image.digest)
    assert sorted(each.artifact_type for each in listed) == [
        "application/vnd.cyclonedx+json",
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        "application/vnd.in-toto+json",
        "application/vnd.in-toto.provenance+dsse",
        "application/x.note",
    ]

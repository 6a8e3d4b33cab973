"""Base images with a Python of their own, for tests, the demo and benchmarks.

They are Debian's suites, made here once (about half a minute each) and kept in the user's cache,
and pushed to a registry of ours under the names that people write. `python -m tests.beds.bases`
makes all of them; with a registry's address it pushes them too, or those that are named after it.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import gzip
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from shared import image
from shared.registry import NotFound, Reference, Registries, parse
from tests.beds import rootfs
from tests.beds.debian import NotHad
from tests.beds.rootfs import Origin, System

TLS: Final = ("ca-certificates",)
PYTHON: Final = (*TLS, "python3")
MERGED: Final = ("usr-is-merged",)  # else a whole Perl is installed that merges /usr

BASES: Final = {
    "debian:bookworm": System("bookworm", (*TLS, *MERGED), ("merged-usr",)),
    "python:3.9": System("bullseye", PYTHON),
    "python:3.11": System("bookworm", (*PYTHON, *MERGED), ("merged-usr",)),
    "python:3.13": System("trixie", PYTHON),
}
"""The first has no Python at all. The others have `python3`, and nothing that is called `python`."""

SERVERS: Final = {
    "postgres:17": System("trixie", (*TLS, "postgresql-17")),
    "rabbitmq:4": System("trixie", (*TLS, "rabbitmq-server")),
    "python-git:3.13": System("trixie", (*PYTHON, "git")),
}
"""What a platform on a cluster has beside its own images, and what is under that of its builder.
They are not bases for endpoints, and are made when they are asked for."""

SYSTEMS: Final = BASES | SERVERS

ENVIRONMENT: Final = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
)
GZIP_TYPE: Final = image.LAYER_TYPE + "+gzip"
FORMAT: Final = 2  # of what is kept; counted up when it is made in another way
AT_ONCE: Final = 2  # systems that are made at a time
WITHIN: Final = 2 * rootfs.WITHIN  # seconds, with another who makes the same one first
CHUNK: Final = 1 << 20


async def bases(registry: str, *names: str) -> dict[str, str]:
    """Have base images in the registry at this address, all when none is named: their digests.

    What is there already is left as it is. Raises NoSystem or NotHad where one can't be made.
    """
    folders = await made(*(names or BASES))
    async with Registries.open() as registries:
        pushing = (_push(registries, parse(name, registry), folders[name]) for name in folders)
        return dict(zip(folders, await asyncio.gather(*pushing), strict=True))


async def made(*names: str) -> dict[str, Path]:
    """As `kept`, a few at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Path:
        async with turns:
            return await kept(name)

    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


async def kept(name: str) -> Path:
    """The folder with the image as an OCI layout; made when it is not in the cache."""
    system, found = SYSTEMS[name], await asyncio.to_thread(rootfs.origin)
    folder = cache() / _key(system, found)
    if not folder.exists():
        async with asyncio.timeout(WITHIN), _alone(folder.with_suffix(".lock")):
            if not folder.exists():
                print(f"setup: making {name} from {system.suite}", file=sys.stderr, flush=True)
                await _make(system, found, folder)
    return folder


def cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "slipway" / "bases"


def _key(system: System, origin: Origin) -> str:
    told = msgspec.json.encode((FORMAT, system, origin, rootfs.LEFT_OUT, architecture()))
    return f"{system.suite}-{hashlib.sha256(told).hexdigest()[:16]}"


def architecture() -> str:
    """This machine's, in OCI's and Debian's words."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


@asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield


async def _make(system: System, origin: Origin, folder: Path) -> None:
    """Whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="making-", dir=folder.parent) as name:
        work = Path(name)
        await rootfs.make(system, origin, work / "root.tar")
        await asyncio.to_thread(_layout, work / "root.tar", work / "layout")
        (work / "layout").rename(folder)


def _layout(tar: Path, folder: Path) -> None:
    """The system as an image of one layer."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    diff_id, layer = _pack(tar, blobs)
    config = image.Config(
        architecture=architecture(),
        os="linux",
        config=image.ContainerConfig(entrypoint=(), env=ENVIRONMENT),
        rootfs=image.RootFs(diff_ids=(diff_id,)),
        history=(image.History(created=image.EPOCH, created_by="mmdebstrap"),),
    )
    manifest = image.Manifest(
        schema_version=2,
        media_type=image.MANIFEST_TYPE,
        config=_keep(blobs, msgspec.json.encode(config), image.CONFIG_TYPE),
        layers=(layer,),
    )
    whole = _keep(blobs, msgspec.json.encode(manifest), image.MANIFEST_TYPE)
    index = image.Index(schema_version=2, media_type=image.INDEX_TYPE, manifests=(whole,))
    (folder / "index.json").write_bytes(msgspec.json.encode(index))
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')


def _pack(tar: Path, blobs: Path) -> tuple[str, image.Descriptor]:
    content, packed = hashlib.sha256(), blobs / "layer"
    with packed.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as out:
        for chunk in _chunks(tar):
            content.update(chunk)
            out.write(chunk)
    with packed.open("rb") as done:
        digest = hashlib.file_digest(done, "sha256").hexdigest()
    size = packed.stat().st_size
    packed.rename(blobs / digest)
    layer = image.Descriptor(media_type=GZIP_TYPE, digest=f"sha256:{digest}", size=size)
    return f"sha256:{content.hexdigest()}", layer


def _keep(blobs: Path, body: bytes, media_type: str) -> image.Descriptor:
    digest = hashlib.sha256(body).hexdigest()
    (blobs / digest).write_bytes(body)
    return image.Descriptor(media_type=media_type, digest=f"sha256:{digest}", size=len(body))


async def _stream(path: Path) -> AsyncIterator[bytes]:
    for chunk in _chunks(path):
        yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


async def _push(registries: Registries, reference: Reference, folder: Path) -> str:
    index = msgspec.json.decode((folder / "index.json").read_bytes(), type=image.Index)
    [whole] = index.manifests
    try:
        if (await registries.resolve(reference)).reference.digest == whole.digest:
            return whole.digest
    except NotFound:
        pass
    body = _blob(folder, whole.digest).read_bytes()
    manifest = msgspec.json.decode(body, type=image.Manifest)
    for part in (manifest.config, *manifest.layers):
        opened = functools.partial(_stream, _blob(folder, part.digest))
        await registries.push_blob(reference, part, opened)
    return await registries.push_manifest(reference, body, whole.media_type, reference.tag)


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def main() -> None:
    try:
        if len(sys.argv) > 1:
            asyncio.run(bases(*sys.argv[1:]))
        else:
            asyncio.run(made(*BASES))
    except (NotHad, rootfs.NoSystem) as error:
        sys.exit(f"setup: {error}")


if __name__ == "__main__":
    main()

"""Small images for tests, made by hand: no builder is involved."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping

import msgspec

from services.scheduler.driver import Replica, Workload
from shared.blobs import Blobs
from shared.endpoint import Command, Endpoint, Readiness, Resources, Run
from shared.ids import JobId
from shared.image import (
    CODE,
    CONFIG_TYPE,
    HOME,
    LAYER_ROLE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    PYTHON,
    Config,
    ContainerConfig,
    Descriptor,
    Manifest,
    RootFs,
)

CODE_FOLDER = CODE["valohai"]


def layer(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> bytes:
    """A tar of `files` (absolute path -> content) and symbolic `links`."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(text.encode()), 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
        for path, target in (links or {}).items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return content.getvalue()


class Base(msgspec.Struct, frozen=True):
    """What an image stands on, where the target has no Python of its own."""

    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[str, ...] = ()
    links: Mapping[str, str] = {}


async def image(
    blobs: Blobs,
    *command: str,
    code: Mapping[str, str] | None = None,
    python: Mapping[str, str] | None = None,
    env: tuple[str, ...] = (),
    folder: str = CODE_FOLDER,
    working_dir: str = "",
    base: Base | None = None,
    user: str = "",
) -> str:
    """Keep an image and return its digest. `code` is relative to `folder`, where it runs."""
    base = base or Base()
    layers = {
        "python": layer(python or {f"{PYTHON}/README": "packages\n"}),
        "home": layer({}, {f"{HOME}/.local": PYTHON, **base.links}),
        "code": layer({f"{folder}/{name}": text for name, text in (code or {"empty": ""}).items()}),
    }
    descriptors = [
        Descriptor(
            media_type=LAYER_TYPE,
            digest=(await blobs.put_bytes(content)).digest,
            size=len(content),
            annotations={LAYER_ROLE: role},
        )
        for role, content in layers.items()
    ]
    config = msgspec.json.encode(
        Config(
            architecture="amd64",
            os="linux",
            config=ContainerConfig(
                entrypoint=command, env=env, working_dir=working_dir or folder, user=user
            ),
            rootfs=RootFs(
                diff_ids=base.diff_ids
                + tuple("sha256:" + hashlib.sha256(c).hexdigest() for c in layers.values())
            ),
        )
    )
    manifest = Manifest(
        schema_version=2,
        media_type=MANIFEST_TYPE,
        config=Descriptor(
            media_type=CONFIG_TYPE,
            digest=(await blobs.put_bytes(config)).digest,
            size=len(config),
        ),
        layers=(*base.layers, *descriptors),
    )
    return (await blobs.put_bytes(msgspec.json.encode(manifest))).digest


def workload(
    image: str,
    *,
    job: str = "j0000000000001",
    attempt: int = 1,
    port: int = 8000,
    readiness: Readiness = "listening",
    environment: Mapping[str, str] | None = None,
    devices: tuple[str, ...] = (),
    files: Mapping[str, bytes] | None = None,
    repository: str = "",
    resources: Resources | None = None,
    copies: int = 1,
    run: Run | None = None,
) -> Workload:
    return Workload(
        replica=Replica(JobId(job), attempt),
        image=image,
        endpoint=Endpoint(
            name="test",
            format="valohai",
            entry=Command(lines=("true",)),
            port=port,
            readiness=readiness,
            resources=resources or Resources(),
        ),
        environment=dict(environment or {}),
        devices=devices,
        files=dict(files or {}),
        repository=repository,
        project="tests/project",
        copies=copies,
        run=run,
    )

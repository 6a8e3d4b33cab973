"""Images as builder and drivers agree on them: OCI manifests, and where things are inside.

An image is an OCI image manifest (https://github.com/opencontainers/image-spec/blob/v1.1.0) whose
layers are uncompressed tars, all of it in the blob store under content hashes; the manifest's
digest is the image's name. Inside:

    /valohai/code      Valohai: source and files, writable, the working directory
    /opt/ml/models     proxiML: the same
    /model/files       Hydrosphere: the payload, writable
    /model/contract.protobin   its contract, a serialized hydrosphere.contract.ModelContract
    /slipway/python    third-party packages as a Python user base (lib/pythonX.Y/site-packages,
                       bin): PYTHONUSERBASE points here, and ~/.local is a link to it
    /slipway/runtime   our own files that start the server (from runtimes/)
    /slipway/endpoint.json   the Endpoint that this image serves
    /slipway/home      HOME, empty but for .local

On the process target the base image is not pulled: the machine's own `/` shows through, and the
machine's Python runs the code.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.endpoint import Format
from shared.target import kind

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"

CODE: Final[dict[Format, str]] = {
    "valohai": "/valohai/code",
    "proximl": "/opt/ml/models",
    "hydrosphere": "/model/files",
}
MODEL: Final = "/model"  # Hydrosphere's servers find all of a model below this
CONTRACT: Final = f"{MODEL}/contract.protobin"
PYTHON: Final = "/slipway/python"
RUNTIME: Final = "/slipway/runtime"
ENDPOINT: Final = "/slipway/endpoint.json"
HOME: Final = "/slipway/home"

LAYER_ROLE: Final = "dev.slipway.layer"
"""Annotation on a layer's descriptor, which a base's layers do not have. On a target without bases
`python` and `runtime` are shared and read-only at run time; `home`, `code` and `files` are copied
fresh for every start. With a base there may be `install`: what ran inside the image."""

BASE_NAME: Final = "org.opencontainers.image.base.name"  # as its owner wrote it


EPOCH: Final = "1970-01-01T00:00:00Z"

USER: Final = 1000
"""Who the server runs as in a container, by number alone: no base has to know it. The code, home
and files layers are its own, all else is root's."""


def has_base(target: str) -> bool:
    """Whether images for a target stand on their owner's base image, not on the machine's `/`."""
    return kind(target) not in ("process", "fake")


class Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Platform(Struct, frozen=True, kw_only=True):
    architecture: str
    os: str
    variant: str = ""


class Descriptor(Struct, frozen=True, kw_only=True):
    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    platform: Platform | None = None  # in an index


class Manifest(Struct, frozen=True, kw_only=True):
    """An image, or with `artifact_type` and `subject` something that is said about one."""

    schema_version: int
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Descriptor | None = None


class Index(Struct, frozen=True, kw_only=True):
    schema_version: int
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`entrypoint` is a full argument list; it starts with `/bin/sh` or `python`."""

    entrypoint: tuple[str, ...]
    env: tuple[str, ...] = ()  # NAME=value
    working_dir: str = "/"
    labels: dict[str, str] = {}
    user: str = ""


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    diff_ids: tuple[str, ...]
    type: str = "layers"


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a layer came from. Engines that build on an image want one for each of its layers."""

    created: str = ""
    created_by: str = ""
    empty_layer: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True):
    architecture: str
    os: str
    config: ContainerConfig
    rootfs: RootFs
    created: str = EPOCH
    history: tuple[History, ...] = ()


class BaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # as its owner wrote it
    reference: str  # where it was found, by digest


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image was made of, kept with its version. Digests are of blobs."""

    python: str = ""  # version of the interpreter that runs the code
    base: BaseRecord | None = None
    lock: str = ""  # the packages' versions and hashes, as a requirements file
    artifacts: dict[str, str] = {}  # what is said about the image: artifact type -> its content

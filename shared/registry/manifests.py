"""Manifests as they come from a registry: what they may be, and which one of an index is meant.

A manifest is what its media type says, in the answer's header and in itself alike, and nothing that
could be read as something else: a body that is both an index and a manifest is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from shared import image
from shared.registry.errors import Damaged, NotFound
from shared.registry.limits import Limits
from shared.registry.reference import DIGEST, Reference

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1"  # and with +prettyjws

MANIFESTS: Final = frozenset({image.MANIFEST_TYPE, DOCKER_MANIFEST})
INDEXES: Final = frozenset({image.INDEX_TYPE, DOCKER_LIST})
CONFIGS: Final = frozenset({image.CONFIG_TYPE, DOCKER_CONFIG})
ACCEPT: Final = ", ".join(sorted(MANIFESTS | INDEXES))

LARGEST: Final = 1 << 43  # bytes of a blob

T = TypeVar("T")


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """An image for one platform. `body` is what `reference.digest` is the digest of."""

    reference: Reference
    manifest: image.Manifest
    body: bytes
    index_digest: str = ""  # of the index that it was chosen from


class _Shape(msgspec.Struct, rename="camel"):
    """What tells one kind from another."""

    schema_version: int
    media_type: str = ""
    config: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    layers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    manifests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    fs_layers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Manifest(image.Struct, frozen=True, kw_only=True):
    config: image.Descriptor
    layers: tuple[image.Descriptor, ...]
    annotations: dict[str, str] | None = None
    artifact_type: str | None = None
    subject: image.Descriptor | None = None


class _Index(image.Struct, frozen=True, kw_only=True):
    manifests: tuple[image.Descriptor, ...]
    annotations: dict[str, str] | None = None


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def decode(what: str, kind: type[T], body: bytes) -> T:
    """Raises Damaged for what is no such JSON, however deep."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"{what}: the registry's answer can't be read: {_reason(error)}") from error


def manifest(what: str, media_type: str, body: bytes, limits: Limits) -> image.Manifest:
    """Raises Damaged for what is not a manifest, or more than `limits` allow."""
    _check(what, media_type, body, MANIFESTS, ("config", "layers"), ("manifests", "fs_layers"))
    found = decode(what, _Manifest, body)
    if len(found.layers) > limits.layers:
        raise Damaged(f"{what} has more than {limits.layers} layers")
    _check_descriptors(what, (found.config, *found.layers))
    return image.Manifest(
        schema_version=2,
        media_type=media_type,
        config=found.config,
        layers=found.layers,
        annotations=found.annotations or {},
        artifact_type=found.artifact_type or "",
        subject=found.subject,
    )


def index(what: str, media_type: str, body: bytes, limits: Limits) -> image.Index:
    """Raises Damaged for what is not an index, or more than `limits` allow."""
    _check(what, media_type, body, INDEXES, ("manifests",), ("config", "layers", "fs_layers"))
    found = decode(what, _Index, body)
    if len(found.manifests) > limits.entries:
        raise Damaged(f"{what} has more than {limits.entries} manifests")
    _check_descriptors(what, found.manifests)
    return image.Index(
        schema_version=2,
        media_type=media_type,
        manifests=found.manifests,
        annotations=found.annotations or {},
    )


def choose(what: str, found: image.Index, platform: image.Platform) -> image.Descriptor:
    """The manifest for `platform`. Raises NotFound when there is none."""
    fitting = [entry for entry in found.manifests if _fits(entry.platform, platform)]
    if not fitting:
        raise NotFound(
            f"{what} has no image for {_name(platform)}; it has {_names(found.manifests)}"
        )
    plain = [entry for entry in fitting if entry.platform and not entry.platform.variant]
    chosen = (plain or fitting)[0]
    if chosen.media_type in INDEXES:
        raise Damaged(f"{what} is an index of indexes, which is not supported")
    if chosen.media_type not in MANIFESTS:
        raise Damaged(f"{what} has something for {_name(platform)} that is not an image")
    return chosen


def _fits(found: image.Platform | None, wanted: image.Platform) -> bool:
    return (
        found is not None
        and (found.os, found.architecture) == (wanted.os, wanted.architecture)
        and (not wanted.variant or found.variant == wanted.variant)
    )


def _names(entries: Iterable[image.Descriptor]) -> str:
    names = sorted({_name(entry.platform) for entry in entries if entry.platform})
    known = [name for name in names if name.isprintable() and len(name) < 40]
    return ", ".join(known[:10]) or "none that says its platform"


def _name(platform: image.Platform) -> str:
    return "/".join(filter(None, (platform.os, platform.architecture, platform.variant)))


def _check(
    what: str,
    media_type: str,
    body: bytes,
    allowed: frozenset[str],
    has: tuple[str, ...],
    has_not: tuple[str, ...],
) -> None:
    if media_type.startswith(SCHEMA_1):
        raise Damaged(f"{what} is in Docker's schema 1, which is not supported; push it again")
    if media_type not in allowed:
        raise Damaged(f"{what} is not of a kind that is supported here: {_printable(media_type)}")
    shape = decode(what, _Shape, body)
    if shape.schema_version != 2:
        raise Damaged(f"{what} is not of schema version 2")
    if shape.media_type not in ("", media_type):
        raise Damaged(f"{what} says of itself to be something else than its media type")
    if not all(_is_there(shape, name) for name in has):
        raise Damaged(f"{what} is not what its media type says")
    if any(_is_there(shape, name) for name in has_not):
        raise Damaged(f"{what} could be read as two kinds of things")


def _is_there(shape: _Shape, name: str) -> bool:
    value = getattr(shape, name)
    return value is not msgspec.UNSET and bytes(value) != b"null"


def _check_descriptors(what: str, descriptors: Iterable[image.Descriptor]) -> None:
    for descriptor in descriptors:
        if not DIGEST.fullmatch(descriptor.digest):
            raise Damaged(f"{what} names a part by something that is not a sha256 digest")
        if not 0 <= descriptor.size <= LARGEST:
            raise Damaged(f"{what} has a part of an impossible size")


def _printable(text: str) -> str:
    return text[:80] if text.isprintable() and text else "unknown"


def _reason(error: Exception) -> str:
    match error:
        case RecursionError():
            return "it is nested too deep"
        case msgspec.ValidationError():
            return "it lacks something, or has something of another type"
    return "it is not JSON"

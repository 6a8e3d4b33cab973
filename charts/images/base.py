"""A base image as something to stand on: where it is, and the Python that it has."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing

import msgspec

from services.builder.base import bases, target
from services.builder.base.feed import Feed, read_by
from services.builder.base.look import look
from services.builder.base.rootfs import RootFs
from services.builder.base.scan import Spent, scan
from services.builder.recipe import Host
from shared import image
from shared.registry import Reference, Registries


class Base(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # as it was asked for
    reference: Reference  # by digest
    manifest: image.Manifest
    config: image.Config
    host: Host


async def find(
    registries: Registries, name: str, reference: Reference, platform: image.Platform
) -> Base:
    """Raises Invalid for an image that nothing can be installed for."""
    resolved = await registries.resolve(reference, platform)
    bases.check(resolved)
    body = await registries.read(resolved.reference, resolved.manifest.config)
    config = bases.read_config(body, len(resolved.manifest.layers), platform)
    files, spent = RootFs(), Spent()
    for layer in resolved.manifest.layers:
        async with aclosing(registries.stream(resolved.reference, layer)) as stream:
            await _laid(files, spent, stream)
    environment = dict(entry.partition("=")[::2] for entry in config.config.env)
    host = target.host_of(look(files, environment), platform.architecture)
    target.check(host)
    return Base(
        name=name,
        reference=resolved.reference,
        manifest=resolved.manifest,
        config=config,
        host=host,
    )


async def _laid(files: RootFs, spent: Spent, stream: AsyncIterable[bytes]) -> None:
    def work(feed: Feed) -> None:
        found = scan(feed, spent)
        while feed.read(1 << 20):
            pass
        files.apply(found)

    await read_by(work, stream)

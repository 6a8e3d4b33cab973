"""`python -m charts.images`: compose the platform's images and push them; see `make images`.

REGISTRY       host[:port]/prefix that they are pushed to
BASE           the image under them, with a Python of 3.11 or newer: python:3.13-slim
BUILDER_BASE   the one under the builder, which has git as well: python:3.13
BASE_REGISTRY  where bases are that name no registry: by default the host of REGISTRY
REGISTRY_AUTH  a docker-style config.json with logins
ARCHITECTURE   amd64 (the default) or arm64
REVISION       of the source, for a label
VALUES         a file that is written: values for the chart, which name the images by digest
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import yaml

from charts.images import base, recipe
from charts.images.compose import Made, Maker
from charts.images.recipe import PARTS
from shared import image
from shared.config import Misconfigured, read
from shared.errors import PlatformError
from shared.registry import Credentials, Registries, parse


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    registry: str
    base: str = "python:3.13-slim"
    builder_base: str = "python:3.13"
    base_registry: str = ""
    registry_auth: str = ""
    architecture: str = "amd64"
    revision: str = ""
    values: str = ""


async def make(settings: Settings) -> list[Made]:
    """All of them, one after another. Raises PlatformError for what a registry or uv said."""
    names = {"BASE": settings.base, "BUILDER_BASE": settings.builder_base}
    place = settings.base_registry or settings.registry.partition("/")[0]
    platform = image.Platform(architecture=settings.architecture, os="linux")
    with TemporaryDirectory(prefix="slipway-images-") as scratch:
        async with Registries.open(Credentials.read(settings.registry_auth)) as registries:
            references = {name: parse(text, place) for name, text in names.items()}
            bases = {
                reference: await base.find(registries, names[name], reference, platform)
                for name, reference in references.items()
            }
            maker = Maker(registries, Path(scratch), revision=settings.revision)
            return [
                await maker.make(
                    part,
                    bases[references[part.base]],
                    parse(part.repository, settings.registry),
                )
                for part in PARTS
            ]


def values(made: Iterable[Made], registry: str) -> str:
    """For `helm install -f`."""
    images = {one.part.name: {"digest": one.digest} for one in made}
    found = {"images": {"registry": registry, "tag": recipe.version(), **images}}
    return yaml.safe_dump(found, sort_keys=False)


def main() -> None:
    try:
        settings = read(Settings, os.environ)
        made = asyncio.run(make(settings))
    except (Misconfigured, PlatformError) as error:
        print(f"images: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Misconfigured) else 1)
    for one in made:
        ours, whole = one.ours / 1e6, (one.ours + one.base) / 1e6
        print(f"{one.reference}@{one.digest}\t{whole:.0f} MB, {ours:.0f} MB of them ours")
    if settings.values:
        Path(settings.values).write_text(values(made, settings.registry))


if __name__ == "__main__":
    main()

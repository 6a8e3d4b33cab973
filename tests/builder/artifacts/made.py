"""One image and what it was made of, as the builder knows it."""

from __future__ import annotations

from typing import Any

import msgspec

from services.builder.artifacts import Made
from shared.endpoint import (
    Command,
    Definition,
    Endpoint,
    File,
    Origin,
    Parameter,
    Route,
    Routes,
)
from shared.image import MANIFEST_TYPE, BaseRecord, Descriptor

CANARY = "canary-5f2c9a"
HERE = "registry.example/slipway/acme/web"
SOURCE, IMAGE, BASE, LOCK, MODEL = ("sha256:" + letter * 64 for letter in "abcde")

SUBJECT = Descriptor(media_type=MANIFEST_TYPE, digest=IMAGE, size=1234)
PYTHON = BaseRecord(name="python:3.11", reference=f"registry.example/library/python@{BASE}")
ORIGIN = Origin(url="https://git.example/acme/web", ref="main", commit="9" * 40)

ENDPOINT = Endpoint(
    name="greet",
    format="proximl",
    entry=Routes(
        routes=(
            Route(
                verb="POST",
                path="/greet",
                file="greet",
                function="greet",
                body=(Parameter(name="who", type="str"),),
            ),
        )
    ),
    port=8000,
    readiness="ping",
    description="Says hello",
    files=(File(name="model", path="model.npz"),),
    environment={"TOKEN": CANARY, "A": CANARY},
    pip_packages=(f"pkg @ https://me:{CANARY}@git.example/pkg.whl",),
    install=(f"curl https://{CANARY}@files.example/x",),
)


def definition(endpoint: Endpoint = ENDPOINT, **more: Any) -> Definition:
    return Definition(
        source=SOURCE,
        endpoints=(endpoint, command("other")),
        files={"greet": {"model": MODEL}},
        **more,
    )


def command(name: str) -> Endpoint:
    return Endpoint(
        name=name,
        format="valohai",
        entry=Command(lines=("python serve.py",)),
        port=8000,
        readiness="listening",
    )


def made(**changes: Any) -> Made:
    base = Made(
        repository=HERE,
        image=IMAGE,
        definition=definition(origin=ORIGIN),
        endpoint="greet",
        platform="linux-x86_64",
        python="3.11.9",
        base=PYTHON,
        lock=LOCK,
    )
    return msgspec.structs.replace(base, **changes)

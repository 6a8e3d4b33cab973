"""The claims example: two models, and a pipeline that sends a fifth to the newer of one's versions."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any

from tests.api.conftest import Said, World

RUNTIME = "hydrosphere/serving-runtime-python-3.7:2.3.2"
SCALAR = {"shape": "scalar", "type": "double", "profile": "numerical"}
FEATURES = {"shape": [-1, 3], "type": "float32"}
CODE = {"src/func_main.py": "def predict(**given): return given"}


def preprocessing(**more: Any) -> dict[str, Any]:
    return {
        "kind": "Model",
        "name": "claims-preprocessing",
        "runtime": RUNTIME,
        "payload": ["src/"],
        "contract": {
            "name": "predict",
            "inputs": {"amount": SCALAR, "kind": {"shape": "scalar", "type": "string"}},
            "outputs": {"features": FEATURES},
        },
    } | more


def model(**more: Any) -> dict[str, Any]:
    return {
        "kind": "Model",
        "name": "claims-model",
        "runtime": RUNTIME,
        "payload": ["src/"],
        "contract": {
            "name": "predict",
            "inputs": {"features": FEATURES},
            "outputs": {"risk": SCALAR},
        },
        "metadata": {"depth": 5},
    } | more


def newer() -> dict[str, Any]:
    return model(metadata={"depth": 7})


def application(first: int = 80, **more: Any) -> dict[str, Any]:
    second = [
        {"model": "claims-model:1", "weight": first},
        {"model": "claims-model:2", "weight": 100 - first},
    ]
    return {
        "kind": "Application",
        "name": "claims",
        "pipeline": [[{"model": "claims-preprocessing:1"}], second],
    } | more


def configuration(**more: Any) -> dict[str, Any]:
    return {"kind": "DeploymentConfiguration", "name": "small"} | more


ALL = (application(), preprocessing(), model(), newer())


def packed(files: Mapping[str, str]) -> bytes:
    """An archive that is the same at any time, as clients make them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


async def ask(world: World, *documents: Any, as_: str = "ann", **more: Any) -> Said:
    """Apply documents; a model's payload is uploaded."""
    place = more.pop("place", world.place)
    headers = more.pop("headers", {})
    payload = await world.upload(packed(CODE), as_=as_, place=place)
    sent = [
        {
            "document": document,
            "source": f"claims.yaml#{number}",
            "payload": payload
            if isinstance(document, dict) and document.get("kind") == "Model"
            else None,
        }
        for number, document in enumerate(documents, 1)
    ]
    body = {"documents": sent, **more}
    return await world.ask("POST", f"{place}/resources", body, as_=as_, headers=headers)


async def apply(world: World, *documents: Any, **more: Any) -> list[dict[str, Any]]:
    """The changes."""
    said = await ask(world, *documents, **more)
    assert said.status == 200, said
    return list(said.body["changes"])


def actions(changes: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(change["name"], change["action"], change["version"]) for change in changes]

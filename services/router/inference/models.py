"""What the Open Inference Protocol says of the platform and of each model: pure.

A model is whatever the gateway knows by name: a servable or an application. It has one version at a
time: that of the servable's model, or the live revision of the application.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.targets import Target
from services.router.inference.datatypes import shown
from services.router.inference.errors import not_yet
from shared.contract import Field
from shared.ids import JobId

SERVER: Final = "slipway"
VERSION: Final = "2"
EXTENSIONS: Final = ("binary_tensor_data",)


class Server(msgspec.Struct, frozen=True):
    name: str = SERVER
    version: str = VERSION
    extensions: tuple[str, ...] = EXTENSIONS


class Tensor(msgspec.Struct, frozen=True):
    name: str
    datatype: str
    shape: tuple[int, ...]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def chosen(target: Target | None, name: str, version: str) -> Target:
    """What was found as `name`. Raises GatewayError: nothing, or it has another version."""
    if target is None:
        raise GatewayError(Kind.NOT_FOUND, f"There is no model '{name[:100]}'")
    if version and version != target.version:
        have = f"its version is {target.version}" if target.version else "it has none yet"
        raise GatewayError(Kind.NOT_FOUND, f"'{name}' has no version '{version[:100]}': {have}")
    return target


def ready(target: Target, runs: Callable[[JobId], bool]) -> bool:
    """Whether each stage has a variant that can answer. `runs`: whether a job does."""
    return bool(target.stages) and all(
        any(variant.weight and runs(variant.job) for variant in stage.variants)
        for stage in target.stages
    )


def model(target: Target) -> Model:
    """Raises GatewayError while there is nothing to tell."""
    if not target.stages:
        raise not_yet(target)
    return Model(
        name=target.name,
        versions=(target.version,) if target.version else (),
        platform=f"{SERVER}_{target.kind}",
        inputs=_tensors(target.inputs),
        outputs=_tensors(target.outputs),
    )


def _tensors(fields: Sequence[Field]) -> tuple[Tensor, ...]:
    """A field of any shape is shown as a list: the protocol can't say it."""
    return tuple(
        Tensor(field.name, shown(field.dtype), (-1,) if field.shape is None else field.shape)
        for field in fields
    )

"""What there is to be asked, as the gateway's lists tell it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.router.gateway.targets import Target
from shared.contract import Field, Shape


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    type: str | None = None
    shape: Shape | str | None = None
    profile: str = "none"
    fields: tuple[Input, ...] = ()


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    signatureName: str  # as Hydrosphere spells it
    inputs: tuple[Input, ...]
    outputs: tuple[Input, ...]


class Described(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    version: str  # of the servable's model, or the application's revision
    status: str
    signature: Signature | None = None
    stages: tuple[tuple[tuple[str, int], ...], ...] = ()  # model:version and weight


def described(target: Target) -> Described:
    if not target.stages:
        return Described(name=target.name, version=target.version, status=target.reason)
    return Described(
        name=target.name,
        version=target.version,
        status="ready" if target.kind == "application" else "serving",
        signature=Signature(
            signatureName=target.signature,
            inputs=_inputs(target.inputs),
            outputs=_inputs(target.outputs),
        ),
        stages=tuple(
            tuple(
                (f"{variant.model}:{variant.version_name}", variant.weight)
                for variant in stage.variants
            )
            for stage in target.stages
        ),
    )


def _inputs(fields: Iterable[Field]) -> tuple[Input, ...]:
    return tuple(
        Input(
            name=field.name,
            type=field.dtype,
            shape="scalar" if field.shape == () else field.shape,
            profile=field.profile,
            fields=_inputs(field.fields),
        )
        for field in fields
    )

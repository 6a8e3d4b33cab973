"""Which sketch a field's profile asks for, and how it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.builder.profiles.categories import Categories
from services.builder.profiles.compare import Sketch
from services.builder.profiles.images import Images
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.texts import Texts
from shared.contract import Contract, DType, Field, Profile

KINDS: Final[dict[Profile, type[Sketch]]] = {
    "categorical": Categories,
    "nominal": Categories,
    "ordinal": Categories,
    "numerical": Numbers,
    "continuous": Numbers,
    "interval": Numbers,
    "ratio": Numbers,
    "image": Images,
    "text": Texts,
}
"""Of the others (none, video, audio) nothing is computed."""

WORDS: Final[tuple[DType, ...]] = ("string", "variant")


def kind_of(field: Field) -> type[Sketch] | None:
    """None: its profile says nothing that can be computed from what it holds."""
    kind = KINDS.get(field.profile)
    if kind is None or field.dtype is None:
        return None
    fits = kind is Categories or (kind is Texts) == (field.dtype in WORDS)
    return kind if fits else None


def profiled(contract: Contract) -> Iterator[tuple[str, Field, type[Sketch]]]:
    """The fields that have a profile of use, as `inputs.age` and `outputs.box.width`."""
    for side, fields in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        for name, field in _leaves(fields, f"{side}."):
            kind = kind_of(field)
            if kind is not None:
                yield name, field, kind


def load(kind: type[Sketch], kept: bytes) -> Sketch:
    return kind.load(kept)


def _leaves(fields: tuple[Field, ...], at: str) -> Iterator[tuple[str, Field]]:
    for field in fields:
        if field.fields:
            yield from _leaves(field.fields, f"{at}{field.name}.")
        else:
            yield at + field.name, field

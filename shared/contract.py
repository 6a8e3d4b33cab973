"""What a model takes and gives: Hydrosphere's contract, as the platform knows it.

A contract is part of its version, is stored as JSON and never changes. On the wire and in an image
it is a `hydrosphere.contract.ModelContract` (shared/protos); shared/hydrosphere/contracts.py
translates. Types and profiles have the names that people write, aliases resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

DType = Literal[
    "bool",
    "string",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "qint8",
    "qint16",
    "qint32",
    "quint8",
    "quint16",
    "complex64",
    "complex128",
    "variant",
]
DTYPES: Final[tuple[DType, ...]] = get_args(DType)

ALIASES: Final[dict[str, DType]] = {
    "half": "float16",
    "double": "float64",
    "float": "float32",
    "int": "int64",
    "str": "string",
}
"""Other names that people write. The last three are of the SDK and of a page of the documents."""

Profile = Literal[
    "none",
    "categorical",
    "nominal",
    "ordinal",
    "numerical",
    "continuous",
    "interval",
    "ratio",
    "image",
    "video",
    "audio",
    "text",
]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)

PROFILE_NUMBERS: Final[dict[Profile, int]] = {
    "none": 0,
    "categorical": 1,
    "nominal": 11,
    "ordinal": 12,
    "numerical": 2,
    "continuous": 21,
    "interval": 22,
    "ratio": 23,
    "image": 3,
    "video": 4,
    "audio": 5,
    "text": 6,
}
"""As `hydrosphere.contract.ModelField.profile` has them."""

SIGNATURE: Final = "Predict"
ANY: Final = -1  # a dimension that may be of any size

Shape = tuple[int, ...]
"""Sizes of the dimensions; ANY for one of any size; () is a scalar."""


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One named tensor, or with `fields` a map of them. `shape` None: whatever comes."""

    name: str
    dtype: DType | None = None  # None: it is a map
    shape: Shape | None = None
    profile: Profile = "none"
    fields: tuple[Field, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    signature: Annotated[str, Meta(min_length=1, max_length=200)] = SIGNATURE
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


def matches(wanted: Shape | None, given: Shape | None) -> bool:
    """Whether a tensor of shape `given` may be where `wanted` was promised.

    Sizes are compared one by one, as far as both go: models that are in use return [n] for [n, 1],
    so another number of dimensions is not wrong by itself.

    >>> matches((-1, 3), (5, 3)), matches((-1, 3), (5,)), matches((2,), (3,)), matches(None, (7,))
    (True, True, False, True)
    """
    if wanted is None or given is None:
        return True
    return all(
        want == have or ANY in (want, have) for want, have in zip(wanted, given, strict=False)
    )


def gaps(given: Iterable[Field], wanted: Iterable[Field], at: str = "") -> Iterator[str]:
    """Why what one stage gives is not what the next one takes, a line for each reason.

    What is given beyond what is wanted is dropped on the way, so it is no reason.
    """
    offered = {field.name: field for field in given}
    for field in wanted:
        where, have = f"{at}{field.name}", offered.get(field.name)
        if have is None:
            yield f"{where} is not among {', '.join(offered) or 'its outputs'}"
        elif have.dtype != field.dtype:
            yield f"{where} is {have.dtype or 'a map'}, and {field.dtype or 'a map'} is taken"
        elif not matches(field.shape, have.shape):
            yield f"{where} has the shape {shown(have.shape)}, and {shown(field.shape)} is taken"
        elif field.fields:
            yield from gaps(have.fields, field.fields, f"{where}.")


def shown(shape: Shape | None) -> str:
    """
    >>> shown(()), shown((-1, 3)), shown(None)
    ('scalar', '[-1, 3]', 'any')
    """
    if shape is None:
        return "any"
    return "scalar" if not shape else str(list(shape))

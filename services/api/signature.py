"""The signature of a stage, and of an application: what is asked of the models in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from shared.contract import ANY, Contract, Field, Shape, matches, shown

PIPELINE: Final = "INFERRED_PIPELINE_SIGNATURE"


def conflicts(one: Contract, other: Contract) -> Iterator[str]:
    """Why two models can't answer for one another, a line for each reason."""
    if one.signature != other.signature:
        yield f"their signatures are {one.signature} and {other.signature}"
    yield from _conflicts(one.inputs, other.inputs, "inputs.")
    yield from _conflicts(one.outputs, other.outputs, "outputs.")


def _conflicts(ours: Sequence[Field], theirs: Sequence[Field], at: str) -> Iterator[str]:
    known = {field.name: field for field in ours}
    for other in theirs:
        field, where = known.get(other.name), f"{at}{other.name}"
        if field is None:
            continue
        if field.dtype != other.dtype:
            yield f"{where} is {field.dtype or 'a map'} and {other.dtype or 'a map'}"
        elif not matches(field.shape, other.shape):
            yield f"{where} has the shapes {shown(field.shape)} and {shown(other.shape)}"
        else:
            yield from _conflicts(field.fields, other.fields, f"{where}.")


def merged(contracts: Sequence[Contract]) -> Contract:
    """Of a stage: every field that any of its models has. They have no conflicts."""
    first, *others = contracts
    inputs, outputs = first.inputs, first.outputs
    for other in others:
        inputs, outputs = _union(inputs, other.inputs), _union(outputs, other.outputs)
    return Contract(signature=first.signature, inputs=inputs, outputs=outputs)


def _union(ours: Sequence[Field], theirs: Sequence[Field]) -> tuple[Field, ...]:
    made = {field.name: field for field in ours}
    for other in theirs:
        field = made.get(other.name)
        made[other.name] = other if field is None else _both(field, other)
    return tuple(made.values())


def _both(field: Field, other: Field) -> Field:
    return replace(
        field, shape=_narrower(field.shape, other.shape), fields=_union(field.fields, other.fields)
    )


def _narrower(one: Shape | None, other: Shape | None) -> Shape | None:
    """What fits both shapes.

    >>> _narrower((-1, 3), (2, -1)), _narrower(None, ())
    ((2, 3), ())
    """
    if one is None or other is None:
        return other if one is None else one
    longer = one if len(one) >= len(other) else other
    both = zip(one, other, strict=False)
    start = tuple(have if want == ANY else want for want, have in both)
    return start + longer[len(start) :]


def signature(stages: Sequence[Sequence[Contract]]) -> Contract:
    """Of an application: that of its one stage, or from the first stage's inputs to the last's
    outputs."""
    if len(stages) == 1:
        return merged(stages[0])
    first, last = merged(stages[0]), merged(stages[-1])
    return Contract(signature=PIPELINE, inputs=first.inputs, outputs=last.outputs)

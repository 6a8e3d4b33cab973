"""What is asked of the models of a stage, and a sample of it."""

from __future__ import annotations

from services.api.sample import sample
from services.api.signature import PIPELINE, conflicts, merged, signature
from shared.contract import DTYPES, Contract, Field


def contract(*inputs: Field, outputs: tuple[Field, ...] = (), name: str = "Predict") -> Contract:
    return Contract(signature=name, inputs=inputs, outputs=outputs)


X, Y = Field(name="x", dtype="int8", shape=(-1, 3)), Field(name="y", dtype="string")


def test_fields_that_only_one_model_has_are_all_asked_for() -> None:
    both = merged([contract(X), contract(Y), contract(X)])
    assert both.inputs == (X, Y)


def test_shapes_are_merged_to_what_fits_both() -> None:
    other = Field(name="x", dtype="int8", shape=(2, -1))
    assert merged([contract(X), contract(other)]).inputs[0].shape == (2, 3)
    anything = Field(name="x", dtype="int8")
    assert merged([contract(anything), contract(X)]).inputs[0].shape == (-1, 3)


def test_models_of_one_stage_must_agree() -> None:
    assert list(conflicts(contract(X), contract(Y))) == []
    for other in (
        Field(name="x", dtype="int16", shape=(-1, 3)),
        Field(name="x", dtype="int8", shape=(-1, 4)),
        Field(name="x", fields=(Y,)),
    ):
        assert len(list(conflicts(contract(X), contract(other)))) == 1
    inner = (Field(name="x", fields=(X,)), Field(name="x", fields=(Field(name="x", dtype="bool"),)))
    assert list(conflicts(contract(inner[0]), contract(inner[1]))) == [
        "inputs.x.x is int8 and bool"
    ]
    assert len(list(conflicts(contract(X), contract(X, name="other")))) == 1


def test_a_pipeline_goes_from_its_first_inputs_to_its_last_outputs() -> None:
    first, last = contract(X, outputs=(Y,)), contract(Y, outputs=(X,), name="last")
    found = signature([[first], [last]])
    assert (found.signature, found.inputs, found.outputs) == (PIPELINE, (X,), (X,))
    assert signature([[last]]) == last


def test_every_type_has_a_sample() -> None:
    fields = tuple(Field(name=name, dtype=name, shape=(-1, 2)) for name in DTYPES)
    made = sample(contract(*fields))
    assert set(made) == set(DTYPES)
    assert made["bool"] == [[True, True]]
    assert made["string"] == [["foo", "foo"]]
    assert made["qint8"] == made["uint64"] == [[1, 1]]
    assert made["float16"] == made["float64"] == [[1.0, 1.0]]
    assert made["complex64"] == [[1.0, 0.0, 1.0, 0.0]]
    assert sample(contract(Field(name="z", dtype="complex64", shape=()))) == {"z": [1.0, 0.0]}
    assert sample(contract(Field(name="e", dtype="int8", shape=(0, 3)))) == {"e": []}

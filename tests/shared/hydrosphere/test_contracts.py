"""Contracts become the bytes that runtimes read, and come back."""

from __future__ import annotations

import doctest
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import contract as contracts
from shared.contract import DTYPES, PROFILE_NUMBERS, PROFILES, Contract, Field
from shared.hydrosphere import dtypes
from shared.hydrosphere.contracts import DEEPEST, decode, encode
from shared.hydrosphere.dtypes import DTYPE_OF, LAYOUTS
from shared.protos.hydro_serving_grpc.contract import data_profile_types_pb2
from shared.protos.hydro_serving_grpc.contract.model_contract_pb2 import ModelContract
from shared.protos.hydro_serving_grpc.contract.model_field_pb2 import ModelField
from shared.protos.hydro_serving_grpc.tf import types_pb2
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

shapes = st.none() | st.lists(st.integers(-1, 1 << 40), max_size=5).map(tuple)
names = st.text(st.characters(codec="utf-8"), max_size=20)
tensors = st.builds(
    Field,
    name=names,
    dtype=st.sampled_from(DTYPES),
    shape=shapes,
    profile=st.sampled_from(PROFILES),
)
fields = st.recursive(
    tensors,
    lambda inner: st.builds(
        Field, name=names, shape=shapes, fields=st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


@given(
    signature=names.filter(bool),
    inputs=st.lists(fields, max_size=4),
    outputs=st.lists(fields, max_size=4),
)
def test_every_contract_comes_back_as_it_was(signature, inputs, outputs):
    contract = Contract(signature=signature, inputs=tuple(inputs), outputs=tuple(outputs))
    assert decode(encode(contract, "claims")) == contract


def test_a_contract_names_its_model_and_its_function():
    contract = Contract(
        signature="infer",
        inputs=(Field(name="amount", dtype="float64", shape=(-1, 3), profile="numerical"),),
        outputs=(Field(name="fraud", dtype="bool", shape=()), Field(name="why", dtype="string")),
    )
    found = ModelContract.FromString(encode(contract, "claims-model"))
    assert (found.model_name, found.predict.signature_name) == ("claims-model", "infer")
    (amount,) = found.predict.inputs
    assert (amount.name, amount.dtype, amount.profile) == ("amount", types_pb2.DT_DOUBLE, 2)
    assert [dim.size for dim in amount.shape.dim] == [-1, 3]
    fraud, why = found.predict.outputs
    assert (fraud.HasField("shape"), list(fraud.shape.dim), why.HasField("shape")) == (
        True,
        [],
        False,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_type_has_the_number_and_the_field_of_the_protocol(dtype):
    wire = {"float16": "half", "float32": "float", "float64": "double"}.get(dtype, dtype)
    layout = LAYOUTS[dtype]
    assert layout.number == types_pb2.DataType.Value(f"DT_{wire.upper()}")
    assert layout.field in TensorProto.DESCRIPTOR.fields_by_name
    assert DTYPE_OF[layout.number] == dtype
    if layout.code:
        bits = "".join(c for c in dtype.removeprefix("complex") if c.isdigit()) or "8"
        assert struct.calcsize(layout.code) * layout.parts * 8 == int(bits)


def test_each_profile_has_the_number_of_the_protocol():
    assert {name.upper(): number for name, number in PROFILE_NUMBERS.items()} == dict(
        data_profile_types_pb2.DataProfileType.items()
    )


def test_bytes_that_are_no_contract_say_so():
    with pytest.raises(ValueError, match="no serialized ModelContract"):
        decode(b"\x0a\xff")


def test_a_type_that_no_contract_has_is_named():
    contract = ModelContract()
    contract.predict.inputs.add(name="x", dtype=types_pb2.DT_RESOURCE)
    with pytest.raises(ValueError, match=r"inputs\.x has the type 20"):
        decode(contract.SerializeToString())


def test_a_dimension_below_any_is_named():
    contract = ModelContract()
    contract.predict.outputs.add(name="x", dtype=1).shape.dim.add(size=-2)
    with pytest.raises(ValueError, match=r"outputs\.x has a dimension of -2"):
        decode(contract.SerializeToString())


def test_maps_within_maps_end_somewhere():
    field = ModelField(name="x", dtype=1)
    for _ in range(DEEPEST):
        field = ModelField(name="m", subfields=ModelField.Subfield(data=[field]))
    contract = ModelContract()
    contract.predict.inputs.append(field)
    with pytest.raises(ValueError, match="deep"):
        decode(contract.SerializeToString())


def test_a_profile_from_the_future_is_none():
    contract = ModelContract()
    contract.predict.inputs.add(name="x", dtype=1, profile=99)
    assert decode(contract.SerializeToString()).inputs[0].profile == "none"


@pytest.mark.parametrize("module", [contracts, dtypes])
def test_the_examples_are_true(module):
    assert doctest.testmod(module).failed == 0

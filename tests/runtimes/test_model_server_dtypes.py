"""Every type of a contract goes into a model as numpy's, and comes out as it went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from shared.contract import DTYPES, Contract, Field
from shared.hydrosphere.dtypes import LAYOUTS, MAP
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.runtimes.model import Served, numpy_type, served, sizes, tensor, value, write

TYPES = [dtype for dtype in DTYPES if dtype != "variant"]
SHAPES = st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)

ECHO = """
import numpy as np

def kind(value):
    return np.asarray(value).dtype.name

def echo(**inputs):
    return dict(inputs, kinds=[kind(inputs[name]) for name in sorted(inputs)],
                scalars=[np.ndim(inputs[name]) == 0 for name in sorted(inputs)])
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """A model that takes a tensor of each type and gives them back."""
    each = tuple(Field(name=dtype, dtype=dtype) for dtype in TYPES)
    beside = (Field(name="kinds", dtype="string"), Field(name="scalars", dtype="bool"))
    contract = Contract(signature="echo", inputs=each, outputs=each + beside)
    folder = write(tmp_path_factory.mktemp("echo"), contract, {"src/func_main.py": ECHO})
    server = served(folder)
    yield server
    assert server.end()[0] == 0


NULLS = {dtype: tensor(dtype, "" if dtype == "string" else 0) for dtype in TYPES}


def elements(dtype):
    if dtype == "string":
        return st.text(st.characters(codec="utf-8"), max_size=10)
    if dtype == "complex64":
        return st.complex_numbers(width=64)
    return None if dtype == "complex128" else st_numpy.from_dtype(numpy_type(dtype))


def same(found, wanted):
    return np.array_equal(found, wanted, equal_nan=wanted.dtype.kind in "fc")


@pytest.mark.parametrize("content", [False, True], ids=["values", "content"])
@pytest.mark.parametrize("dtype", TYPES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_what_goes_in_comes_out(echo: Served, dtype, content, data):
    array = data.draw(st_numpy.arrays(numpy_type(dtype), SHAPES, elements=elements(dtype)))
    sent = tensor(dtype, array, content=content and dtype != "string")
    found = echo.predict(**NULLS | {dtype: sent})
    assert found[dtype].dtype == LAYOUTS[dtype].number
    assert sizes(found[dtype]) == array.shape
    assert same(value(found[dtype]), array)
    kind = dict(zip(sorted(TYPES), value(found["kinds"]), strict=True))[dtype]
    assert kind == numpy_type(dtype).name or (dtype == "string" and kind[:3] in ("str", "obj"))
    scalar = dict(zip(sorted(TYPES), value(found["scalars"]), strict=True))[dtype]
    assert scalar == (array.shape == ())


@pytest.mark.parametrize("dtype", TYPES)
def test_a_tensor_without_a_shape_is_flat(echo: Served, dtype):
    sent = tensor(dtype, ["", "a"] if dtype == "string" else [0, 1])
    sent.ClearField("tensor_shape")
    found = echo.predict(**NULLS | {dtype: sent})
    assert sizes(found[dtype]) == (2,)


@pytest.mark.parametrize(("shape", "given"), [((-1, 3), (2, 3)), ((2, -1), (2, 3)), ((-1,), (6,))])
def test_a_dimension_left_open_is_as_long_as_there_are_elements(echo: Served, shape, given):
    sent = tensor("int64", np.arange(6))
    del sent.tensor_shape.dim[:]
    for size in shape:
        sent.tensor_shape.dim.add(size=size)
    found = echo.predict(**NULLS | {"int64": sent})
    assert sizes(found["int64"]) == given


def test_strings_of_very_different_lengths_need_no_more_than_they_have(echo: Served):
    """As numpy's own strings these would be 4 GB."""
    texts = ["x" * (1 << 20), *map(str, range(999))]
    found = echo.predict(**NULLS | {"string": tensor("string", texts)})
    assert value(found["string"]).tolist() == texts


def test_an_image_of_floats_and_forty_megabytes_pass(echo: Served):
    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    large = np.arange(5 << 20, dtype=np.float64)
    inputs = {
        "float32": tensor("float32", image),
        "float64": tensor("float64", large, content=True),
    }
    found = echo.predict(**NULLS | inputs)
    assert same(value(found["float32"]), image)
    wire = found["float64"].SerializeToString()  # its elements are the last of it
    assert same(np.frombuffer(wire[-large.nbytes :], "<f8"), large)


def test_maps_are_dicts(tmp_path):
    person = Field(
        name="person",
        fields=(
            Field(name="name", dtype="string", shape=()),
            Field(name="at", fields=(Field(name="x", dtype="float32", shape=(2,)),)),
        ),
    )
    contract = Contract(
        inputs=(person,), outputs=(person, Field(name="size", dtype="int8", shape=()))
    )
    code = "def Predict(person):\n    return {'person': person, 'size': person['at']['x'].size}\n"
    server = served(write(tmp_path, contract, {"src/func_main.py": code}))
    at = TensorProto(dtype=MAP, map_val={"x": tensor("float32", [1, 2])})
    sent = TensorProto(dtype=MAP, map_val={"name": tensor("string", "Ada"), "at": at})
    found = server.predict(person=sent)
    assert found["person"] == sent
    assert found["size"] == tensor("int8", 2)
    server.end()


def test_a_variant_passes_as_the_message_that_it_is(tmp_path):
    field = Field(name="v", dtype="variant")
    contract = Contract(inputs=(field,), outputs=(field,))
    code = "def Predict(v):\n    return {'v': v}\n"
    server = served(write(tmp_path, contract, {"src/func_main.py": code}))
    sent = TensorProto(dtype=LAYOUTS["variant"].number)
    sent.variant_val.add(type_name="thing", metadata=b"\x00\x01")
    assert server.predict(v=sent)["v"] == sent
    server.end()

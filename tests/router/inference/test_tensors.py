"""Every datatype of the Open Inference Protocol, in each of the ways to write it, against numpy."""

from __future__ import annotations

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.gateway.errors import GatewayError
from services.router.inference import answer, document
from services.router.inference.datatypes import DATATYPES, datatype_of, shown
from services.router.inference.given import MANY, Given, messages
from services.router.inference.told import Told, told
from shared.contract import DTYPES, Field
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
QUANTIZED = {
    "qint8": "INT8",
    "qint16": "INT16",
    "qint32": "INT32",
    "quint8": "UINT8",
    "quint16": "UINT16",
}
FIELDS = [
    *((name, kind.dtype) for name, kind in DATATYPES.items() if name != "BYTES"),
    *((name, dtype) for dtype, name in QUANTIZED.items()),
]
PLAIN = answer.Style(model="m", version="1", id="", names=("x",), binary=frozenset())
FRESH = settings(max_examples=40, deadline=None)


@st.composite
def arrays(draw: st.DrawFn, name: str) -> np.ndarray:
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = int(np.prod(shape, dtype=int))
    size = np.dtype(NUMPY[name]).itemsize
    raw = draw(st.binary(min_size=count * size, max_size=count * size))
    if name == "BOOL":
        raw = bytes(byte & 1 for byte in raw)
    return np.frombuffer(raw, NUMPY[name]).reshape(shape)


def field(dtype: str, shape: tuple[int, ...] | None = None) -> Field:
    return Field(name="x", dtype=dtype, shape=shape)


def one(name: str, shape: tuple[int, ...], **elements: object) -> Given:
    return Given(at="inputs[0]", name="x", datatype=name, shape=shape, **elements)


def sent(given: Given, dtype: str, shape: tuple[int, ...] | None = None) -> TensorProto:
    return messages([given], [field(dtype, shape)])["x"]


def back(message: TensorProto) -> Told:
    """After the wire."""
    return told("x", TensorProto.FromString(message.SerializeToString()))


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f")


@pytest.mark.parametrize(("name", "dtype"), FIELDS)
@given(data=st.data())
@FRESH
def test_what_is_sent_as_bytes_comes_back_as_the_same_bytes(
    name: str, dtype: str, data: st.DataObject
) -> None:
    array = data.draw(arrays(name))
    message = sent(one(name, array.shape, raw=array.tobytes()), dtype)
    assert message.dtype == LAYOUTS[dtype].number
    assert not message.tensor_content
    found = back(message)
    assert found.datatype.name == name
    if name not in ("FP16", "FP32", "FP64"):
        assert found.raw() == array.tobytes()
    same(np.frombuffer(found.raw(), NUMPY[name]).reshape(found.shape), array)
    same(np.array(found.values(), NUMPY[name]).reshape(found.shape), array)


@pytest.mark.parametrize(("name", "dtype"), FIELDS)
@given(data=st.data(), nested=st.booleans())
@FRESH
def test_what_is_sent_as_json_comes_back_as_json(
    name: str, dtype: str, nested: bool, data: st.DataObject
) -> None:
    array = data.draw(arrays(name))
    values = array.tolist() if nested else array.flatten().tolist()
    text = msgspec.json.encode(_words(values))
    request = b'{"inputs":[{"name":"x","datatype":"%b","shape":%b,"data":%b}]}' % (
        name.encode(),
        msgspec.json.encode(array.shape),
        text,
    )
    asked = document.read(request, None)
    message = sent(asked.given[0], dtype)
    found = back(message)
    written = answer.write(PLAIN, [found])
    assert written.header is None
    [output] = msgspec.json.decode(written.content)["outputs"]
    assert output["datatype"] == name
    elements = [float(each) if isinstance(each, str) else each for each in output["data"]]
    same(np.array(elements, NUMPY[name]).reshape(output["shape"]), array)


def _words(values: object) -> object:
    if isinstance(values, list):
        return [_words(each) for each in values]
    if isinstance(values, float) and not np.isfinite(values):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(values)]
    return values


@given(texts=st.lists(st.binary(max_size=20), max_size=5))
@FRESH
def test_bytes_come_back_as_they_are(texts: list[bytes]) -> None:
    raw = b"".join(struct.pack("<I", len(each)) + each for each in texts)
    found = back(sent(one("BYTES", (len(texts),), raw=raw), "string"))
    assert found.raw() == raw
    assert found.values() == texts


def test_a_great_many_whole_numbers_stay_bytes() -> None:
    array = np.arange(MANY + 1, dtype=np.int16)
    message = sent(one("INT16", array.shape, raw=array.tobytes()), "int16")
    assert message.tensor_content == array.tobytes()
    assert back(message).raw() == array.tobytes()
    message = TensorProto(dtype=message.dtype, int_val=array)
    assert told("x", message).raw() == array.tobytes()


def test_a_model_may_answer_with_its_elements_as_bytes() -> None:
    for name, kind in NUMPY.items():
        array = np.array([0, 1], kind)
        message = TensorProto(
            dtype=LAYOUTS[DATATYPES[name].dtype].number, tensor_content=array.tobytes()
        )
        found = told("x", message)
        assert found.raw() == array.tobytes()
        assert np.array_equal(found.values(), array)
        assert found.shape == (2,)


@pytest.mark.parametrize(
    ("shape", "count", "shown"),
    [
        ((-1, 2), 6, (3, 2)),
        ((2, 3), 6, (2, 3)),
        ((), 1, ()),
        (None, 4, (4,)),
        ((-1, -1), 4, (4,)),
        ((-1,), 0, (0,)),
        ((0, -1), 0, (0, 0)),
    ],
)
def test_a_size_that_a_model_leaves_open_is_reckoned(shape, count, shown) -> None:
    message = TensorProto(dtype=LAYOUTS["int32"].number, int_val=range(count))
    if shape is not None:
        message.tensor_shape.SetInParent()
        for size in shape:
            message.tensor_shape.dim.add(size=size)
    assert told("x", message).shape == shown


def test_a_scalar_may_be_sent_as_a_list_of_one() -> None:
    for shape in ((), (1,), (1, 1)):
        message = sent(one("INT64", shape, values=[7]), "int64", ())
        assert list(message.int64_val) == [7]
        assert message.HasField("tensor_shape")
        assert not message.tensor_shape.dim


@pytest.mark.parametrize(
    ("given", "dtype", "shape", "wrong"),
    [
        (one("FP32", (3,), values=[1.0]), "float32", None, "1 elements came; the shape [3] has 3"),
        (one("FP32", (2,), raw=b"1234"), "float32", None, "4 bytes came; 2 elements of FP32 are 8"),
        (one("FP32", (1,), values=[1e300]), "float32", None, "out of range for FP32"),
        (one("FP16", (1,), values=[1e5]), "float16", None, "out of range for FP16"),
        (one("INT8", (1,), values=[200]), "int8", None, "out of range for INT8, -128 to 127"),
        (one("UINT64", (1,), values=[-1]), "uint64", None, "out of range for UINT64, 0 to"),
        (one("INT32", (1,), values=[1]), "int64", None, "'x' is INT64, and INT32 came"),
        (one("INT8", (1,), values=[1]), "quint8", None, "'x' is UINT8, and INT8 came"),
        (one("FLOAT", (1,), values=[1]), "float32", None, "'FLOAT' is not one of BOOL, UINT8,"),
        (one("FP32", (2,), values=[1.0]), "complex64", None, "'x' is COMPLEX64, which"),
        (one("FP32", (1,), values=[1.0]), "variant", None, "'x' is VARIANT, which"),
        (one("FP32", (2,), values=[1.0, 2.0]), "float32", (), "'x' is one value, and 2 came"),
        (one("FP32", (-1,), values=[1.0]), "float32", None, "-1 is less than 0"),
        (one("FP32", (1,) * 65, values=[1.0]), "float32", None, "65 dimensions; 64 are allowed"),
        (one("BOOL", (1,), raw=b"\x02"), "bool", None, "a byte of BOOL is neither 0 nor 1"),
        (one("BYTES", (1,), raw=b"\x05\0\0\0abc"), "string", None, "is cut short"),
        (one("BYTES", (1,), raw=b"\x05\0"), "string", None, "is cut short"),
        (one("BYTES", (2,), raw=b"\x01\0\0\0a"), "string", None, "1 elements came"),
        (one("BYTES", (2,), raw=bytes(16)), "string", None, "3 elements came"),
        (one("BYTES", (1 << 20,), raw=b""), "string", None, "1048576 elements of BYTES; 524288"),
    ],
)
def test_what_is_wrong_is_said(given, dtype, shape, wrong) -> None:
    with pytest.raises(GatewayError) as said:
        sent(given, dtype, shape)
    assert said.value.status == 400
    assert said.value.information.startswith("inputs[0]")
    assert wrong in said.value.information


def test_inputs_are_those_of_the_model() -> None:
    x = one("INT32", (), values=[1])
    with pytest.raises(GatewayError, match="'x' comes twice"):
        messages([x, x], [field("int32")])
    with pytest.raises(GatewayError, match="no input 'x'; there are 'y'"):
        messages([x], [Field(name="y", dtype="int32")])
    with pytest.raises(GatewayError, match="inputs: 'y', 'z' missing"):
        messages([], [Field(name="y", dtype="int32"), Field(name="z", dtype="int32")])
    inner = Field(name="x", fields=(field("int32"),))
    with pytest.raises(GatewayError, match="'x' is MAP, which this protocol can't send"):
        messages([x], [inner])


def test_a_model_that_lies_about_its_elements_is_found_out() -> None:
    for dtype, message in {
        "int8": TensorProto(dtype=LAYOUTS["int8"].number, int_val=[300]),
        "float16": TensorProto(dtype=LAYOUTS["float16"].number, half_val=[1 << 20]),
    }.items():
        with pytest.raises(GatewayError, match=f"not {shown(dtype)}") as said:
            told("x", message).raw()
        assert said.value.status == 502


def test_what_the_protocol_has_no_name_for_is_said_to_be_so() -> None:
    for dtype in ("complex64", "complex128", "variant"):
        assert datatype_of(dtype) is None
        with pytest.raises(GatewayError, match="name those that you want in `outputs`"):
            told("x", TensorProto(dtype=LAYOUTS[dtype].number))
    with pytest.raises(GatewayError, match="is MAP"):
        told("x", TensorProto(dtype=27))


def test_every_type_is_shown_in_metadata() -> None:
    assert {shown(dtype) for dtype in DTYPES} == {
        *DATATYPES,
        *("COMPLEX64", "COMPLEX128", "VARIANT"),
    }
    assert shown(None) == "MAP"

"""Inference requests as JSON, with and without binary data behind it."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.gateway.errors import GatewayError
from services.router.inference import answer, document
from services.router.inference.given import messages
from services.router.inference.told import told
from shared.contract import Field


def request(
    data: str = "[1]", datatype: str = "INT32", shape: str = "[1]", more: str = ""
) -> bytes:
    tensor = f'{{"name":"x","datatype":"{datatype}","shape":{shape},"data":{data}}}'
    return f'{{"inputs":[{tensor}]{more}}}'.encode()


def style(*binary: str, **changes: str) -> answer.Style:
    given = {"model": "m", "version": "1", "id": "", **changes}
    return answer.Style(names=(), binary=frozenset(binary), **given)


def read(body: bytes) -> list[object]:
    return list(document.read(body, None).given[0].values)


def refused(body: bytes, header: int | None = None) -> str:
    with pytest.raises(GatewayError) as said:
        document.read(body, header)
    assert said.value.status == 400
    return said.value.information


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "values"),
    [
        ("[1,2,3,4]", "INT32", "[2,2]", [1, 2, 3, 4]),
        ("[[1,2],[3,4]]", "INT32", "[2,2]", [1, 2, 3, 4]),
        ("[ [ [1], [2] ],\n[[3],[4]] ]", "INT32", "[2,2,1]", [1, 2, 3, 4]),
        ("7", "INT32", "[]", [7]),
        ("[7]", "INT32", "[]", [7]),
        ("[true,false]", "BOOL", "[2]", [True, False]),
        ('["a","ü"]', "BYTES", "[2]", [b"a", "ü".encode()]),
        ("[1, 2.5]", "FP32", "[2]", [1.0, 2.5]),
        ('[1, "Infinity", "-Infinity"]', "FP64", "[3]", [1.0, float("inf"), -float("inf")]),
        ("[18446744073709551615]", "UINT64", "[1]", [2**64 - 1]),
        ("[]", "FP32", "[0]", []),
        ("[[],[]]", "FP32", "[2,0]", []),
    ],
)
def test_elements_are_read_flat_or_nested(data, datatype, shape, values) -> None:
    assert read(request(data, datatype, shape)) == values


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"", "This is not JSON"),
        (b"{", "This is not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"\xff", "This is not JSON"),
        (b'{"inputs":[{"name":"\xff"}]}', "This is not JSON"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"inputs":' + b"[" * 100_000, "inputs[0]: Expected `object`, got `array`"),
        (b'{"inputs":[{"data":' + b"[" * 100_000, "This is not JSON"),
        (b"{}", "Object missing required field `inputs`"),
        (b'{"inputs":null}', "inputs: Expected `array`, got `null`"),
        (b'{"inputs":[1]}', "inputs[0]: Expected `object`, got `int`"),
        (b'{"inputs":[{"name":"x"}]}', "inputs[0]: Object missing required field"),
        (b'{"inputs":[],"id":7}', "id: Expected `str`, got `int`"),
        (request(shape="[1.5]"), "inputs[0].shape[0]: Expected `int`, got `float`"),
        (request(shape="[-1]"), "inputs[0].shape[0]: Expected `int` >= 0"),
        (request(shape="[99999999999999999999]"), "inputs[0].shape[0]"),
        (request(shape="1"), "inputs[0].shape: Expected `array`"),
        (request("[1.5]"), "inputs[0].data[0]: Expected `int`, got `float`"),
        (request("[null]"), "inputs[0].data[0]: Expected `int`, got `null`"),
        (request("null"), "inputs[0].data: Expected `int`, got `null`"),
        (request('["1"]'), "inputs[0].data[0]: Expected `int`, got `str`"),
        (request("[1,[2]]"), "inputs[0].data[1]: Expected `int`, got `array`"),
        (request("[[1],2]", shape="[2,1]"), "inputs[0].data[1]: Expected `array`, got `int`"),
        (request("[[1]]"), "inputs[0].data: is nested 2 deep; the shape has 1 sizes"),
        (request("[NaN]", "FP32"), "This is not JSON"),
        (request("[1e400]", "FP32"), "inputs[0].data[0]: Number out of range"),
        (request('["nan"]', "FP32"), "inputs[0].data[0]: Invalid enum value 'nan'"),
        (request("[1]", "BOOL"), "inputs[0].data[0]: Expected `bool`, got `int`"),
        (request("{}"), "inputs[0].data: Expected `int`, got `object`"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]}', "inputs[0].data: is missing"),
        (request(more=',"parameters":{"binary_data_output":1}'), "binary_data_output: must be"),
        (
            request(more=',"outputs":[{"name":"y","parameters":{"binary_data":"yes"}}]'),
            "outputs[0]",
        ),
        (
            request(more=',"outputs":[{"name":"y","parameters":{"classification":3}}]'),
            "outputs[0].parameters.classification: is not offered here",
        ),
        (
            b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],'
            b'"parameters":{"shared_memory_region":"r"}}]}',
            "inputs[0].parameters.shared_memory_region: is not offered here",
        ),
    ],
)
def test_what_is_wrong_is_said_and_where(body: bytes, wrong: str) -> None:
    assert wrong in refused(body)


def test_a_request_of_too_many_tensors_is_refused() -> None:
    body = b'{"inputs":[' + b",".join([request()[11:-2]] * 1001) + b"]}"
    assert "length <= 1000" in refused(body)


@given(body=st.binary(max_size=60), header=st.none() | st.integers(0, 100))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_read_or_refused(body: bytes, header: int | None) -> None:
    for text in (body, request(body.decode("latin-1"), "FP32")):
        with suppress(GatewayError):
            document.read(text, header)


HEAD = (
    b'{"id":"42","inputs":[{"name":"x","datatype":"UINT32","shape":[2,2],"parameters":'
    b'{"binary_data_size":16}},{"name":"y","datatype":"BOOL","shape":[3],"parameters":'
    b'{"binary_data_size":3}},{"name":"z","datatype":"INT8","shape":[1],"data":[5]}],'
    b'"outputs":[{"name":"y","parameters":{"binary_data":true}},{"name":"z"}]}'
)


def test_binary_data_is_taken_in_the_order_of_the_inputs() -> None:
    x, y = bytes(range(16)), b"\x01\x00\x01"
    asked = document.read(HEAD + x + y, len(HEAD))
    assert asked.id == "42"
    assert [(each.name, each.raw, each.values) for each in asked.given] == [
        ("x", x, ()),
        ("y", y, ()),
        ("z", None, [5]),
    ]
    assert asked.wanted == ["y", "z"]
    assert [asked.as_bytes(name) for name in asked.wanted] == [True, False]


@pytest.mark.parametrize(
    ("body", "header", "wrong"),
    [
        (HEAD + b"x" * 20, len(HEAD), "1 bytes stand behind the binary data of the inputs"),
        (HEAD + b"x" * 18, len(HEAD), "inputs[1].parameters.binary_data_size: 3 bytes; 2 are"),
        (HEAD, None, "inputs[0].parameters.binary_data_size: 16 bytes; 0 are there"),
        (HEAD, len(HEAD) + 1, "Inference-Header-Content-Length is"),
        (HEAD + b"x" * 19, len(HEAD) - 1, "This is not JSON"),
        (HEAD + b"x" * 19, 0, "This is not JSON"),
        (HEAD.replace(b"16", b"-1"), len(HEAD), "must be a number of bytes"),
        (HEAD.replace(b"16", b'"16"'), len(HEAD) + 2, "must be a number of bytes"),
        (HEAD.replace(b"16", b"true"), len(HEAD) + 2, "must be a number of bytes"),
        (HEAD.replace(b"[5]", b'[5],"parameters":{"binary_data_size":1}'), None, "inputs[0]"),
    ],
)
def test_binary_data_is_exactly_what_was_said(body: bytes, header: int | None, wrong: str) -> None:
    assert wrong in refused(body, header)


def test_elements_are_said_once() -> None:
    body = request(more="").replace(b'"data"', b'"parameters":{"binary_data_size":4},"data"')
    assert "either `data` or binary_data_size" in refused(body + b"1234", len(body))


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("own", [None, True, False])
def test_all_outputs_may_be_asked_for_as_bytes(default: bool, own: bool | None) -> None:
    parameters = {} if own is None else {"binary_data": own}
    body = {
        "inputs": [],
        "parameters": {"binary_data_output": default},
        "outputs": [{"name": "y", "parameters": parameters}],
    }
    asked = document.read(msgspec.json.encode(body), None)
    assert asked.as_bytes("y") is (default if own is None else own)
    del body["outputs"]
    assert document.read(msgspec.json.encode(body), None).as_bytes("y") is default


def test_an_answer_has_its_binary_data_behind_its_json() -> None:
    body = request("[[1,2],[3,4]]", "UINT32", "[2,2]")
    fields = [Field(name="x", dtype="uint32", shape=(2, 2))]
    message = messages(document.read(body, None).given, fields)["x"]
    outputs = [told("y", message), told("z", message)]
    written = answer.write(style("z", id="42", version="3"), outputs)
    assert written.kind == b"application/octet-stream"
    assert msgspec.json.decode(written.content[: written.header]) == {
        "model_name": "m",
        "model_version": "3",
        "id": "42",
        "outputs": [
            {"name": "y", "datatype": "UINT32", "shape": [2, 2], "data": [1, 2, 3, 4]},
            {
                "name": "z",
                "datatype": "UINT32",
                "shape": [2, 2],
                "parameters": {"binary_data_size": 16},
            },
        ],
    }
    assert written.content[written.header :] == bytes(
        [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]
    )


def test_bytes_that_are_no_text_are_for_binary_data_alone() -> None:
    fields = [Field(name="x", dtype="string")]
    given = document.Given(at="", name="x", datatype="BYTES", shape=(1,), values=[b"\xff"])
    output = told("x", messages([given], fields)["x"])
    with pytest.raises(GatewayError, match="binary_data"):
        answer.write(style(), [output])
    written = answer.write(style("x"), [output])
    assert written.content.endswith(b"\x01\0\0\0\xff")

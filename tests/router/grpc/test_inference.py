"""The Open Inference Protocol over gRPC, asked with the client that most people have for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from services.router.gateway.tensors import make
from services.router.grpc import inference as of_inference
from shared.contract import Contract, Field
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest
from shared.protos.inference_pb2 import ModelInferRequest, ModelInferResponse
from tests.router.models import Doors, Outputs, runtime, same

SERVICE = "inference.GRPCInferenceService"
X = Field(name="x", dtype="float32", shape=(-1, 2))


@pytest.fixture
async def client(router: Doors) -> AsyncIterator[InferenceServerClient]:
    async with InferenceServerClient(router.address) as found:
        yield found


def tensor(array: np.ndarray, name: str = "x") -> InferInput:
    found = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    found.set_data_from_numpy(array)
    return found


ARRAYS = {
    "bool": np.array([[True, False], [False, True]]),
    "string": np.array([[b"a", "ü".encode()], [b"", b"\xff"]], dtype=object),
    "float16": np.array([[1.5, -2], [0.1, np.inf]], np.float16),
    "float32": np.array([[1.5, -2], [0.1, np.nan]], np.float32),
    "float64": np.array([[1.5, -2], [0.1, 1e300]], np.float64),
    **{
        f"{sign}int{bits}": np.array(
            [[0, 1], [np.iinfo(f"{sign}int{bits}").min, np.iinfo(f"{sign}int{bits}").max]],
            f"{sign}int{bits}",
        )
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
QUANTIZED = {f"q{name}": ARRAYS[name] for name in ("int8", "int16", "int32", "uint8", "uint16")}


@pytest.mark.parametrize("dtype", [*ARRAYS, *QUANTIZED])
async def test_an_array_of_every_type_comes_back_as_it_was(
    dtype: str, router: Doors, client: InferenceServerClient
) -> None:
    array = ARRAYS[dtype] if dtype in ARRAYS else QUANTIZED[dtype]
    async with runtime() as address:
        router.servable("model-1", same(Field(name="x", dtype=dtype, shape=(-1, 2))), address)
        found = (await client.infer("model-1", [tensor(array)])).as_numpy("x")
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


CONTENTS = {
    "BOOL": ("bool_contents", [True, False]),
    "INT8": ("int_contents", [-1, 1]),
    "INT16": ("int_contents", [-1, 1]),
    "INT32": ("int_contents", [-1, 1]),
    "INT64": ("int64_contents", [-1, 1]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 1]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "FP32": ("fp32_contents", [0.5, -1.0]),
    "FP64": ("fp64_contents", [0.5, -1.0]),
    "BYTES": ("bytes_contents", [b"a", b"\xff"]),
}
OURS = {"FP32": "float32", "FP64": "float64", "BYTES": "string"}


async def infer(channel: grpc.aio.Channel, **asked: object) -> ModelInferResponse:
    call = channel.unary_unary(
        f"/{SERVICE}/ModelInfer",
        request_serializer=ModelInferRequest.SerializeToString,
        response_deserializer=ModelInferResponse.FromString,
    )
    return await call(ModelInferRequest(model_name="model-1", **asked), timeout=10)


@pytest.mark.parametrize("datatype", CONTENTS)
async def test_contents_of_every_datatype_are_answered_with_contents(
    datatype: str, router: Doors, channel: grpc.aio.Channel
) -> None:
    field, values = CONTENTS[datatype]
    dtype = OURS.get(datatype, datatype.lower())
    sent = {"name": "x", "datatype": datatype, "shape": [2], "contents": {field: values}}
    async with runtime() as address:
        router.servable("model-1", same(Field(name="x", dtype=dtype, shape=(2,))), address)
        found = await infer(channel, id="42", inputs=[sent])
        assert (found.model_name, found.model_version, found.id) == ("model-1", "1", "42")
        assert not found.raw_output_contents
        [output] = found.outputs
        assert (output.name, output.datatype, output.shape) == ("x", datatype, [2])
        assert list(getattr(output.contents, field)) == values


async def test_half_precision_is_raw_whatever_was_asked(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    async def model(asked: PredictRequest, _: object) -> Outputs:
        values = list(asked.inputs["x"].float_val)
        return {"x": make("float16", values, (2,)), "y": make("float32", values, (2,))}

    outputs = (Field(name="x", dtype="float16"), Field(name="y", dtype="float32"))
    contract = Contract(inputs=(Field(name="x", dtype="float32"),), outputs=outputs)
    sent = {"name": "x", "datatype": "FP32", "shape": [2], "contents": {"fp32_contents": [1, 2]}}
    async with runtime(model) as address:
        router.servable("model-1", contract, address)
        result = InferResult(await infer(channel, inputs=[sent]))
    assert result.as_numpy("x").tolist() == [1, 2]
    assert result.as_numpy("y").tolist() == [1, 2]


async def test_a_model_that_takes_nothing_is_answered_raw(
    router: Doors, client: InferenceServerClient
) -> None:
    async def model(*_: object) -> Outputs:
        return {"x": make("int64", [7], (1,))}

    contract = Contract(inputs=(), outputs=(Field(name="x", dtype="int64"),))
    async with runtime(model) as address:
        router.servable("model-1", contract, address)
        assert (await client.infer("model-1", [])).as_numpy("x").tolist() == [7]


async def test_a_great_many_elements_are_raw(
    monkeypatch: pytest.MonkeyPatch, router: Doors, channel: grpc.aio.Channel
) -> None:
    monkeypatch.setattr(of_inference, "MANY", 2)

    async def model(*_: object) -> Outputs:
        return {"x": make("int64", [1, 2, 3], (3,))}

    field = Field(name="x", dtype="int64", shape=(-1,))
    one = {"name": "x", "datatype": "INT64", "shape": [1], "contents": {"int64_contents": [1]}}
    more = {**one, "shape": [3], "contents": {"int64_contents": [1, 2, 3]}}
    async with runtime(model) as address:
        router.servable("model-1", same(field), address)
        result = InferResult(await infer(channel, inputs=[one]))
        assert result.as_numpy("x").tolist() == [1, 2, 3]
        with pytest.raises(grpc.aio.AioRpcError, match="are for raw_input_contents"):
            await infer(channel, inputs=[more])


async def test_the_server_says_what_it_is(router: Doors, client: InferenceServerClient) -> None:
    assert await client.is_server_live()
    assert await client.is_server_ready()
    metadata = await client.get_server_metadata()
    assert (metadata.name, metadata.version) == ("slipway", "2")
    router.unready.append("the routes are not known yet")
    assert await client.is_server_live()
    assert not await client.is_server_ready()


async def test_a_model_says_what_it_takes_and_gives(
    router: Doors, client: InferenceServerClient
) -> None:
    fields = (
        X,
        Field(name="any", dtype="string"),
        Field(name="one", dtype="qint8", shape=()),
        Field(name="odd", dtype="complex64", shape=(2,)),
        Field(name="map", fields=(X,)),
    )
    async with runtime() as address:
        job = router.servable("claims-2-calm-owl", same(*fields), address, version="2")
        router.application("claims", job, revision=5)
        metadata = await client.get_model_metadata("claims-2-calm-owl")
        assert (metadata.name, metadata.versions) == ("claims-2-calm-owl", ["2"])
        assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
            ("x", "FP32", [-1, 2]),
            ("any", "BYTES", [-1]),
            ("one", "INT8", []),
            ("odd", "COMPLEX64", [2]),
            ("map", "MAP", [-1]),
        ]
        metadata = await client.get_model_metadata("claims", "5")
        assert (metadata.platform, metadata.versions) == ("slipway_application", ["5"])
        assert await client.is_model_ready("claims")
        assert await client.is_model_ready("claims", "5")
        with pytest.raises(InferenceServerException, match="'claims' has no version '4'"):
            await client.is_model_ready("claims", "4")
        with pytest.raises(InferenceServerException, match="no model 'nobody'"):
            await client.get_model_metadata("nobody")


async def test_a_model_without_a_server_is_not_ready(
    router: Doors, client: InferenceServerClient
) -> None:
    router.application("coming")
    assert not await client.is_model_ready("coming")
    with pytest.raises(InferenceServerException, match="waits for claims:1") as said:
        await client.get_model_metadata("coming")
    assert said.value.status() == "StatusCode.UNAVAILABLE"
    job = router.servable("gone-1", same(X), "http://127.0.0.1:1")
    assert await client.is_model_ready("gone-1")
    router.table.close(job, 1)
    assert not await client.is_model_ready("gone-1")


async def test_only_the_outputs_that_are_wanted_come(
    router: Doors, client: InferenceServerClient
) -> None:
    odd = Field(name="odd", dtype="complex64", shape=())

    async def model(asked: PredictRequest, _: object) -> Outputs:
        x = asked.inputs["x"]
        return {"x": x, "y": x, "z": x, "odd": make("complex64", [1, 2], ())}

    outputs = tuple(Field(name=name, dtype="float32") for name in "xyz")
    array = np.ones((1, 2), np.float32)
    async with runtime(model) as address:
        contract = Contract(inputs=(X,), outputs=(*outputs, odd))
        router.servable("model-1", contract, address)
        wanted = [InferRequestedOutput("z"), InferRequestedOutput("x")]
        result = await client.infer("model-1", [tensor(array)], outputs=wanted, request_id="9")
        assert [one.name for one in result.get_response().outputs] == ["z", "x"]
        assert result.get_response().id == "9"
        with pytest.raises(InferenceServerException, match="no output 'w'; there are 'x', 'y'"):
            await client.infer("model-1", [tensor(array)], outputs=[InferRequestedOutput("w")])
        with pytest.raises(InferenceServerException, match="'odd' is COMPLEX64, which"):
            await client.infer("model-1", [tensor(array)])


async def test_what_is_wrong_is_said(router: Doors, client: InferenceServerClient) -> None:
    async with runtime() as address:
        router.servable("model-1", same(X), address)

        async def told(*inputs: InferInput, name: str = "model-1") -> tuple[str, str]:
            with pytest.raises(InferenceServerException) as said:
                await client.infer(name, list(inputs))
            return said.value.status().removeprefix("StatusCode."), said.value.message()

        good = tensor(np.ones((1, 2), np.float32))
        code, text = await told(good, name="nobody")
        assert (code, text) == ("NOT_FOUND", "There is no model 'nobody'")
        code, text = await told()
        assert (code, text) == ("INVALID_ARGUMENT", "inputs: 'x' missing")
        code, text = await told(tensor(np.ones((1, 2), np.float64)))
        assert (code, text) == (
            "INVALID_ARGUMENT",
            "inputs[0].datatype: 'x' is FP32, and FP64 came",
        )
        code, text = await told(tensor(np.ones((1, 3), np.float32)))
        assert code == "INVALID_ARGUMENT"
        assert text.startswith("Multiple validation errors:")
        good._raw_content = good._raw_content[:-1]
        code, text = await told(good)
        assert "7 bytes came; 2 elements of FP32 are 8" in text


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"inputs": [{"name": "x"}] * 1001}, "inputs: 1001 tensors; 1000 are allowed"),
        ({"outputs": [{"name": "x"}] * 1001}, "outputs: 1001 tensors; 1000 are allowed"),
        ({"raw_input_contents": [b""]}, "raw_input_contents: 1 came for 0 inputs"),
        (
            {
                "inputs": [{"name": "x", "datatype": "FP32", "contents": {"fp32_contents": [1]}}],
                "raw_input_contents": [b"1234"],
            },
            "inputs[0].contents: is not for a request with raw_input_contents",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "contents": {"int_contents": [1]}}]},
            "inputs[0].contents.int_contents: FP32 is in fp32_contents",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP16", "contents": {"fp32_contents": [1]}}]},
            "FP16 is for raw_input_contents alone",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FLOAT"}]},
            "inputs[0].datatype: 'FLOAT' is not one of BOOL",
        ),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2]}]}, "0 elements came; the"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]}, "-1 is less than 0"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1] * 65}]}, "64 dimensions"),
    ],
)
async def test_contents_are_one_thing(
    asked: dict, wrong: str, router: Doors, channel: grpc.aio.Channel
) -> None:
    router.servable("model-1", same(X), "http://127.0.0.1:1")
    with pytest.raises(grpc.aio.AioRpcError) as said:
        await infer(channel, **asked)
    assert said.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert wrong in said.value.details()


async def test_outputs_that_only_another_model_of_the_stage_gives_are_left_out(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    more = Contract(inputs=(X,), outputs=(X, Field(name="more", dtype="float32", shape=())))
    async with runtime() as address:
        one = router.servable("one", same(X), address)
        two = router.servable("two", more, address)
        router.application("model-1", one, shadow=two)
        asked = ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 2])
        asked.contents.fp32_contents.extend([1, 2])
        answer = await infer(channel, inputs=[asked])
        assert [each.name for each in answer.outputs] == ["x"]
        with pytest.raises(grpc.aio.AioRpcError) as said:
            await infer(
                channel,
                inputs=[asked],
                outputs=[ModelInferRequest.InferRequestedOutputTensor(name="more")],
            )
        assert said.value.code() is grpc.StatusCode.INTERNAL

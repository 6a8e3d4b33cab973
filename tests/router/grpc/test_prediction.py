"""PredictionService on the router's port, asked with grpcio: of real runtimes, in all its types."""

from __future__ import annotations

import asyncio

import grpc
import numpy as np
import pytest
from google.protobuf.empty_pb2 import Empty

from services.router.gateway.gateway import Options
from services.router.gateway.tensors import elements, make
from shared.contract import DTYPES, Contract, Field
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import (
    PredictRequest,
    PredictResponse,
    StatusResponse,
)
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.router.models import SERVICE, Doors, Outputs, doors, runtime, same

X = Field(name="x", dtype="int64", shape=())


async def predict(
    channel: grpc.aio.Channel, name: str, timeout: float | None = 10, **inputs: TensorProto
) -> Outputs:
    call = channel.unary_unary(
        f"/{SERVICE}/Predict",
        request_serializer=PredictRequest.SerializeToString,
        response_deserializer=PredictResponse.FromString,
    )
    asked = PredictRequest(model_spec=ModelSpec(name=name), inputs=inputs)
    return (await call(asked, timeout=timeout)).outputs


async def refused(
    channel: grpc.aio.Channel, name: str, timeout: float | None = 10, **inputs: TensorProto
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as said:
        await predict(channel, name, timeout, **inputs)
    return said.value


def number(value: int = 7) -> TensorProto:
    return make("int64", [value], ())


ELEMENTS = {
    "bool": [True, False],
    "string": [b"a", "ü".encode()],
    "variant": [],
    "complex64": [1.5, -2.0, 0.0, 1.0],
    "complex128": [1.5, -2.0, 0.0, 1.0],
    "float16": [1.5, -2.0],
    "float32": [1.5, -2.0],
    "float64": [1.5, -2.0],
}


@pytest.mark.parametrize("dtype", DTYPES)
async def test_a_tensor_of_every_type_comes_back_as_it_was(
    dtype, router: Doors, channel: grpc.aio.Channel
) -> None:
    field = Field(name="x", dtype=dtype, shape=(-1,))
    sent = make(dtype, ELEMENTS.get(dtype, [1, 2]), (2,))
    if dtype == "variant":
        sent.variant_val.add(type_name="t", metadata=b"m")
        sent.variant_val.add(type_name="u")
    async with runtime() as address:
        router.servable("model-1", same(field), address)
        assert (await predict(channel, "model-1", x=sent))["x"] == sent


async def test_elements_may_be_sent_as_bytes(router: Doors, channel: grpc.aio.Channel) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    sent = TensorProto(dtype=LAYOUTS["float32"].number, tensor_content=array.tobytes())
    for size in array.shape:
        sent.tensor_shape.dim.add(size=size)
    field = Field(name="x", dtype="float32", shape=(-1, 3))
    async with runtime() as address:
        router.servable("model-1", same(field), address)
        assert elements((await predict(channel, "model-1", x=sent))["x"]) == [*range(6)]


async def test_a_servable_goes_before_an_application_of_its_name(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    async def doubled(asked: PredictRequest, _: object) -> Outputs:
        return {"x": make("int64", [2 * asked.inputs["x"].int64_val[0]], ())}

    async with runtime() as plain, runtime(doubled) as twice:
        job = router.servable("claims-1", same(X), twice)
        router.application("claims", job, job)
        assert (await predict(channel, "claims", x=number()))["x"] == number(28)
        router.servable("claims", same(X), plain)
        assert (await predict(channel, "claims", x=number()))["x"] == number(7)


async def test_the_runtime_is_told_whose_version_is_meant(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    seen = []

    async def model(asked: PredictRequest, _: object) -> Outputs:
        seen.append(asked.model_spec)
        return asked.inputs

    async with runtime(model) as address:
        router.servable("claims-3-calm-owl", same(X), address, version="3")
        await predict(channel, "claims-3-calm-owl", x=number())
    assert (seen[0].version.value, seen[0].signature_name) == (3, "Predict")


async def test_the_router_says_that_it_serves(channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary(
        f"/{SERVICE}/Status",
        request_serializer=Empty.SerializeToString,
        response_deserializer=StatusResponse.FromString,
    )
    assert (await call(Empty())).status == StatusResponse.SERVING


async def test_nobody_of_that_name_is_not_found(channel: grpc.aio.Channel) -> None:
    error = await refused(channel, "nobody", x=number())
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "'nobody'" in error.details()
    error = await refused(channel, "", x=number())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "model_spec.name" in error.details()


async def test_what_breaks_the_contract_is_the_callers_fault(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    async with runtime() as address:
        router.servable("model-1", same(X), address)
        error = await refused(channel, "model-1", x=make("int32", [1], ()))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details().startswith("Multiple validation errors:\n")
        assert "int32" in error.details()
        assert (await refused(channel, "model-1")).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_text_that_is_long_is_cut_and_still_arrives(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    names = [f"größe-{n:04}" for n in range(400)]
    async with runtime() as address:
        router.servable(
            "model-1", same(*(Field(name=name, dtype="int64") for name in names)), address
        )
        error = await refused(channel, "model-1")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().endswith("…")


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (grpc.StatusCode.INTERNAL, "ValueError('no')", grpc.StatusCode.INTERNAL),
        (grpc.StatusCode.INVALID_ARGUMENT, "not that", grpc.StatusCode.INVALID_ARGUMENT),
        (grpc.StatusCode.UNAVAILABLE, "later", grpc.StatusCode.UNAVAILABLE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "enough", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_models_own_error_is_passed_on(
    code, text, told, router: Doors, channel: grpc.aio.Channel
) -> None:
    async def model(_: PredictRequest, context: grpc.aio.ServicerContext) -> Outputs:
        await context.abort(code, text)

    async with runtime(model) as address:
        router.servable("model-1", same(X), address)
        error = await refused(channel, "model-1", x=number())
    assert error.code() is told
    assert text in error.details()


async def test_a_model_that_lies_is_at_fault(router: Doors, channel: grpc.aio.Channel) -> None:
    async def model(_: PredictRequest, context: object) -> Outputs:
        return {"x": make("string", [b"seven"], ())}

    async with runtime(model) as address:
        router.servable("model-1", same(X), address)
        error = await refused(channel, "model-1", x=number())
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "broke its contract" in error.details()


async def test_who_can_not_answer_yet_says_when_to_ask_again(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    router.application("claims")
    error = await refused(channel, "claims", x=number())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "waits for claims:1" in error.details()
    again = dict(error.trailing_metadata())
    assert int(again["grpc-retry-pushback-ms"]) == 1000 * int(again["retry-after"])


async def test_the_callers_deadline_counts_where_it_is_sooner(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    gone = asyncio.Event()

    async def model(_: PredictRequest, context: grpc.aio.ServicerContext) -> Outputs:
        assert context.time_remaining() < 2
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            gone.set()
            raise
        return {}

    async with runtime(model) as address:
        router.servable("model-1", same(X), address)
        error = await refused(channel, "model-1", 0.3, x=number())
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(10):
            await gone.wait()


async def test_our_deadline_counts_where_it_is_sooner() -> None:
    async def model(*_: object) -> Outputs:
        await asyncio.sleep(60)
        return {}

    async with (
        runtime(model) as address,
        doors(options=Options(deadline=0.2)) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        router.servable("model-1", same(X), address)
        error = await refused(channel, "model-1", None, x=number())
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "model-1 did not answer within" in error.details()


async def test_a_caller_that_goes_away_takes_its_request_along(
    router: Doors, channel: grpc.aio.Channel
) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def model(*_: object) -> Outputs:
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            gone.set()
            raise
        return {}

    async with runtime(model) as address:
        router.servable("model-1", same(X), address)
        task = asyncio.ensure_future(predict(channel, "model-1", None, x=number()))
        async with asyncio.timeout(10):
            await asked.wait()
            task.cancel()
            await gone.wait()


async def test_large_tensors_pass(router: Doors, channel: grpc.aio.Channel) -> None:
    array = np.random.default_rng(1).random((4, 224, 224, 3), np.float32)
    sent = TensorProto(dtype=LAYOUTS["float32"].number, float_val=array.ravel())
    for size in array.shape:
        sent.tensor_shape.dim.add(size=size)
    field = Field(name="x", dtype="float32", shape=(-1, 224, 224, 3))
    async with runtime() as address:
        router.servable("model-1", same(field), address)
        found = (await predict(channel, "model-1", x=sent))["x"]
    assert np.array_equal(np.array(found.float_val, np.float32), array.ravel())


async def test_maps_pass(router: Doors, channel: grpc.aio.Channel) -> None:
    field = Field(name="x", fields=(Field(name="y", dtype="int64", shape=()),))
    sent = TensorProto(dtype=27, map_val={"y": number()})
    sent.tensor_shape.SetInParent()
    contract = Contract(inputs=(field,), outputs=(field,))
    async with runtime() as address:
        router.servable("model-1", contract, address)
        assert (await predict(channel, "model-1", x=sent))["x"].map_val["y"] == number()


async def test_a_message_of_very_many_pieces_is_refused_before_it_is_read() -> None:
    lie = TensorProto(dtype=LAYOUTS["string"].number, string_val=[b""] * (1 << 21))
    async with doors() as router, grpc.aio.insecure_channel(router.address) as channel:
        error = await refused(channel, "model-1", x=lie)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "pieces allowed" in error.details()

"""Clients of the router's gRPC port that mean no good, or know no better."""

from __future__ import annotations

import asyncio
import struct

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.router.gateway.intake import Room
from services.router.gateway.tensors import make
from services.router.grpc.server import Limits
from shared.contract import Field
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest
from tests.router.grpc.test_prediction import X, number, predict, refused
from tests.router.models import SERVICE, Doors, Outputs, doors, runtime, same

PREDICT = f"/{SERVICE}/Predict"
METHODS = (
    PREDICT,
    f"/{SERVICE}/Status",
    "/grpc.health.v1.Health/Check",
    *(
        f"/inference.GRPCInferenceService/{name}"
        for name in (
            "ServerLive",
            "ServerReady",
            "ServerMetadata",
            "ModelReady",
            "ModelMetadata",
            "ModelInfer",
        )
    ),
)
MEANT = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
}


async def ask(channel: grpc.aio.Channel, method: str, data: bytes) -> grpc.StatusCode:
    call = channel.unary_unary(method)(data, timeout=10)
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("method", METHODS)
async def test_bytes_that_are_no_message_are_refused(method: str, channel) -> None:
    assert await ask(channel, method, b"\xff\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", METHODS)
@given(data=st.binary(max_size=80))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_sent_gets_a_meant_answer(method: str, data: bytes, lasting) -> None:
    assert lasting(method, data) in MEANT


@pytest.fixture(scope="module")
def lasting():
    """Asks a router that lasts for all the examples of a test."""
    with asyncio.Runner() as runner:
        entered = doors()
        found = runner.run(entered.__aenter__())

        async def once(method: str, data: bytes) -> grpc.StatusCode:
            async with grpc.aio.insecure_channel(found.address) as channel:
                return await ask(channel, method, data)

        yield lambda method, data: runner.run(once(method, data))
        runner.run(entered.__aexit__(None, None, None))


async def test_unknown_methods_are_unimplemented(channel: grpc.aio.Channel) -> None:
    for method in (
        f"/{SERVICE}/Classify",
        "/a/b",
        "/inference.GRPCInferenceService/ModelStreamInfer",
    ):
        assert await ask(channel, method, b"") is grpc.StatusCode.UNIMPLEMENTED


async def test_a_call_without_a_message_is_refused(channel: grpc.aio.Channel) -> None:
    async def nothing():
        return
        yield b""

    with pytest.raises(grpc.aio.AioRpcError) as said:
        await channel.stream_unary(PREDICT)(nothing(), timeout=10)
    assert said.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no message" in said.value.details()


async def test_a_message_that_does_not_come_is_not_waited_for() -> None:
    never = asyncio.Event()

    async def slow():
        await never.wait()
        yield b""

    async with (
        doors(limits=Limits(slow=0.1)) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as said:
            await channel.stream_unary(PREDICT)(slow(), timeout=10)
    assert said.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert said.value.details() == "The request does not come"


async def test_a_second_message_changes_nothing(router: Doors, channel: grpc.aio.Channel) -> None:
    async def both():
        asked = PredictRequest(inputs={"x": number()})
        asked.model_spec.name = "model-1"
        yield asked.SerializeToString()
        yield b"\xff"

    async with runtime() as address:
        router.servable("model-1", same(X), address)
        assert await channel.stream_unary(PREDICT)(both(), timeout=10)


async def test_a_message_that_is_too_large_is_refused() -> None:
    async with (
        doors(limits=Limits(message=1000)) as router,
        grpc.aio.insecure_channel(router.address) as channel,
        runtime() as address,
    ):
        router.servable("model-1", same(X), address)
        code = await ask(channel, PREDICT, b"x" * 1001)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await predict(channel, "model-1", x=number()))["x"] == number()


async def test_what_is_in_hand_has_its_limit() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def model(got: PredictRequest, _: object) -> Outputs:
        asked.set()
        await go.wait()
        return got.inputs

    text = Field(name="x", dtype="string", shape=())
    large = make("string", [b"x" * 600], ())
    async with (
        doors(room=Room(bodies=1000)) as router,
        grpc.aio.insecure_channel(router.address) as channel,
        runtime(model) as address,
    ):
        router.servable("model-1", same(text), address)
        first = asyncio.ensure_future(predict(channel, "model-1", x=large))
        async with asyncio.timeout(10):
            await asked.wait()
        error = await refused(channel, "model-1", x=large)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "retry-after" in dict(error.trailing_metadata())
        go.set()
        assert (await first)["x"] == large
        assert (await predict(channel, "model-1", x=large))["x"] == large


async def test_a_message_that_grows_when_it_is_unpacked_is_refused(router: Doors) -> None:
    packed = grpc.aio.insecure_channel(router.address, compression=grpc.Compression.Gzip)
    async with packed as channel:
        assert await ask(channel, PREDICT, bytes(1_000_000)) is grpc.StatusCode.UNIMPLEMENTED


async def test_more_calls_than_there_is_room_for_are_refused() -> None:
    go = asyncio.Event()

    async def model(got: PredictRequest, _: object) -> Outputs:
        await go.wait()
        return got.inputs

    async with (
        doors(limits=Limits(calls=3)) as router,
        grpc.aio.insecure_channel(router.address) as channel,
        runtime(model) as address,
    ):
        router.servable("model-1", same(X), address)
        tasks = [asyncio.ensure_future(predict(channel, "model-1", x=number())) for _ in range(5)]
        async with asyncio.timeout(10):
            while sum(task.done() for task in tasks) < 2:
                await asyncio.sleep(0.01)
        go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    codes = [answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2


async def test_metadata_has_its_limit(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as said:
        await channel.unary_unary(PREDICT)(b"", metadata=[("x", "y" * 20_000)], timeout=10)
    assert said.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def raw(router: Doors, data: bytes) -> bytes:
    """All that comes back until the router closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.grpc)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = struct.pack(">HBBBI", 0, 0, 4, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: router\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        HELLO,
        HELLO + SETTINGS + b"\xff" * 1000,
        HELLO + SETTINGS + struct.pack(">HBBBI", 0xFF, 0xFF, 0, 0, 1),
        HELLO + SETTINGS + struct.pack(">HBBBI", 0, 8, 6, 0, 0) + b"12345678",
    ],
    ids=["nothing", "http1", "tls", "hello", "junk", "huge-frame", "ping"],
)
async def test_connections_that_speak_something_else_harm_nobody(
    data: bytes, router: Doors, channel: grpc.aio.Channel
) -> None:
    await raw(router, data)
    async with runtime() as address:
        router.servable("model-1", same(X), address)
        assert (await predict(channel, "model-1", x=number()))["x"] == number()


async def test_who_pings_too_often_is_shown_out(router: Doors) -> None:
    ping = struct.pack(">HBBBI", 0, 8, 6, 0, 0) + b"12345678"
    reader, writer = await asyncio.open_connection("127.0.0.1", router.grpc)
    writer.write(HELLO + SETTINGS)
    said = b""
    try:
        async with asyncio.timeout(10):
            while b"too_many_pings" not in said:
                writer.write(ping)
                said += await reader.read(4096)
    finally:
        writer.close()

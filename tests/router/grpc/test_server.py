"""The router's gRPC port opens and closes politely, and tells probes how it is."""

from __future__ import annotations

import asyncio
import errno
import socket

import grpc
import pytest

from services.router.gateway.gateway import Options
from services.router.grpc.server import serve
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest
from tests.router.grpc.test_prediction import X, number, predict
from tests.router.models import SERVICE, Doors, Outputs, doors, runtime, same

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


def named(name: str) -> bytes:
    return b"\x0a" + bytes([len(name)]) + name.encode()


async def check(channel: grpc.aio.Channel, asked: bytes = b"") -> bytes:
    return await channel.unary_unary("/grpc.health.v1.Health/Check")(asked, timeout=10)


async def test_probes_are_told_whether_it_serves(router: Doors, channel: grpc.aio.Channel) -> None:
    assert await check(channel) == SERVING
    for name in (SERVICE, "inference.GRPCInferenceService"):
        assert await check(channel, named(name)) == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as said:
        await check(channel, named("nobody"))
    assert said.value.code() is grpc.StatusCode.NOT_FOUND
    router.unready.append("the routes are not known yet")
    assert await check(channel) == NOT_SERVING


async def test_calls_in_hand_are_answered_before_it_ends() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def model(got: PredictRequest, _: object) -> Outputs:
        asked.set()
        await go.wait()
        return got.inputs

    async with runtime(model) as address:
        async with doors() as router:
            channel = grpc.aio.insecure_channel(router.address)
            router.servable("model-1", same(X), address)
            task = asyncio.ensure_future(predict(channel, "model-1", x=number()))
            async with asyncio.timeout(10):
                await asked.wait()
                router.stopping.set()
                while await _open(router.grpc):
                    await asyncio.sleep(0.01)
            assert not task.done()
            go.set()
            assert (await task)["x"] == number()
        await channel.close()


async def _open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_calls_that_take_too_long_to_end_are_cut_off() -> None:
    asked = asyncio.Event()

    async def model(*_: object) -> Outputs:
        asked.set()
        await asyncio.sleep(60)
        return {}

    async with runtime(model) as address:
        async with doors(options=Options()) as router:
            channel = grpc.aio.insecure_channel(router.address)
            router.servable("model-1", same(X), address)
            task = asyncio.ensure_future(predict(channel, "model-1", None, x=number()))
            async with asyncio.timeout(10):
                await asked.wait()
        with pytest.raises(grpc.aio.AioRpcError):
            await task
        await channel.close()


async def test_a_port_that_is_taken_is_an_error_of_a_socket() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as said:
            await serve((), host="127.0.0.1", port=port)(asyncio.Event())
        assert said.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError, match=r"[Cc]annot assign"):
        await serve((), host="203.0.113.1", port=0)(asyncio.Event())


async def test_it_listens_on_addresses_of_both_kinds() -> None:
    opened: list[int] = []
    stopping = asyncio.Event()
    stopping.set()
    for host in ("127.0.0.1", "::1", "0.0.0.0", "::"):
        await serve((), host=host, port=0, opened=opened.append)(stopping)
    assert len(opened) == 4
    assert all(opened)

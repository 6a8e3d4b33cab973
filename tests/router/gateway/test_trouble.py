"""Runtimes that fail, hang, lie and die: each gets its error, and nobody else notices."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import grpc
import pytest

from services.router.gateway.gateway import Options
from services.router.gateway.runtime import Ways
from services.router.gateway.tensors import make
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.unary.limits import Limits
from tests.router.gateway.behaviour import counted, fails, until
from tests.router.gateway.conftest import (
    NUMBER,
    Bed,
    bed,
    contract,
    echo,
    error,
    field,
    model,
    served,
)

POST = "/gateway/application/a"


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({}, "Missing 'x' field"),
        ({"x": make("int64", [1], ())}, "it is int64, and float64 is expected"),
        ({"x": make("float64", [1], None)}, "it has no shape"),
        ({"x": make("float64", [1, 2], ())}, "it has 2 elements"),
    ],
)
async def test_a_model_that_breaks_its_contract_is_named(
    router: Bed, outputs: dict[str, TensorProto], told: str
) -> None:
    with served(lambda request, context: PredictResponse(outputs=outputs)) as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        status, kind, information = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
    assert (status, kind) == (502, "ModelContractViolationError")
    assert information.startswith("m-j1:1 broke its contract. Multiple validation errors:\n")
    assert told in information
    assert counted(router, "violations") == {"model": 1}


@pytest.mark.parametrize(
    ("code", "status", "kind", "text"),
    [
        (grpc.StatusCode.INTERNAL, 500, "InternalServerError", "INTERNAL: why (m-j1:1)"),
        (grpc.StatusCode.UNKNOWN, 500, "InternalServerError", "UNKNOWN: why"),
        (grpc.StatusCode.OUT_OF_RANGE, 500, "InternalServerError", "OUT_OF_RANGE: why"),
        (grpc.StatusCode.INVALID_ARGUMENT, 400, "BadRequest", "INVALID_ARGUMENT: why"),
        (grpc.StatusCode.UNAVAILABLE, 503, "ServiceUnavailable", "UNAVAILABLE: why"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "DeadlineExceeded", "DEADLINE_EXCEEDED: why"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 503, "ServiceUnavailable", "UNAVAILABLE: "),
    ],
)
async def test_a_models_own_error_is_told_in_its_words(
    router: Bed, code: grpc.StatusCode, status: int, kind: str, text: str
) -> None:
    with served(fails(code, "why")) as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        found = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
    assert found[:2] == (status, kind)
    assert found[2].startswith(text)


async def test_a_message_that_is_too_large_for_a_model_is_the_callers(router: Bed) -> None:
    told = "Received message larger than max (9 vs. 4)"
    with served(fails(grpc.StatusCode.RESOURCE_EXHAUSTED, told)) as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        found = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
    assert found[:2] == (413, "PayloadTooLarge")


async def test_a_hanging_model_costs_its_deadline_and_nobody_else_anything() -> None:
    held = threading.Event()

    def hangs(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        held.wait(20)
        return echo(request, context)

    async with bed(options=Options(deadline=0.4)) as router:
        with served(hangs) as slow, served() as quick:
            router.serve(model("j1", NUMBER, slow.address), model("j2", NUMBER, quick.address))
            hanging = asyncio.create_task(router.post("/gateway/servable/s-j1", {"x": 1}))
            await until(lambda: len(slow.asked) == 1)
            assert (await router.post("/gateway/servable/s-j2", {"x": 1})).status == 200
            found = error(await hanging)
            held.set()
    assert found == (
        504,
        "DeadlineExceeded",
        "DEADLINE_EXCEEDED: s-j1 did not answer within 0.4 s",
    )


async def test_the_deadline_is_for_all_stages_together() -> None:
    def slow(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        time.sleep(0.25)
        return echo(request, context)

    async with bed(options=Options(deadline=0.4)) as router:
        with served(slow) as runtime:
            routes = [model(f"j{n}", NUMBER, runtime.address) for n in range(4)]
            router.serve(*routes, a=tuple(((route, 100),) for route in routes))
            assert error(await router.post(POST, {"x": 1}))[0] == 504
            await until(lambda: len(runtime.asked) == 2)


async def test_an_answer_that_is_too_large_is_the_models_failure() -> None:
    big = contract(field("x"), outputs=(field("y", "string"),))
    answer = PredictResponse(outputs={"y": make("string", [b"y" * (300 << 20)], ())})
    options = Options(ways=Ways(patience=0.0, limits=Limits(message=257 << 20)))
    async with bed(options=options) as router:
        with served(lambda request, context: answer) as runtime, served() as other:
            router.serve(model("j1", big, runtime.address), model("j2", NUMBER, other.address))
            status, kind, _ = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
            assert (status, kind) == (502, "BadGateway")
            assert (await router.post("/gateway/servable/s-j2", {"x": 1})).status == 200


RUNTIME = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
import grpc
def predict(request, context):
    print("asked", flush=True)
    time.sleep(60)
server = grpc.server(ThreadPoolExecutor(4))
method = grpc.unary_unary_rpc_method_handler(predict)
service = "tensorflow.serving.PredictionService"
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Predict": method}),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


async def test_a_model_that_is_killed_in_the_middle_is_not_asked_again(router: Bed) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNTIME, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        address = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        with served() as other:
            router.serve(model("j1", NUMBER, address), model("j2", NUMBER, other.address))
            asking = asyncio.create_task(router.post("/gateway/servable/s-j1", {"x": 1}))
            assert await process.stdout.readline() == b"asked\n"
            process.kill()
            status, kind, information = error(await asking)
            assert (status, kind) == (502, "BadGateway")
            assert information.startswith("UNAVAILABLE: ")
            await process.wait()
            status, kind, _ = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
            assert (status, kind) == (503, "ServiceUnavailable")
            assert (await router.post("/gateway/servable/s-j2", {"x": 1})).status == 200
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_does_not_speak_grpc_is_told_so(router: Bed) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        router.serve(model("j1", NUMBER, f"http://127.0.0.1:{port}"))
        status, _, _ = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
        assert status == 503


@pytest.mark.parametrize("answer", [b"\xff", b"\x0a\x05\x0a\x01x", b""])
async def test_bytes_that_are_no_answer_are_the_models_fault(router: Bed, answer: bytes) -> None:
    with served(lambda request, context: answer) as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        status, kind, _ = error(await router.post("/gateway/servable/s-j1", {"x": 1}))
    assert (status, kind) == (502, "ModelContractViolationError")

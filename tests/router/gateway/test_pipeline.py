"""Requests through stages, with real runtimes that behave well and badly."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from math import sqrt
from random import Random

import grpc
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.gateway import Options
from services.router.gateway.runtime import Ways
from services.router.gateway.shadows import Bounds
from services.router.gateway.targets import Target, Variant
from services.router.gateway.tensors import Tensors, elements, make
from shared.contract import Contract
from shared.endpoint import Serving
from shared.lifecycle import State
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.unary.limits import Limits
from tests.router.gateway.conftest import (
    NUMBER,
    Answers,
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


def number(value: float) -> TensorProto:
    return make("float64", [value], ())


def says(**values: float) -> Answers:
    outputs = {name: number(value) for name, value in values.items()}
    return lambda request, context: PredictResponse(outputs=outputs)


def adds(amount: float) -> Answers:
    def answers(request: PredictRequest, _: grpc.ServicerContext) -> PredictResponse:
        (value,) = elements(request.inputs["x"])
        return PredictResponse(outputs={"x": number(value + amount)})

    return answers


def fails(code: grpc.StatusCode, detail: str) -> Answers:
    def answers(_: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        context.abort(code, detail)
        raise AssertionError

    return answers


def counted(router: Bed, name: str) -> dict[str, float]:
    """Samples of a metric, by the labels beside the target."""
    text = router.telemetry.render().decode()
    return {
        next(value for key, value in sample.labels.items() if key != "target"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"slipway_gateway_{name}_total"
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_servable_answers_by_its_contract(router: Bed) -> None:
    with served() as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        got = await router.post("/gateway/servable/s-j1", {"x": 1.5, "y": "dropped"})
        assert (got.status, msgspec.json.decode(got.body)) == (200, {"x": 1.5})
    (asked,) = runtime.asked
    assert set(asked.inputs) == {"x"}
    assert asked.model_spec.name == "m-j1"
    assert asked.model_spec.version.value == 1
    assert asked.model_spec.signature_name == "Predict"


async def test_the_output_of_a_stage_is_all_that_the_next_one_gets(router: Bed) -> None:
    first = contract(field("x"), field("z"), outputs=(field("y"),))
    second = contract(field("y"), outputs=(field("w"),))
    with (
        served(says(y=2, x=9, other=9)) as one,
        served(says(w=3)) as two,
    ):
        routes = (model("j1", first, one.address), model("j2", second, two.address))
        router.serve(*routes, a=tuple(((route, 100),) for route in routes))
        got = await router.post(POST, {"x": 1, "z": 1})
        assert msgspec.json.decode(got.body) == {"w": 3.0}
    assert set(two.asked[0].inputs) == {"y"}


async def test_ten_thousand_requests_are_split_as_written(router: Bed) -> None:
    first, second = model("j1"), model("j2")
    answered: Counter[str] = Counter()

    async with bed(random=Random(7), options=Options(bounds=Bounds(shadows=0))) as found:
        with served(says(x=1)) as one, served(says(x=2)) as two:
            routes = (model("j1", NUMBER, one.address), model("j2", NUMBER, two.address))
            found.serve(*routes, a=(((routes[0], 80), (routes[1], 20)),))
            target = found.gateway.find("a")
            assert target is not None

            async def some(times: int) -> None:
                for _ in range(times):
                    outputs = await found.gateway.predict(target, {"x": number(0)})
                    answered[str(elements(outputs["x"])[0])] += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(some(500))
    assert first.job != second.job
    assert abs(answered["1.0"] - 8000) < 4 * sqrt(10_000 * 0.8 * 0.2)
    assert answered.total() == 10_000


async def test_shadows_get_the_same_request_and_sampled_answers() -> None:
    seen: list[tuple[str, str, float]] = []

    def sample(target: Target, variant: Variant, inputs: Tensors, outputs: Tensors) -> None:
        seen.append((target.name, variant.job, elements(outputs["x"])[0]))

    async with bed(sampler=sample) as router:
        with served(says(x=1)) as one, served(says(x=2)) as two:
            routes = (model("j1", NUMBER, one.address), model("j2", NUMBER, two.address))
            router.serve(*routes, a=(((routes[0], 100), (routes[1], 0)),))
            got = await router.post(POST, {"x": 5})
            assert msgspec.json.decode(got.body) == {"x": 1.0}
            await until(lambda: len(seen) == 2)
            assert sorted(seen) == [("a", "j1", 1.0), ("a", "j2", 2.0)]
            assert one.asked[0].inputs["x"] == two.asked[0].inputs["x"]
            assert counted(router, "shadows") == {"sent": 1, "dropped": 0, "failed": 0}


async def test_what_a_sampler_raises_reaches_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def sample(target: Target, variant: Variant, inputs: Tensors, outputs: Tensors) -> None:
        raise ValueError("full")

    async with bed(sampler=sample) as router:
        with served() as runtime:
            router.serve(model("j1", NUMBER, runtime.address))
            assert (await router.post("/gateway/servable/s-j1", {"x": 1})).status == 200
            await until(lambda: "a sample was not taken" in caplog.text)


@pytest.mark.parametrize(
    "shadow",
    [
        fails(grpc.StatusCode.INTERNAL, "broken"),
        says(),
        lambda request, context: PredictResponse(outputs={"x": make("bool", [True], ())}),
        lambda request, context: threading.Event().wait(1.0) or echo(request, context),
    ],
    ids=["fails", "gives nothing", "lies", "hangs"],
)
async def test_a_bad_shadow_matters_to_nobody(router: Bed, shadow: Answers) -> None:
    with served(says(x=1)) as one, served(shadow) as two:
        routes = (model("j1", NUMBER, one.address), model("j2", NUMBER, two.address))
        gone = model("j3", NUMBER, state=State.STOPPED)
        router.serve(*routes, gone, a=(((routes[0], 100), (routes[1], 0), (gone, 0)),))
        for _ in range(3):
            got = await router.post(POST, {"x": 5})
            assert msgspec.json.decode(got.body) == {"x": 1.0}
        assert counted(router, "shadows")["dropped"] >= 3


async def test_shadows_are_bounded_and_dropped_beyond() -> None:
    held = threading.Event()

    def hangs(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        held.wait(20)
        return echo(request, context)

    async with bed(options=Options(bounds=Bounds(shadows=3))) as router:
        with served(says(x=1)) as one, served(hangs) as two:
            routes = (model("j1", NUMBER, one.address), model("j2", NUMBER, two.address))
            router.serve(*routes, a=(((routes[0], 100), (routes[1], 0)),))
            for _ in range(10):
                assert (await router.post(POST, {"x": 5})).status == 200
            await until(lambda: len(two.asked) == 3)
            assert counted(router, "shadows") == {"sent": 3, "dropped": 7, "failed": 0}
            held.set()
            await until(lambda: len(router.gateway._shadows) == 0)


async def test_shadows_leave_a_runtime_half_of_its_places() -> None:
    held = threading.Event()

    def hangs(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        held.wait(20)
        return echo(request, context)

    async with bed() as router:
        with served(says(x=1)) as one, served(hangs) as two:
            shadow = model("j2", NUMBER, two.address, serving=Serving(concurrency=4))
            routes = (model("j1", NUMBER, one.address), shadow)
            router.serve(*routes, a=(((routes[0], 100), (routes[1], 0)),))
            for _ in range(6):
                assert (await router.post(POST, {"x": 5})).status == 200
            assert counted(router, "shadows")["sent"] == 2
            held.set()


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


async def test_a_model_without_a_copy_is_told_from_one_that_is_over(router: Bed) -> None:
    routes = (
        model("j1", NUMBER, "http://127.0.0.1:1", state=State.QUEUED, reason="no room"),
        model("j2", NUMBER),
        model("j3", NUMBER, "http://127.0.0.1:1"),
    )
    router.serve(*routes)
    for name, text in (
        ("s-j1", "m-j1:1 is queued: no room"),
        ("s-j2", "no copy of m-j2:1 takes requests now"),
        ("s-j3", "It refuses connections."),
    ):
        got = await router.post(f"/gateway/servable/{name}", {"x": 1})
        status, kind, information = error(got)
        assert (status, kind) == (503, "ServiceUnavailable")
        assert information.startswith("UNAVAILABLE: ")
        assert text in information
        assert got.value("retry-after")


async def test_who_can_not_be_reached_is_passed_over(router: Bed) -> None:
    with socket.socket() as closed, served() as runtime:
        closed.bind(("127.0.0.1", 0))  # and listens to nobody
        away = f"http://127.0.0.1:{closed.getsockname()[1]}"
        router.serve(model("j1", NUMBER, away, runtime.address))
        for _ in range(20):
            assert (await router.post("/gateway/servable/s-j1", {"x": 1})).status == 200
    assert len(runtime.asked) == 20


async def test_more_than_a_model_takes_is_shed() -> None:
    held = threading.Event()

    def hangs(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        held.wait(20)
        return echo(request, context)

    async with bed() as router:
        with served(hangs) as runtime:
            serving = Serving(concurrency=2, waiting=1)
            router.serve(model("j1", NUMBER, runtime.address, serving=serving))
            asks = [
                asyncio.create_task(router.post("/gateway/servable/s-j1", {"x": 1}))
                for _ in range(5)
            ]
            done, _ = await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
            await until(lambda: sum(ask.done() for ask in asks) == 2)
            for ask in [ask for ask in asks if ask.done()]:
                assert error(ask.result())[:2] == (503, "ServiceUnavailable")
                assert ask.result().value("retry-after")
            held.set()
            found = Counter([(await ask).status for ask in asks])
    assert found == {200: 3, 503: 2}
    assert done


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


async def test_bytes_that_are_no_answer_are_the_models_fault(router: Bed) -> None:
    with served() as runtime:
        garbage = PredictResponse()
        garbage.outputs["x"].CopyFrom(number(1))
        runtime.answers = lambda request, context: garbage
        broken: Contract = contract(field("x"), outputs=(field("y"),))
        router.serve(model("j1", broken, runtime.address))
        assert error(await router.post("/gateway/servable/s-j1", {"x": 1}))[0] == 502


async def test_a_call_without_http_gets_the_violations_of_its_caller(router: Bed) -> None:
    with served() as runtime:
        router.serve(model("j1", contract(field("x"), field("y")), runtime.address))
        target = router.gateway.find("s-j1")
        assert target is not None
        with pytest.raises(GatewayError) as caught:
            await router.gateway.predict(target, {"x": make("bool", [True], ())})
    assert caught.value.kind is Kind.VIOLATION
    assert caught.value.status == 400
    assert caught.value.information == (
        "Multiple validation errors:\n"
        "Invalid 'x' field: it is bool, and float64 is expected\n"
        "Missing 'y' field"
    )
    assert counted(router, "violations") == {"caller": 1}

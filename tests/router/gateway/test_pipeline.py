"""Requests through stages, with real runtimes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from math import sqrt
from random import Random

import grpc
import msgspec
import pytest

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.gateway import Options
from services.router.gateway.shadows import Bounds
from services.router.gateway.tensors import elements, make, make_map
from shared.endpoint import Serving
from shared.lifecycle import State
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.router.gateway.behaviour import counted, number, says, until
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


async def test_what_a_map_holds_beside_its_fields_is_dropped(router: Bed) -> None:
    odd = TensorProto(dtype=999)
    outputs = {"m": make_map({"a": number(2), "odd": odd, "deep": make_map({"odd": odd})})}
    gives = contract(field("x"), outputs=(field("m", None, fields=(field("a"),)),))
    with served(lambda request, context: PredictResponse(outputs=outputs)) as runtime:
        router.serve(model("j1", gives, runtime.address))
        got = await router.post("/gateway/servable/s-j1", {"x": 1})
        assert (got.status, got.body) == (200, b'{"m":{"a":2.0}}')


async def test_each_model_of_a_stage_answers_with_its_own_outputs(router: Bed) -> None:
    inner = (field("a"), field("b"))
    first = contract(field("x"), outputs=(field("y"), field("m", None, fields=inner[:1])))
    second = contract(
        field("x"), outputs=(field("y"), field("m", None, fields=inner), field("more"))
    )

    def answers(m: list[str], **values: float) -> Answers:
        outputs = {name: number(value) for name, value in values.items()}
        outputs["m"] = make_map({name: number(2) for name in m})
        return lambda request, context: PredictResponse(outputs=outputs)

    with served(answers(["a"], y=1)) as one, served(answers(["a", "b"], y=3, more=6)) as two:
        a, b = model("j1", first, one.address), model("j2", second, two.address)
        router.serve(a, b, a=(((a, 100), (b, 0)),))
        assert (await router.post(POST, {"x": 1})).body == b'{"y":1.0,"m":{"a":2.0}}'
        router.serve(a, b, a=(((a, 0), (b, 100)),))
        got = await router.post(POST, {"x": 1})
        assert got.body == b'{"y":3.0,"m":{"a":2.0,"b":2.0},"more":6.0}'


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
    assert abs(answered["1.0"] - 8000) < 4 * sqrt(10_000 * 0.8 * 0.2)
    assert answered.total() == 10_000


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

"""Copies of requests for variants that don't answer: sampled, bounded, and in nobody's way."""

from __future__ import annotations

import threading

import grpc
import msgspec
import pytest

from services.router.gateway.gateway import Options
from services.router.gateway.shadows import Bounds
from services.router.gateway.targets import Target, Variant
from services.router.gateway.tensors import Tensors, elements, make
from shared.endpoint import Serving
from shared.lifecycle import State
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from tests.router.gateway.behaviour import counted, fails, says, until
from tests.router.gateway.conftest import (
    NUMBER,
    Answers,
    Bed,
    bed,
    echo,
    model,
    served,
)

POST = "/gateway/application/a"


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

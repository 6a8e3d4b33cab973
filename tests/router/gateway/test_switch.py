"""Applying again: each request sees one revision, and none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import msgspec

from services.router.gateway.targets import Targets
from services.router.gateway.tensors import elements, make
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from tests.router.gateway.conftest import (
    NUMBER,
    Answers,
    Bed,
    application,
    contract,
    field,
    model,
    served,
)


def times(factor: float) -> Answers:
    def answers(request: PredictRequest, _: grpc.ServicerContext) -> PredictResponse:
        (value,) = elements(request.inputs["x"])
        return PredictResponse(outputs={"x": make("float64", [value * factor], ())})

    return answers


async def test_a_switch_under_load_mixes_no_revisions_and_loses_no_request(router: Bed) -> None:
    with (
        served(times(2)) as two,
        served(times(3)) as three,
        served(times(5)) as five,
        served(times(7)) as seven,
    ):
        old = [model("j1", NUMBER, two.address), model("j2", NUMBER, three.address)]
        new = [model("j3", NUMBER, five.address), model("j4", NUMBER, seven.address)]
        router.serve(*old, a=tuple(((route, 100),) for route in old))
        found: Counter[float] = Counter()
        over = asyncio.Event()

        async def client() -> None:
            while not over.is_set():
                got = await router.post("/gateway/application/a", {"x": 1})
                assert got.status == 200, got.body
                found[msgspec.json.decode(got.body)["x"]] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(client())
            for routes in (new, old, new):
                before = found.total()
                while found.total() < before + 30:
                    await asyncio.sleep(0.005)
                router.table.put(routes)
                stages = [((route, 100),) for route in routes]
                router.table.settle([application("a", *stages, revision=2)])
            before = found.total()
            while found.total() < before + 30:
                await asyncio.sleep(0.005)
            router.table.put([], [route.job for route in old])  # they are not needed any more
            before = found.total()
            while found.total() < before + 30:
                await asyncio.sleep(0.005)
            over.set()
    assert set(found) == {6.0, 35.0}


async def test_channels_are_closed_when_a_copy_goes_away(router: Bed) -> None:
    with served() as one, served() as two:
        router.serve(model("j1", NUMBER, one.address))
        assert (await router.post("/gateway/servable/s-j1", {"x": 1})).status == 200
        runtime = router.gateway._runtimes._known["j1"]  # type: ignore[index]
        channel = runtime._channels.at_hand(one.address)
        assert channel is not None
        router.serve(model("j1", NUMBER, two.address))
        assert not channel.usable()
        assert (await router.post("/gateway/servable/s-j1", {"x": 1})).status == 200
        assert len(two.asked) == 1
        router.table.put([], [model("j1").job])
        router.gateway.forget()
        assert not router.gateway._runtimes._known


def test_a_name_is_of_whoever_has_it_now() -> None:
    targets = Targets()
    route = model("j1")
    stage = ((route, 100),)
    targets.settle([application("a", stage, id="1")], ())
    targets.settle([application("a", stage, id="2")], ["2"])  # the first is gone, as we'll hear
    targets.settle([], ["1"])
    assert (found := targets.application("a"))
    assert found.id == "2"
    targets.settle([application("b", stage, id="2")], ["2"])
    assert targets.application("a") is None
    assert [one.name for one in targets.all("application")] == ["b"]
    targets.settle([], ["2"])
    assert not targets.all("application")
    targets.put([route])
    assert targets.servable("s-j1")
    targets.drop(route.job)
    targets.drop(route.job)
    assert not targets.all("servable")


def test_a_stage_takes_what_any_of_its_variants_takes() -> None:
    one = model("j1", contract(field("x", "int32", (-1, 3)), field("y")))
    two = model("j2", contract(field("x", "int32", (2, -1)), field("z")))
    targets = Targets()
    targets.settle([application("a", ((one, 50), (two, 50)))], ())
    found = targets.application("a")
    assert found is not None
    assert {one.name: one.shape for one in found.inputs} == {"x": (2, 3), "y": (), "z": ()}

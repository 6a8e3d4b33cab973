"""A router with a gateway on a real socket, and runtimes of grpcio's for it to ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
import msgspec
import pytest

from services.router.door import Door
from services.router.door import Options as DoorOptions
from services.router.gateway.aside import Aside
from services.router.gateway.gateway import Gateway, Options
from services.router.gateway.http import Pages
from services.router.gateway.intake import Room
from services.router.gateway.pipeline import Sampler, no_sampler
from services.router.gateway.runtime import Ways
from services.router.gateway.targets import Application
from services.router.main import serve
from services.router.proxy import Proxy
from services.router.table import Route, Table
from shared.address import Address
from shared.application import ApplicationState, Graph, Stage, Variant
from shared.contract import Contract, DType, Field, Shape
from shared.endpoint import Serving
from shared.ids import ApplicationId, JobId, VersionId
from shared.lifecycle import State
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.telemetry import Telemetry
from tests.router.conftest import Got, Router

SERVICE = "tensorflow.serving.PredictionService"

Answers = Callable[[PredictRequest, grpc.ServicerContext], PredictResponse | bytes]
"""Bytes go out as they are."""


def echo(request: PredictRequest, _: grpc.ServicerContext) -> PredictResponse:
    """Every input is an output."""
    return PredictResponse(outputs=dict(request.inputs))


class Served:
    """A runtime that answers as it is told, and remembers what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[PredictRequest] = []
        self.address = Address("")

    def predict(self, request: PredictRequest, context: grpc.ServicerContext) -> bytes:
        self.asked.append(request)
        answer = self.answers(request, context)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()


@contextmanager
def served(answers: Answers = echo, port: int = 0) -> Iterator[Served]:
    found = Served(answers)
    methods = {
        "Predict": grpc.unary_unary_rpc_method_handler(
            found.predict, PredictRequest.FromString, bytes
        )
    }
    unbounded = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    with ThreadPoolExecutor(20) as pool:
        server = grpc.server(pool, options=unbounded)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        found.address = Address(f"http://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}")
        server.start()
        try:
            yield found
        finally:
            server.stop(None).wait()


def field(
    name: str, dtype: DType | None = "float64", shape: Shape | None = (), **more: Any
) -> Field:
    return Field(name=name, dtype=dtype, shape=shape, **more)


def contract(*inputs: Field, outputs: tuple[Field, ...] | None = None) -> Contract:
    return Contract(inputs=inputs, outputs=inputs if outputs is None else outputs)


NUMBER = contract(field("x"))


def model(job: str, given: Contract = NUMBER, *addresses: str, **changes: Any) -> Route:
    found = Route(
        job=JobId(job),
        owner="ann",
        project="shop",
        deployment=None,
        version=VersionId(f"v{job}"),
        version_name="1",
        endpoint="model",
        state=State.RUNNING,
        attempt=1,
        addresses=tuple(map(Address, addresses)),
        reason="",
        format="hydrosphere",
        routes=False,
        serving=Serving(),
        model=f"m-{job}",
        contract=given,
        servable=f"s-{job}",
    )
    return msgspec.structs.replace(found, **changes)


def application(
    name: str, *stages: tuple[tuple[Route, int], ...], id: str = "", revision: int | None = 1
) -> Application:
    """Each stage has jobs and their weights. None: not ready yet."""
    graph = Graph(
        stages=tuple(
            Stage(
                variants=tuple(
                    Variant(
                        model=route.model or "",
                        version_name=route.version_name,
                        version=route.version,
                        weight=weight,
                        job=route.job,
                    )
                    for route, weight in stage
                )
            )
            for stage in stages
        )
    )
    routes = [route for stage in stages for route, _ in stage]
    return Application(
        id=ApplicationId(id or f"a-{name}"),
        name=name,
        state=ApplicationState.READY if revision else ApplicationState.ASSEMBLING,
        reason="",
        revision=revision,
        graph=graph if revision else None,
        contracts={route.version: route.contract for route in routes if route.contract},
    )


@dataclass
class Bed(Router):
    gateway: Gateway = None  # type: ignore[assignment]
    pages: Pages = None  # type: ignore[assignment]

    async def post(self, path: str, given: Any) -> Got:
        body = given if isinstance(given, bytes) else msgspec.json.encode(given)
        return await self.ask(path, method="POST", body=body)

    def serve(self, *routes: Route, **stages: tuple[tuple[tuple[Route, int], ...], ...]) -> None:
        """`routes` run, and each keyword is an application of these stages."""
        self.table.put(routes)
        self.table.settle([application(name, *found) for name, found in stages.items()])


def error(got: Got) -> tuple[int, str, str]:
    found = msgspec.json.decode(got.body)
    assert set(found) == {"error", "information"}
    return got.status, found["error"], found["information"]


@asynccontextmanager
async def bed(
    *,
    options: Options | None = None,
    room: Room | None = None,
    random: Random | None = None,
    sampler: Sampler = no_sampler,
    aside: Aside | None = None,
    lists: bool = True,
) -> AsyncIterator[Bed]:
    table, telemetry, stopping = Table(), Telemetry(), asyncio.Event()
    options = options or Options(deadline=10.0, ways=Ways(patience=0.0))
    gateway = Gateway(table, telemetry, options, random=random or Random(1), sampler=sampler)
    pages = Pages(gateway, room, aside, lists=lists)
    door = Door(table, Proxy(), telemetry, lambda: None, DoorOptions(), [pages])
    found = Bed(table, door, telemetry, gateway=gateway, pages=pages)
    opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        serve(door, host="127.0.0.1", port=0, grace=2.0, opened=opened.set_result)(stopping)
    )
    found.port = await opened
    try:
        yield found
    finally:
        for writer in found.clients:
            writer.close()
        await gateway.close()
        await pages.close()
        stopping.set()
        await task


@pytest.fixture
async def router() -> AsyncIterator[Bed]:  # type: ignore[override, unused-ignore]
    async with bed() as found:
        yield found

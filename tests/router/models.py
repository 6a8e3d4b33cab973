"""Models behind a router: real gRPC servers for runtimes, and a router with all of its doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.empty_pb2 import Empty

from services.router.door import Door
from services.router.door import Options as DoorOptions
from services.router.gateway.aside import Aside
from services.router.gateway.gateway import Gateway, Options
from services.router.gateway.intake import Intake, Room
from services.router.gateway.targets import Application
from services.router.grpc.server import Limits, services
from services.router.grpc.server import serve as serve_grpc
from services.router.inference.pages import Pages
from services.router.main import serve
from services.router.proxy import Proxy
from services.router.table import Table
from shared.address import Address
from shared.application import ApplicationState, Graph, Stage, Variant
from shared.contract import Contract
from shared.contract import Field as ContractField
from shared.ids import ApplicationId, JobId, VersionId
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import (
    PredictRequest,
    PredictResponse,
    StatusResponse,
)
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.telemetry import Telemetry
from tests.router.conftest import Router, route

SERVICE = "tensorflow.serving.PredictionService"

Outputs = Mapping[str, TensorProto]
Model = Callable[[PredictRequest, grpc.aio.ServicerContext], Awaitable[Outputs]]


async def echo(asked: PredictRequest, context: grpc.aio.ServicerContext) -> Outputs:
    return asked.inputs


@asynccontextmanager
async def runtime(model: Model = echo) -> AsyncIterator[Address]:
    """A runtime as people write them with grpcio."""

    async def predict(asked: PredictRequest, context: grpc.aio.ServicerContext) -> PredictResponse:
        return PredictResponse(outputs=await model(asked, context))

    async def status(asked: Empty, context: grpc.aio.ServicerContext) -> StatusResponse:
        return StatusResponse(status=StatusResponse.SERVING)

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 256 << 20)])
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                SERVICE,
                {
                    name: grpc.unary_unary_rpc_method_handler(
                        behaviour,
                        request_deserializer=kind.FromString,
                        response_serializer=lambda message: message.SerializeToString(),
                    )
                    for name, behaviour, kind in (
                        ("Predict", predict, PredictRequest),
                        ("Status", status, Empty),
                    )
                },
            )
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Address(f"http://127.0.0.1:{port}")
    finally:
        await server.stop(None)


def same(*fields: ContractField) -> Contract:
    """Of a model that gives what it takes."""
    return Contract(inputs=fields, outputs=fields)


@dataclass
class Doors:
    """Where a router is asked, and what it knows."""

    table: Table
    gateway: Gateway
    http: Router
    grpc: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    unready: list[str] = field(default_factory=list)
    made: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc}"

    def servable(
        self, name: str, contract: Contract, address: Address, version: str = "1", **changes: object
    ) -> JobId:
        self.made += 1
        job = JobId(f"j{self.made:012}")
        self.table.put(
            [
                route(
                    job=job,
                    version=VersionId(f"v{self.made}"),
                    version_name=version,
                    deployment=None,
                    format="hydrosphere",
                    addresses=(address,),
                    servable=name,
                    model=name,
                    contract=contract,
                    **changes,
                )
            ]
        )
        return job

    def application(
        self, name: str, *jobs: JobId, revision: int = 1, shadow: JobId | None = None
    ) -> None:
        """One stage after the other; `shadow` is in each, and never chosen."""
        routes = [self.table.job(job) for job in jobs]
        shadows = [] if shadow is None else [self.table.job(shadow)]
        stages = tuple(
            Stage(
                variants=tuple(
                    Variant(
                        model=one.model,
                        version_name=one.version_name,
                        version=one.version,
                        weight=weight,
                        job=one.job,
                    )
                    for one, weight in ((chosen, 100), *((each, 0) for each in shadows))
                )
            )
            for chosen in routes
        )
        found = Application(
            id=ApplicationId(f"a-{name}"),
            name=name,
            state=ApplicationState.READY if jobs else ApplicationState.ASSEMBLING,
            reason="" if jobs else "waits for claims:1",
            revision=revision if jobs else None,
            graph=Graph(stages=stages) if jobs else None,
            contracts={one.version: one.contract for one in (*routes, *shadows)},
        )
        self.table.settle([found])


@asynccontextmanager
async def doors(
    *,
    options: Options | None = None,
    limits: Limits | None = None,
    room: Room | None = None,
    aside: Aside | None = None,
) -> AsyncIterator[Doors]:
    table, telemetry = Table(), Telemetry()
    gateway = Gateway(table, telemetry, options)
    found = Doors(table, gateway, Router(table, None, telemetry))  # type: ignore[arg-type]

    def ready() -> str | None:
        if found.stopping.is_set():
            return "stopping"
        return found.unready[0] if found.unready else None

    intake = Intake(room or Room())
    aside = aside or Aside()
    pages = Pages(gateway, ready, intake, aside)
    door = Door(table, Proxy(), telemetry, ready, DoorOptions(patience=0.0), fronts=(pages,))
    found.http.door = door
    opened: asyncio.Queue[None] = asyncio.Queue()

    def heard(where: object, name: str) -> Callable[[int], None]:
        def opened_at(port: int) -> None:
            setattr(where, name, port)
            opened.put_nowait(None)

        return opened_at

    loops = [
        serve(door, host="127.0.0.1", port=0, grace=2.0, opened=heard(found.http, "port")),
        serve_grpc(
            services(gateway, ready, intake),
            host="127.0.0.1",
            port=0,
            limits=limits,
            grace=2.0,
            opened=heard(found, "grpc"),
        ),
    ]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(gateway.close)
        stack.push_async_callback(aside.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(found.stopping.set)
        for loop in loops:
            group.create_task(loop(found.stopping))
        for _ in loops:
            await opened.get()
        stack.callback(lambda: [writer.close() for writer in found.http.clients])
        yield found

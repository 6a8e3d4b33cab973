"""`python -m benchmarks.gateway.router RUNTIME`: a router whose table is filled by hand.

All of it that a request meets is as it runs; what it hears from PostgreSQL is made up. `RUNTIME` is
the port of the runtime behind all models. Prints the ports of HTTP and gRPC.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from benchmarks.gateway.models import CONTRACTS
from services.router.door import Door, Options
from services.router.gateway.gateway import Gateway
from services.router.gateway.http import Pages
from services.router.gateway.targets import Application
from services.router.grpc import server as grpc
from services.router.inference import pages as inference
from services.router.main import serve
from services.router.proxy import Proxy
from services.router.table import Route, Table
from shared import heap
from shared.address import Address
from shared.application import ApplicationState, Graph, Stage, Variant
from shared.endpoint import Serving
from shared.ids import ApplicationId, JobId, VersionId
from shared.lifecycle import State
from shared.telemetry import Telemetry

PLACES = 1000


def routes(runtime: Address) -> list[Route]:
    return [
        Route(
            job=JobId(f"j{number:012}"),
            owner="local",
            project="default",
            deployment=None,
            version=VersionId(f"v{number}"),
            version_name="1",
            endpoint="model",
            state=State.RUNNING,
            attempt=1,
            addresses=(runtime,),
            reason="",
            format="hydrosphere",
            routes=False,
            serving=Serving(concurrency=PLACES),
            model=name,
            contract=contract,
            servable=name,
        )
        for number, (name, contract) in enumerate(CONTRACTS.items())
    ]


def pipeline(known: list[Route], *names: str) -> Application:
    stages = [next(route for route in known if route.servable == name) for name in names]
    return Application(
        id=ApplicationId("a1"),
        name="pipeline",
        state=ApplicationState.READY,
        reason="",
        revision=1,
        graph=Graph(
            stages=tuple(
                Stage(
                    variants=(
                        Variant(
                            model=route.model or "",
                            version_name="1",
                            version=route.version,
                            weight=100,
                            job=route.job,
                        ),
                    )
                )
                for route in stages
            )
        ),
        contracts={route.version: route.contract for route in stages if route.contract},
    )


def ready() -> None:
    return None


async def main(runtime: int) -> None:
    table, telemetry = Table(), Telemetry()
    known = routes(Address(f"http://127.0.0.1:{runtime}"))
    table.replace(known, [], [pipeline(known, "first", "scalars")])
    gateway = Gateway(table, telemetry)
    pages = Pages(gateway)
    fronts = (pages, inference.Pages(gateway, ready, pages.intake, pages.aside))
    door = Door(table, Proxy(), telemetry, ready, Options(), fronts)
    opened: asyncio.Queue[int] = asyncio.Queue()
    stopping = asyncio.Event()
    services = grpc.services(gateway, ready, pages.intake)
    async with asyncio.TaskGroup() as group:
        at = {"host": "127.0.0.1", "port": 0}
        group.create_task(serve(door, **at, opened=opened.put_nowait)(stopping))  # type: ignore[arg-type]
        http = await opened.get()
        group.create_task(grpc.serve(services, **at, opened=opened.put_nowait)(stopping))  # type: ignore[arg-type]
        print(http, await opened.get(), flush=True)


if __name__ == "__main__":
    heap.keep()
    uvloop.run(main(int(sys.argv[1])))

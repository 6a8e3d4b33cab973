"""Many requests at once: shedding, alias switches, stopping, and what operators see of it."""

from __future__ import annotations

import asyncio

from services.router.meter import Meter
from shared.endpoint import Serving
from shared.lifecycle import State
from shared.telemetry import Telemetry
from tests.router.conftest import PREFIX, Router, alias, read_answer, running
from tests.router.origin import Origin, Seen, ok, origin


def held(release: asyncio.Event, most: list[int]) -> object:
    busy = 0

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal busy
        busy += 1
        most.append(busy)
        await release.wait()
        busy -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return script


async def test_one_too_many_is_503_while_ping_still_answers(
    router: Router, backend: Origin
) -> None:
    release = asyncio.Event()
    most: list[int] = []
    backend.script = held(release, most)  # type: ignore[assignment]
    serving = Serving(concurrency=2, waiting=3, wait_seconds=60)
    router.route(addresses=(backend.address,), serving=serving, routes=True, format="proximl")
    asking = [asyncio.create_task(router.ask(PREFIX + "/predict")) for _ in range(5)]
    async with asyncio.timeout(5):
        while len(most) < 2 or next(iter(router.door._gates.values())).queued < 3:
            await asyncio.sleep(0.01)
    shed = await router.ask(PREFIX + "/predict")
    assert (shed.status, shed.problem) == (503, "overloaded")
    assert int(shed.value("retry-after") or 0) >= 1
    assert shed.value("access-control-allow-origin") == "*"
    ping = await router.ask(PREFIX + "/ping")
    assert (ping.status, ping.body) == (200, b'{"message":"pong"}')
    release.set()
    assert [got.status for got in await asyncio.gather(*asking)] == [200] * 5
    assert max(most) == 2
    text = (await router.ask("/metrics")).body
    assert b'slipway_router_shed_total{job="j000000000001"} 1.0' in text
    assert b'slipway_router_requests_total{code="2xx",job="j000000000001"} 6.0' in text


async def test_who_waits_too_long_is_503(router: Router, backend: Origin) -> None:
    release = asyncio.Event()
    backend.script = held(release, [])  # type: ignore[assignment]
    router.route(
        addresses=(backend.address,), serving=Serving(concurrency=1, waiting=9, wait_seconds=0.1)
    )
    first = asyncio.create_task(router.ask(PREFIX))
    async with asyncio.timeout(5):
        while not backend.seen:
            await asyncio.sleep(0.01)
    assert (await router.ask(PREFIX)).problem == "overloaded"
    release.set()
    assert (await first).status == 200


async def test_a_job_that_stops_sheds_those_who_waited_for_it(
    router: Router, backend: Origin
) -> None:
    release = asyncio.Event()
    backend.script = held(release, [])  # type: ignore[assignment]
    serving = Serving(concurrency=1)
    router.route(addresses=(backend.address,), serving=serving)
    asking = [asyncio.create_task(router.ask(PREFIX)) for _ in range(3)]
    async with asyncio.timeout(5):
        while not backend.seen or next(iter(router.door._gates.values())).queued < 2:
            await asyncio.sleep(0.01)
    router.route(addresses=(backend.address,), serving=serving, state=State.STOPPING)
    release.set()
    got = await asyncio.gather(*asking)
    assert sorted(one.status for one in got) == [200, 503, 503]  # what was in hand is finished
    assert len(backend.seen) == 1


async def test_an_alias_is_switched_to_and_fro_without_a_failed_request(router: Router) -> None:
    async with origin(ok(b"old")) as old, origin(ok(b"new")) as new:
        router.route(addresses=(old.address,))
        router.route(job="j2", version="v2", version_name="20261121.1", addresses=(new.address,))
        router.table.point([alias()], ["d1"])
        over = asyncio.Event()
        statuses: list[int] = []

        async def client() -> None:
            reader, writer = await router.connect()
            while not over.is_set():
                writer.write(b"GET /ann/shop/mnist/production/predict HTTP/1.1\r\nHost: h\r\n\r\n")
                got = await read_answer(reader)
                statuses.append(got.status)
                assert got.body in (b"old", b"new")

        clients = [asyncio.create_task(client()) for _ in range(8)]
        for turn in range(20):
            after = len(statuses)
            router.table.point([alias(version=("v2", "v1")[turn % 2])], ["d1"])
            while len(statuses) < after + 10:
                await asyncio.sleep(0)
        over.set()
        await asyncio.gather(*clients)
        assert set(statuses) == {200}
        assert old.seen
        assert new.seen


async def test_the_routers_own_pages_go_before_tenants_paths_but_not_on_a_jobs_host(
    router: Router, backend: Origin
) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await router.ask(path)).status == 200
    assert backend.seen == []
    assert (await router.ask("/metrics", host="j000000000001.localhost")).body == b"ok"
    assert len(backend.seen) == 1


async def test_it_is_not_ready_before_it_knows_its_routes() -> None:
    async with running(ready="the routes are not known yet") as router:
        got = await router.ask("/readyz")
        assert (got.status, got.body) == (503, b"the routes are not known yet\n")
        assert (await router.ask("/livez")).status == 200


async def test_what_is_in_hand_when_it_stops_is_finished() -> None:
    release = asyncio.Event()
    async with origin(held(release, [])) as found:  # type: ignore[arg-type]
        async with running() as router:
            router.route(addresses=(found.address,))
            idle = await router.connect()
            asking = asyncio.create_task(router.ask(PREFIX))
            async with asyncio.timeout(5):
                while not found.seen:
                    await asyncio.sleep(0.01)
            clients = list(router.clients)
            router.clients.clear()
            asyncio.get_running_loop().call_later(0.2, release.set)
        assert (await asking).status == 200
        assert await idle[0].read() == b""
        for writer in clients:
            writer.close()


def test_the_number_of_series_is_bounded() -> None:
    telemetry = Telemetry()
    meter = Meter(telemetry, named=3)
    for n in range(50):
        meter.of(f"j{n}").answered(200, 0.1)
    meter.of("").answered(404, 0.1)
    text = telemetry.render().decode()
    assert 'slipway_router_requests_total{code="2xx",job="others"} 47.0' in text
    assert text.count('_requests_total{code="2xx"') == 5

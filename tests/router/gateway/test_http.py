"""The gateway's addresses over HTTP: what they take, and what they say of what they don't."""

from __future__ import annotations

import asyncio
import gzip
import threading

import grpc
import msgspec
import pytest

from services.router.gateway.gateway import Options
from services.router.gateway.intake import MIB, Room
from shared.endpoint import Serving
from shared.lifecycle import State
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from tests.router.conftest import read_answer
from tests.router.gateway.conftest import (
    NUMBER,
    Bed,
    application,
    bed,
    contract,
    echo,
    error,
    field,
    model,
    served,
)


async def test_an_application_is_asked_under_either_spelling(router: Bed) -> None:
    with served() as runtime:
        route = model("j1", NUMBER, runtime.address)
        router.serve(route, claims=(((route, 100),),))
        for path in (
            "/gateway/application/claims",
            "/gateway/application/claims?x=1",
            "/gateway/applications/claims/Predict",
        ):
            got = await router.post(path, {"x": 1})
            assert (got.status, got.body) == (200, b'{"x":1.0}')
            assert got.value("content-type") == "application/json"
            assert got.value("access-control-allow-origin") == "*"


async def test_an_operator_may_show_no_lists() -> None:
    route = model("j1", NUMBER)
    async with bed(lists=False) as router:
        router.serve(route, a=(((route, 100),),))
        for path in ("/gateway/application", "/gateway/servable/"):
            assert error(await router.ask(path)) == (404, "NotFound", "No lists are shown here.")
        assert (await router.ask("/gateway/application/a")).status == 200


async def test_what_there_is_is_listed(router: Bed) -> None:
    route = model("j1", contract(field("x", "int8", (-1, 2)), outputs=(field("y"),)))
    router.serve(route, b=(((route, 100),),), a=(((route, 100),), ((route, 100),)))
    router.table.settle([application("unready", revision=None)])
    found = msgspec.json.decode((await router.ask("/gateway/application")).body)
    assert [one["name"] for one in found] == ["a", "b"]
    assert found[1] == {
        "name": "b",
        "version": "1",
        "status": "ready",
        "signature": {
            "signatureName": "Predict",
            "inputs": [{"name": "x", "type": "int8", "shape": [-1, 2]}],
            "outputs": [{"name": "y", "type": "float64", "shape": "scalar"}],
        },
        "stages": [[["m-j1:1", 100]]],
    }
    assert found[0]["signature"]["signatureName"] == "INFERRED_PIPELINE_SIGNATURE"
    found = msgspec.json.decode((await router.ask("/gateway/servable/")).body)
    assert [one["name"] for one in found] == ["s-j1"]
    got = await router.ask("/gateway/servable/s-j1")
    assert msgspec.json.decode(got.body) == found[0]


async def test_pages_about_itself(router: Bed) -> None:
    assert msgspec.json.decode((await router.ask("/health")).body) == {"status": "OK"}
    assert (await router.ask("/gateway/buildinfo")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gateway",
        "/gateway/",
        "/gateway/other",
        "/gateway/application/nobody",
        "/gateway/servable/a",
        "/gateway/application/s-j1",
        "/gateway/application/a/b",
        "/gateway/application/%61",
        "/gateway/application/a%2fb",
        "/gateway/application//a",
        "/gateway/application/" + "a" * 300,
        "/gateway/applications/a",
        "/gateway/applications/a/",
    ],
)
async def test_what_is_not_there_is_not_found(router: Bed, path: str) -> None:
    route = model("j1")
    router.serve(route, a=(((route, 100),),))
    assert error(await router.post(path, {"x": 1}))[:2] == (404, "NotFound")


async def test_an_application_that_is_not_ready_says_why(router: Bed) -> None:
    router.table.settle([application("a", revision=None)])
    got = await router.post("/gateway/application/a", {"x": 1})
    # it takes nothing yet, so any object will do
    assert error(got) == (
        503,
        "ServiceUnavailable",
        "UNAVAILABLE: a can't answer yet: assembling",
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/gateway/application/a"),
        ("DELETE", "/gateway/servable/s-j1"),
        ("POST", "/gateway/application"),
        ("POST", "/health"),
    ],
)
async def test_other_methods_are_not_allowed(router: Bed, method: str, path: str) -> None:
    route = model("j1")
    router.serve(route, a=(((route, 100),),))
    got = await router.ask(path, method=method, body=b"{}")
    assert error(got)[:2] == (405, "MethodNotAllowed")
    assert got.value("allow")


async def test_pages_from_elsewhere_may_ask(router: Bed) -> None:
    got = await router.ask(
        "/gateway/application/a",
        "Origin: http://elsewhere",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: content-type",
        method="OPTIONS",
    )
    assert (got.status, got.body) == (204, b"")
    assert got.value("access-control-allow-origin") == "*"
    assert "POST" in (got.value("access-control-allow-methods") or "")
    got = await router.post("/gateway/application/nobody", b"{}")
    assert got.value("access-control-allow-origin") == "*"


async def test_a_body_that_is_none_is_the_callers(router: Bed) -> None:
    router.serve(model("j1", NUMBER, "http://127.0.0.1:1"))
    path = "/gateway/servable/s-j1"
    for body in (b"", b"[1]", b"{", b'{"x":null}', b'{"x":[1,2]}', b'{"y":1}', b'{"x":"a"}'):
        assert error(await router.post(path, body))[:2] == (400, "BadRequest"), body


async def test_an_encoded_body_is_not_read(router: Bed) -> None:
    router.serve(model("j1", NUMBER, "http://127.0.0.1:1"))
    body = gzip.compress(b'{"x":1}')
    got = await router.ask(
        "/gateway/servable/s-j1", "Content-Encoding: gzip", method="POST", body=body
    )
    assert error(got)[:2] == (415, "BadRequest")


async def test_a_body_may_come_in_chunks_and_wait_to_be_asked_for(router: Bed) -> None:
    with served() as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        raw = await router.raw(
            b"POST /gateway/servable/s-j1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"x\r\n5\r\n": 1}\r\n0\r\n\r\n'
        )
        assert raw.startswith(b"HTTP/1.1 200")
        assert raw.endswith(b'{"x":1.0}')
        reader, writer = await router.connect()
        writer.write(
            b"POST /gateway/servable/s-j1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Expect: 100-continue\r\nContent-Length: 7\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"x":1}')
        assert (await reader.read()).endswith(b'{"x":1.0}')


async def test_a_body_that_is_too_large_is_refused_unread() -> None:
    async with bed(room=Room(body=100)) as router:
        router.serve(model("j1", NUMBER, "http://127.0.0.1:1"))
        head = b"POST /gateway/servable/s-j1 HTTP/1.1\r\nHost: x\r\n"
        chunk = b"40\r\n" + b" " * 64 + b"\r\n"
        for rest in (
            b"Content-Length: 101\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3,
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2 + b"0\r\n\r\n",
        ):
            reader, writer = await router.connect()
            writer.write(head + rest)
            assert error(await read_answer(reader))[:2] == (413, "PayloadTooLarge")


async def test_bodies_that_are_too_many_together_wait_outside() -> None:
    async with bed(room=Room(body=1000, bodies=1000)) as router:
        with served() as runtime:
            router.serve(model("j1", NUMBER, runtime.address))
            head = b"POST /gateway/servable/s-j1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            _, writer = await router.connect()
            writer.write(head + b'Content-Length: 600\r\n\r\n{"x":1')
            await asyncio.sleep(0.05)
            reader, second = await router.connect()
            second.write(head + b"Content-Length: 600\r\n\r\n")
            got = await read_answer(reader)
            assert error(got)[:2] == (503, "ServiceUnavailable")
            assert got.value("retry-after")
            assert (await router.post("/gateway/servable/s-j1", {"x": 1})).status == 200
            writer.transport.abort()
            body = b'{"x":1%b}' % (b" " * 600)
            async with asyncio.timeout(5):
                while (await router.post("/gateway/servable/s-j1", body)).status != 200:
                    await asyncio.sleep(0.01)


HEAD = b"POST /gateway/servable/s-j1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


async def test_a_body_that_is_announced_and_does_not_come_takes_no_room() -> None:
    async with bed(room=Room(bodies=8 * MIB)) as router:
        with served() as runtime:
            router.serve(model("j1", NUMBER, runtime.address))
            for _ in range(3):
                _, writer = await router.connect()
                writer.write(HEAD + b'Content-Length: 8388608\r\n\r\n{"x":1')
            while router.pages.intake.held_bytes < 3 * MIB:
                await asyncio.sleep(0.005)
            body = b'{"x":1%b}' % (b" " * (4 * MIB))
            assert (await router.post("/gateway/servable/s-j1", body)).status == 200


async def test_there_is_room_for_small_bodies_while_large_ones_take_the_rest() -> None:
    async with bed(room=Room(bodies=MIB)) as router:
        with served() as runtime:
            router.serve(model("j1", NUMBER, runtime.address))
            _, writer = await router.connect()
            writer.write(HEAD + b'Content-Length: 1048576\r\n\r\n{"x":1')
            while router.pages.intake.held_bytes < MIB:
                await asyncio.sleep(0.005)
            larger = b'{"x":1%b}' % (b" " * 1024)
            assert (await router.post("/gateway/servable/s-j1", larger)).status == 503
            assert (await router.post("/gateway/servable/s-j1", {"x": 1})).status == 200


async def test_a_body_is_not_waited_for_for_ever() -> None:
    async with bed(room=Room(seconds=0.2)) as router:
        router.serve(model("j1", NUMBER, "http://127.0.0.1:1"))
        reader, writer = await router.connect()
        writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n")
        answer = asyncio.ensure_future(read_answer(reader))
        while not answer.done():
            writer.write(b" ")
            await asyncio.sleep(0.05)
        assert error(await answer) == (408, "BadRequest", "The body comes too slowly.")
        assert router.pages.intake.held_bytes == 0


async def test_a_model_is_not_to_be_asked_as_an_endpoint(router: Bed) -> None:
    router.serve(model("j1", NUMBER, "http://127.0.0.1:1"))
    assert (await router.ask("/endpoints/j1/x")).problem == "no-such-endpoint"
    assert (await router.ask("/", host="j1.localhost")).problem == "no-such-endpoint"


async def test_the_pages_of_a_jobs_own_host_are_the_jobs(router: Bed) -> None:
    assert (await router.ask("/health", host="j9.localhost")).problem == "no-such-endpoint"


async def test_who_comes_before_the_news_waits_for_them() -> None:
    async with bed(options=Options(news=10.0)) as router:
        with served() as runtime:
            asking = asyncio.create_task(router.post("/gateway/application/a", {"x": 1}))
            while not router.gateway.waiting:
                await asyncio.sleep(0.005)
            starting = model("j1", NUMBER, state=State.STARTING)
            router.serve(starting, a=(((starting, 100),),))
            while router.gateway.waiting:
                await asyncio.sleep(0.005)
            router.serve(model("j1", NUMBER, runtime.address))
            assert (await asking).body == b'{"x":1.0}'


async def test_one_connection_serves_many_requests(router: Bed) -> None:
    with served() as runtime:
        router.serve(model("j1", NUMBER, runtime.address))
        reader, writer = await router.connect()
        for n in range(20):
            body = b'{"x":%d}' % n if n % 2 else b'{"x":null}'
            writer.write(
                b"POST /gateway/servable/s-j1 HTTP/1.1\r\nHost: x\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert int(head.split()[1]) == (200 if n % 2 else 400)
            length = int(head.lower().split(b"content-length: ")[1].split()[0])
            await reader.readexactly(length)


async def test_who_goes_away_leaves_the_place_to_others(router: Bed) -> None:
    held = threading.Event()

    def hangs(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        if request.inputs["x"].double_val == [0.0]:
            held.wait(20)
        return echo(request, context)

    with served(hangs) as runtime:
        serving = Serving(concurrency=1, waiting=0)
        router.serve(model("j1", NUMBER, runtime.address, serving=serving))
        path = "/gateway/servable/s-j1"
        asking = asyncio.create_task(router.post(path, {"x": 0}))
        while not runtime.asked:
            await asyncio.sleep(0.005)
        assert error(await router.post(path, {"x": 1}))[0] == 503
        router.clients[0].transport.abort()
        async with asyncio.timeout(5):
            while (await router.post(path, {"x": 1})).status != 200:
                await asyncio.sleep(0.01)
        held.set()
        with pytest.raises(asyncio.IncompleteReadError):
            await asking

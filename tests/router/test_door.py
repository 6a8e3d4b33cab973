"""Requests through a real socket to a real origin."""

from __future__ import annotations

from services.router.table import Route
from shared.endpoint import Serving
from shared.lifecycle import State
from tests.router.conftest import PREFIX, Router, alias
from tests.router.origin import Origin, ok, says


async def test_a_request_reaches_the_endpoint_whole_and_its_answer_comes_back(
    router: Router, backend: Origin
) -> None:
    backend.script = ok(b"seven")
    got = await router.ask(f"{PREFIX}/digit?x=%20a", "X-A: 1", method="POST", body=b"\x00\xffbody")
    assert (got.status, got.body) == (200, b"seven")
    assert backend.only.line == f"POST {PREFIX}/digit?x=%20a HTTP/1.1".encode()
    assert backend.only.body == b"\x00\xffbody"
    assert backend.only.value("x-vh-prefix") == PREFIX
    assert backend.only.value("host") == "router.test"
    assert backend.only.value("x-a") == "1"
    assert backend.only.value("x-forwarded-for") == "127.0.0.1"


async def test_an_alias_is_the_prefix_that_the_endpoint_is_told(
    router: Router, backend: Origin
) -> None:
    router.table.point([alias()])
    got = await router.ask("/ann/shop/mnist/production/predict")
    assert got.status == 200
    assert backend.only.line == b"GET /ann/shop/mnist/production/predict HTTP/1.1"
    assert backend.only.value("x-vh-prefix") == "/ann/shop/mnist/production/predict"


async def test_the_prefix_is_stripped_where_the_version_says_so(
    router: Router, backend: Origin
) -> None:
    found = router.table.job("j000000000001")
    assert isinstance(found, Route)
    router.route(addresses=found.addresses, serving=Serving(strip_prefix=True))
    await router.ask(f"{PREFIX}?q=1")
    assert backend.only.line == b"GET /?q=1 HTTP/1.1"
    assert backend.only.value("x-vh-prefix") == PREFIX


async def test_a_job_has_a_path_and_a_host_of_its_own(router: Router, backend: Origin) -> None:
    await router.ask("/endpoints/j000000000001/a/b?c")
    await router.ask("/x/y?z", host="J000000000001.localhost:8000")
    assert [one.line for one in backend.seen] == [b"GET /a/b?c HTTP/1.1", b"GET /x/y?z HTTP/1.1"]
    assert [one.value("x-vh-prefix") for one in backend.seen] == [None, None]


async def test_what_nothing_has_is_404(router: Router, backend: Origin) -> None:
    for path in ("/", "/nope", PREFIX + "x", "/endpoints/j000000000002/", "/endpoints", "/a/b/c/d"):
        got = await router.ask(path)
        assert (got.status, got.problem) == (404, "no-such-endpoint"), path
    assert backend.seen == []


async def test_an_endpoint_that_does_not_run_says_why(router: Router) -> None:
    router.route(state=State.QUEUED, addresses=(), reason="waits for 1 rtx3090", format="proximl")
    got = await router.ask(PREFIX)
    assert (got.status, got.problem) == (503, "not-running")
    assert b"queued: waits for 1 rtx3090" in got.body
    assert int(got.value("retry-after") or 0) >= 1
    assert got.value("access-control-allow-origin") == "*"


async def test_the_platform_answers_ping_for_routes_only(router: Router, backend: Origin) -> None:
    address = backend.address
    got = await router.ask(PREFIX + "/ping")
    assert got.body == b"ok"
    router.route(addresses=(address,), routes=True)
    got = await router.ask(PREFIX + "/ping")
    assert (got.status, got.body) == (200, b'{"message":"pong"}')
    router.route(addresses=(address,), routes=True, state=State.STARTING)
    got = await router.ask(PREFIX + "/ping")
    assert (got.status, got.problem) == (503, "not-running")
    assert len(backend.seen) == 1


async def test_a_dead_endpoint_is_502(router: Router, backend: Origin) -> None:
    backend.script = says()
    got = await router.ask(PREFIX, method="POST", body=b"x")
    assert (got.status, got.problem) == (502, "endpoint-failed")
    assert len(backend.seen) == 1
    await backend.shut()
    got = await router.ask(PREFIX, method="POST", body=b"x")
    assert (got.status, got.problem) == (502, "endpoint-failed")

"""Large bodies and answers are mapped by a process of their own, with the same outcome."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from services.router.gateway import aside as asides
from services.router.gateway.answer import to_json
from services.router.gateway.aside import Aside
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.mapping import to_tensors
from services.router.gateway.tensors import make
from shared.contract import Field
from tests.router.gateway.conftest import bed, contract, field, model, served

FIELDS = (
    field("x", "float32", (-1, 3)),
    field("t", "string", None),
    Field(name="m", fields=(field("i", "int8"),)),
)
BODY = msgspec.json.encode({"x": [[1, 2, 3], [4, 5, 6.5]], "t": ["a", "ü"], "m": {"i": 7}})
SOON = 20.0


@pytest.fixture
async def aside() -> AsyncIterator[Aside]:
    """Everything is large to it."""
    found = Aside(large=0, many=0)
    yield found
    await found.close()


def soon() -> float:
    return time.monotonic() + SOON


async def test_what_is_mapped_aside_is_mapped_the_same(aside: Aside) -> None:
    for _ in range(3):
        found = await aside.to_tensors(BODY, FIELDS, soon())
        assert dict(found) == to_tensors(BODY, FIELDS)
        assert await aside.to_json(found, FIELDS, soon()) == to_json(found, FIELDS)


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (field("x", "int64", None), [[]] * 100_000),
        (field("x", "float32", None), ["NaN"] * 50_000),
        (field("x", "int64", (-1, -1)), [[1, 2]] * 50_000),
        (field("x", "string", None), ["a"] * 100_000),
        (Field(name="x", fields=(field("y", "string", None),)), {"y": ["a"] * 100_000}),
    ],
)
async def test_what_takes_long_to_read_is_read_aside(one: Field, value: object) -> None:
    aside, body = Aside(), msgspec.json.encode({"x": value})
    found = await aside.to_tensors(body, [one], soon())
    assert aside._process is not None
    assert dict(found) == to_tensors(body, [one])
    await aside.close()


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (field("x", "float32", (1, 224, 224, 3)), [[[[0.5] * 3] * 224] * 224]),
        (field("x", "string", ()), "a" * 1_000_000),
        (field("x", "string", (-1,)), ["a" * 1_000_000] * 2),
    ],
)
async def test_what_is_soon_read_is_read_here(one: Field, value: object) -> None:
    aside, body = Aside(), msgspec.json.encode({"x": value})
    assert await aside.to_tensors(body, [one], soon())
    assert aside._process is None


async def test_errors_are_the_same_and_end_nothing(aside: Aside) -> None:
    for body in (b"[]", b"{}", b'{"x":[null]}', b"{"):
        with pytest.raises(GatewayError) as here:
            to_tensors(body, FIELDS)
        with pytest.raises(GatewayError) as there:
            await aside.to_tensors(body, FIELDS, soon())
        assert (there.value.kind, str(there.value)) == (here.value.kind, str(here.value))
    process = aside._process
    with pytest.raises(ValueError, match="variant"):
        await aside.to_json({"x": make("int8", [1], ())}, [field("x", "variant")], soon())
    assert aside._process is process


async def test_a_process_that_dies_is_replaced(aside: Aside) -> None:
    await aside.to_tensors(BODY, FIELDS, soon())
    assert aside._process is not None
    os.kill(aside._process.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(aside.to_tensors(BODY, FIELDS, soon()))
    await asyncio.sleep(0.05)
    os.kill(aside._process.pid, signal.SIGKILL)
    with pytest.raises(GatewayError) as caught:
        await waiting
    assert caught.value.kind is Kind.TOO_LARGE
    assert dict(await aside.to_tensors(BODY, FIELDS, soon())) == to_tensors(BODY, FIELDS)


async def test_what_is_not_done_in_time_is_given_up(aside: Aside) -> None:
    await aside.to_tensors(BODY, FIELDS, soon())
    assert aside._process is not None
    os.kill(aside._process.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await aside.to_tensors(BODY, FIELDS, time.monotonic() + 0.1)
    assert dict(await aside.to_tensors(BODY, FIELDS, soon())) == to_tensors(BODY, FIELDS)


async def test_orders_take_turns_and_too_many_are_turned_away(
    aside: Aside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asides, "WAITING", 3)
    asked = [asyncio.create_task(aside.to_tensors(BODY, FIELDS, soon())) for _ in range(5)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in found if isinstance(one, GatewayError)]
    assert [one.kind for one in refused] == [Kind.UNAVAILABLE] * 2
    assert all(dict(one) == to_tensors(BODY, FIELDS) for one in found if one not in refused)  # type: ignore[call-overload]


async def test_the_process_ends_when_nobody_needs_it(
    aside: Aside, monkeypatch: pytest.MonkeyPatch
) -> None:
    await aside.to_tensors(BODY, FIELDS, soon())
    await aside.forget()
    assert aside._process is not None
    process = aside._process
    monkeypatch.setattr(asides, "IDLE", 0.0)
    await aside.forget()
    assert process.returncode is not None
    assert dict(await aside.to_tensors(BODY, FIELDS, soon())) == to_tensors(BODY, FIELDS)


async def test_a_large_request_goes_through_the_gateway_and_others_beside_it() -> None:
    many = contract(field("x", "int32", (-1,)))
    async with bed(aside=Aside(large=1 << 16, many=1 << 10)) as router:
        with served() as runtime:
            router.serve(model("j1", many, runtime.address))
            values = list(range(1_000_000))
            large = asyncio.create_task(router.post("/gateway/servable/s-j1", {"x": values}))
            small = await router.post("/gateway/servable/s-j1", {"x": [1]})
            assert small.body == b'{"x":[1]}'
            assert msgspec.json.decode((await large).body) == {"x": values}
            bad = await router.post("/gateway/servable/s-j1", {"x": [*values, "a"]})
            assert bad.status == 400

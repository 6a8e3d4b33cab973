"""Against grpcio's own servers, with and without asyncio, over TCP, unix sockets and doormen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from shared.address import Address, at_doorman
from shared.doorman import secret
from shared.unary import Channel, Code, Failed, Limits, Rejected, Trouble
from tests.runtimes.test_doorman import doorman
from tests.shared.unary.calls import channel, soon

NO_LIMIT = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
JOB, KEY = "j0123456789ab", "k" * 32


def echo(request: bytes, context: Any) -> bytes:
    return request


def long(request: bytes, context: Any) -> bytes:
    return bytes(int(request))


def metadata(request: bytes, context: Any) -> bytes:
    return repr(sorted(context.invocation_metadata())).encode()


def failing(request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.decode())
    raise AssertionError


def raising(request: bytes, context: Any) -> bytes:
    raise ValueError("a mistake in people's own code")


METHODS: dict[str, Callable[[bytes, Any], bytes]] = {
    f"/a.Service/{one.__name__}": one for one in (echo, long, metadata, failing, raising)
}


class Methods(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = METHODS.get(handler_call_details.method)
        return method and grpc.unary_unary_rpc_method_handler(method)


@contextmanager
def serving(where: str, options: tuple[tuple[str, int], ...] = NO_LIMIT) -> Iterator[int]:
    pool = ThreadPoolExecutor(4)
    server = grpc.server(pool, [Methods()], options=options)
    port = server.add_insecure_port(where)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
        pool.shutdown()


@pytest.fixture(params=["tcp", "unix", "doorman"])
async def through(request: Any, tmp_path: Path) -> AsyncIterator[Channel]:
    if request.param == "unix":
        path = tmp_path / "socket"
        with serving(f"unix:{path}"):
            async with channel(Address(f"unix:{path}")) as made:
                yield made
        return
    with serving("127.0.0.1:0") as port:
        if request.param == "tcp":
            async with channel(Address(f"http://127.0.0.1:{port}")) as made:
                yield made
            return
        async with doorman(secret=secret(KEY, JOB, 1), port_server=str(port)) as one:
            address = at_doorman("127.0.0.1", one.listen)
            made = await Channel.open(address, 30, (secret(KEY, JOB, 1),))
            yield made
            made.close()


async def ask(through: Channel, method: str, message: bytes = b"") -> bytes:
    return await through.call(f"/a.Service/{method}".encode(), message, soon())


async def test_a_small_message_goes_and_comes(through: Channel) -> None:
    for message in (b"", b"x", bytes(range(256)) * 100):
        assert await ask(through, "echo", message) == message


async def test_large_messages_go_and_come(through: Channel) -> None:
    for size in (16_383, 16_384, 65_530, 1 << 20, 200 << 20):
        message = bytes(size // 2) + b"x" * (size - size // 2)
        assert await ask(through, "echo", message) == message


async def test_many_calls_at_once_each_get_their_own_answer(through: Channel) -> None:
    sizes = [1, 10, 100_000, 3, 1_000_000, 7] * 50
    messages = [n.to_bytes(2, "big") * size for n, size in enumerate(sizes)]
    answers = await asyncio.gather(*(ask(through, "echo", one) for one in messages))
    assert answers == messages
    assert through.inside == 0


async def test_a_status_comes_with_its_words(through: Channel) -> None:
    words = "Nö: 100 % 🚢\n\tand a second line"
    with pytest.raises(Rejected) as caught:
        await ask(through, "failing", words.encode())
    assert (caught.value.status, caught.value.message) == (Code.INVALID_ARGUMENT, words)
    with pytest.raises(Rejected) as caught:
        await ask(through, "raising")
    assert caught.value.status == Code.UNKNOWN
    assert "a mistake in people's own code" in caught.value.message
    with pytest.raises(Rejected) as caught:
        await ask(through, "nowhere")
    assert caught.value.status == Code.UNIMPLEMENTED
    with pytest.raises(Rejected) as caught:
        await ask(through, "failing", b"x" * 50_000)
    assert caught.value.message == "x" * 4096
    assert await ask(through, "echo", b"x") == b"x"
    with pytest.raises(Failed, match="headers are too long"):
        await ask(through, "failing", b"x" * 100_000)


async def test_metadata_arrives(through: Channel) -> None:
    pairs = ((b"x-a", b"1, 2"), (b"b-bin", b"AAEC"), (b"x-a", b""))
    got = await through.call(b"/a.Service/metadata", b"", soon(), pairs)
    for seen in (b"key='x-a', value='1, 2'", b"key='x-a', value=''", b"value=b'\\x00\\x01\\x02'"):
        assert seen in got


async def test_an_answer_of_300_mb_does_not_come_in() -> None:
    with serving("127.0.0.1:0") as port:
        async with channel(Address(f"http://127.0.0.1:{port}")) as through:
            with pytest.raises(Failed, match="300000000 bytes") as caught:
                await ask(through, "long", b"300000000")
            assert caught.value.trouble is Trouble.BAD
            assert await ask(through, "echo", b"x") == b"x"


async def test_a_question_that_the_server_finds_too_long_is_rejected() -> None:
    with serving("127.0.0.1:0", (("grpc.max_receive_message_length", 1000),)) as port:
        async with channel(Address(f"http://127.0.0.1:{port}")) as through:
            with pytest.raises(Rejected) as caught:
                await ask(through, "echo", bytes(10 << 20))
            assert caught.value.status == Code.RESOURCE_EXHAUSTED
            assert await ask(through, "echo", b"x") == b"x"


async def test_the_server_knows_the_deadline_and_that_it_was_given_up() -> None:
    async def told(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        left.append(context.time_remaining())
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        return b""

    left: list[float] = []
    over = asyncio.Event()
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(told)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("a.Service", {"told": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with channel(Address(f"http://127.0.0.1:{port}")) as through:
            with pytest.raises((Failed, Rejected)) as caught:
                await through.call(b"/a.Service/told", b"", soon(1))
            assert (
                caught.value.trouble is Trouble.SILENT
                if isinstance(caught.value, Failed)
                else caught.value.status == Code.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
            )
            await over.wait()
            assert 0 < left[0] <= 1
            over.clear()
            call = asyncio.create_task(through.call(b"/a.Service/told", b"", soon()))
            while len(left) < 2:
                await asyncio.sleep(0.01)
            call.cancel()
            await over.wait()
    finally:
        await server.stop(None)


async def test_a_server_that_leaves_takes_no_more_calls_and_fails_none() -> None:
    server = grpc.aio.server()

    async def slow(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        begun.set()
        await told.wait()
        return request

    begun, told = asyncio.Event(), asyncio.Event()
    handler = grpc.unary_unary_rpc_method_handler(slow)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("a.Service", {"slow": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with channel(Address(f"http://127.0.0.1:{port}")) as through:
        call = asyncio.create_task(through.call(b"/a.Service/slow", b"x", soon()))
        await begun.wait()
        stopping = asyncio.create_task(server.stop(60))
        while through.usable():
            await asyncio.sleep(0.01)
        told.set()
        assert await call == b"x"
        await stopping


async def test_a_limit_of_our_own_is_kept() -> None:
    with serving("127.0.0.1:0") as port:
        address = Address(f"http://127.0.0.1:{port}")
        async with channel(address, Limits(message=100, at_once=2, calls=5)) as through:
            answers = await asyncio.gather(*(ask(through, "long", b"100") for _ in range(5)))
            assert answers == [bytes(100)] * 5
            assert not through.usable()

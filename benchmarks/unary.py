"""`python -m benchmarks.unary`: unary calls from one process, by our client and by grpcio's.

Each asks the same servers, which are processes of their own: ours, grpcio's with asyncio, and one
that does nothing but frames, so that it is the client that is measured. The time of a call is told
on both sides.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, cast

import grpc
import uvloop

from benchmarks.gateway.load import cpu
from shared.address import Address
from shared.unary import Channel
from shared.unary import frames as h2
from shared.unary.serving import Server

PATH: Final = "/made.up.Service/Echo"
SMALL: Final = bytes(40)  # two scalars
LARGE: Final = bytes(224 * 224 * 3 * 4)  # a float tensor of an image
NO_LIMIT: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

# ":status: 200", "content-type: application/grpc" and "grpc-status: 0", none of them indexed
_HEAD: Final = b"\x88\x0f\x10\x10application/grpc"
_TAIL: Final = b"\x00\x0bgrpc-status\x010"

Ask = Callable[[bytes], Awaitable[bytes]]


class Echo(asyncio.Protocol):
    """Gives back the little that DATA brings, and heeds no windows."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._greeted = False
        self._frames = h2.Frames()
        self._transport.write(
            h2.settings({h2.INITIAL_WINDOW_SIZE: h2.MOST})
            + h2.window_update(0, h2.MOST - (1 << 16))
        )

    def data_received(self, data: bytes) -> None:
        if not self._greeted:
            data, self._greeted = data[len(h2.PREFACE) :], True
        out: list[bytes] = []
        for kind, flags, stream, payload in self._frames.feed(data):
            if kind == h2.HEADERS:
                out.append(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, _HEAD))
            elif kind == h2.DATA:
                out.append(h2.frame(h2.DATA, 0, stream, bytes(payload)))
                if flags & h2.END_STREAM:
                    flags = h2.END_HEADERS | h2.END_STREAM
                    out.append(h2.frame(h2.HEADERS, flags, stream, _TAIL))
            elif kind == h2.SETTINGS and not flags & h2.ACK:
                out.append(h2.frame(h2.SETTINGS, h2.ACK, 0))
        self._transport.write(b"".join(out))


class Same:
    """A method of our server that gives back what it gets."""

    def hold(self, more: int, mine: int) -> None:
        pass

    def free(self, size: int) -> None:
        pass

    async def answer(self, message: bytes, deadline: float | None) -> bytes:
        return message


def serve(kind: str, told: Connection) -> None:
    async def own() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def grpcio() -> None:
        async def echo(request: bytes, context: object) -> bytes:
            return request

        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
        server = grpc.aio.server(options=NO_LIMIT)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("made.up.Service", {"Echo": handler}),)
        )
        told.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    async def served() -> None:
        told.send(Server({PATH.encode(): Same()}).start("127.0.0.1", 0))
        await asyncio.Event().wait()

    if kind == "grpcio":
        asyncio.run(grpcio())
    elif kind == "ours":
        uvloop.run(served())
    else:
        uvloop.run(own())


class Taken(NamedTuple):
    rate: float  # calls a second
    here: float  # microseconds of the client's time for each ...
    there: float  # ... and of the server's


async def measure(ask: Ask, message: bytes, at_once: int, seconds: float, pid: int) -> Taken:
    await ask(message)
    count = 0

    async def one() -> None:
        nonlocal count
        while time.perf_counter() < ends:
            assert len(await ask(message)) == len(message)
            count += 1

    began, used, theirs = time.perf_counter(), own(), cpu(pid)
    ends = began + seconds
    await asyncio.gather(*(one() for _ in range(at_once)))
    each = 1e6 / count
    rate = count / (time.perf_counter() - began)
    return Taken(rate, (own() - used) * each, (cpu(pid) - theirs) * each)


def own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def ours(port: int, pid: int, kind: str, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    channel = await Channel.open(Address(f"http://127.0.0.1:{port}"), 5)
    path = PATH.encode()

    async def ask(message: bytes) -> bytes:
        return await channel.call(path, message, loop.time() + 10)

    await rows("ours", ask, kind, seconds, pid)
    channel.close()


async def theirs(port: int, pid: int, kind: str, seconds: float) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=NO_LIMIT) as channel:
        call: Any = channel.unary_unary(PATH)

        async def ask(message: bytes) -> bytes:
            return bytes(await call(message, timeout=10))

        await rows("grpcio", ask, kind, seconds, pid)


async def rows(name: str, ask: Ask, kind: str, seconds: float, pid: int) -> None:
    small = (("two scalars", SMALL, 1), ("two scalars", SMALL, 64))
    large = (("an image", LARGE, 1), ("an image", LARGE, 8))
    for what, message, at_once in small if kind == "frames" else small + large:
        took = await measure(ask, message, at_once, seconds, pid)
        print(
            f"  {name:8}{what:14}{at_once:3} at once{took.rate:10.0f}/s"
            f"{took.here:8.0f} µs each, and{took.there:6.0f} of the server"
        )


def main(seconds: float = 1.0) -> None:
    spawn = multiprocessing.get_context("spawn")
    for kind in ("frames", "ours", "grpcio"):
        here, there = spawn.Pipe()
        server = spawn.Process(target=serve, args=(kind, there), daemon=True)
        server.start()
        port = here.recv()
        assert server.pid is not None
        print(f"server: {kind}")
        uvloop.run(ours(port, server.pid, kind, seconds))
        uvloop.run(theirs(port, server.pid, kind, seconds))
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()

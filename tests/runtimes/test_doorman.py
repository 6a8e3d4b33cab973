"""The doorman as his own process, between raw clients and servers of many kinds."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from shared.doorman import NONCE, PROOF, proven, secret
from tests.ports import free_ports
from tests.runtimes.conftest import RUNTIMES, free_port

PROGRAM = str(RUNTIMES / "doorman.py")
SECRET = secret("k" * 32, "j000000000001", 1)
END = 20.0  # seconds after which a test has failed
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Speak = Callable[[Reader, Writer], Awaitable[None]]

ONE_REQUEST = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

class Handler(WSGIRequestHandler):
    def log_message(self, *words):
        pass

def app(environ, start):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start("200 OK", [("Content-Length", str(len(body) + 2))])
    return [b"1:" + body]

with make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=Handler) as server:
    server.handle_request()
"""


@dataclass
class Doorman:
    process: asyncio.subprocess.Process
    listen: int
    status: int
    server: int

    async def knock(self, nonce: bytes = bytes(NONCE)) -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listen)
        writer.write(nonce)
        return reader, writer

    async def enter(self) -> tuple[Reader, Writer]:
        nonce = os.urandom(NONCE)
        reader, writer = await self.knock(nonce)
        try:
            proof = await reader.readexactly(PROOF)
        except BaseException:
            writer.close()
            raise
        assert proven(proof, [SECRET], nonce, "127.0.0.1", self.listen)
        return reader, writer

    async def ask(self, request: bytes) -> bytes:
        """All that comes back."""
        reader, writer = await self.enter()
        writer.write(request)
        got = await reader.read()
        writer.close()
        return got

    async def told(self, path: str = "/ready") -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.status)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = (await reader.read()).decode()
        writer.close()
        return f"{got.split()[1]} {got.splitlines()[-1]}"

    async def until(self, told: str) -> None:
        while await self.told() != told:
            await asyncio.sleep(0.01)

    def memory(self) -> int:
        """KiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@asynccontextmanager
async def doorman(files: int = 1024, **settings: str) -> AsyncIterator[Doorman]:
    ports = free_ports(3)
    names = ("DOORMAN_LISTEN", "DOORMAN_STATUS", "DOORMAN_PORT_SERVER")
    given = dict(zip(names, map(str, ports), strict=True))
    given["DOORMAN_SECRET"] = SECRET
    given.update({f"DOORMAN_{name.upper()}": value for name, value in settings.items()})
    limited = ("sh", "-c", 'ulimit -n "$0"; exec "$@"', str(files))
    process = await asyncio.create_subprocess_exec(
        *(*limited, sys.executable, "-I", PROGRAM), env=given, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(END):
            assert (await process.stderr.readline()).startswith(b"doorman: at port")
            yield Doorman(process, *ports)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert (await process.stderr.read()).decode() == ""


@dataclass
class Server:
    """Speaks with everybody who connects, and counts them."""

    met: int = 0
    stop: Callable[[], None] = lambda: None  # listening; who is there may stay
    writers: list[Writer] = field(default_factory=list)


@asynccontextmanager
async def serving(port: int, speak: Speak, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    found = Server()

    async def meet(reader: Reader, writer: Writer) -> None:
        found.met += 1
        found.writers.append(writer)
        try:
            await speak(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(meet, host, port)
    found.stop = server.close
    try:
        yield found
    finally:
        server.close()
        for writer in found.writers:
            writer.transport.abort()
        await server.wait_closed()


async def echo(reader: Reader, writer: Writer) -> None:
    """Answers once the other side has said all it has to say."""
    writer.write(b"said: " + await reader.read())
    await writer.drain()


async def test_it_proves_whose_it_is_and_then_passes_bytes_both_ways() -> None:
    async with doorman() as one, serving(one.server, echo):
        for _ in range(5):
            reader, writer = await one.enter()
            writer.write(b"one, ")
            await writer.drain()
            writer.write(b"two")
            writer.write_eof()
            assert await reader.read() == b"said: one, two"
            writer.close()


async def test_what_is_large_arrives_whole_and_is_not_kept() -> None:
    size = 64 << 20
    taken = hashlib.sha256()
    go = asyncio.Event()

    async def swallow(reader: Reader, writer: Writer) -> None:
        await go.wait()
        while chunk := await reader.read(1 << 16):
            taken.update(chunk)
        for _ in range(size >> 20):
            writer.write(bytes(1 << 20))
            await writer.drain()

    async with doorman() as one, serving(one.server, swallow):
        before = one.memory()
        reader, writer = await one.enter()
        for n in range(size >> 20):
            writer.write(bytes([n]) * (1 << 20))
        waits, still = size, 0
        while still < 10:  # until no more of it goes anywhere
            await asyncio.sleep(0.01)
            was, waits = waits, writer.transport.get_write_buffer_size()
            still = still + 1 if was == waits else 0
        assert size - waits < 32 << 20  # what kernels keep is not ours to say
        held = one.memory()
        go.set()
        await writer.drain()
        writer.write_eof()
        got = 0
        while chunk := await reader.read(1 << 20):
            got += len(chunk)
            held = max(held, one.memory())
        writer.close()
    assert got == size
    assert (
        taken.digest()
        == hashlib.sha256(b"".join(bytes([n]) * (1 << 20) for n in range(size >> 20))).digest()
    )
    assert held - before < 8 << 10


async def test_a_server_that_answers_one_connection_and_exits_loses_none(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(ONE_REQUEST)
    async with doorman(patience="10") as one:
        loop = f'while :; do {sys.executable} -S "$0" {one.server} || exit; done'
        lives = await asyncio.create_subprocess_exec(
            "sh", "-c", loop, str(program), start_new_session=True
        )
        try:
            await one.until("200 ready")
            head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
            for n in range(10, 13):
                assert (await one.ask(f"{head}{n}".encode())).endswith(f"\r\n1:{n}".encode())
            asked = [one.ask(f"{head}{n}".encode()) for n in range(20, 26)]
            for n, got in enumerate(await asyncio.gather(*asked), 20):
                assert got.endswith(f"\r\n1:{n}".encode())
            assert await one.told() == "200 ready"
        finally:
            os.killpg(lives.pid, signal.SIGKILL)
            await lives.wait()


async def test_without_a_server_there_is_no_proof() -> None:
    async with doorman(patience="0.1") as one:
        reader, writer = await one.knock()
        assert await reader.read() == b""
        writer.close()


async def test_who_waits_for_a_server_is_let_in_when_it_comes() -> None:
    async with doorman(patience="10") as one:
        entering = asyncio.create_task(one.enter())
        while await one.told("/livez") != "200 ok" or entering.done():
            await asyncio.sleep(0.01)
        async with serving(one.server, echo):
            _, writer = await entering
            writer.close()


async def test_who_speaks_out_of_turn_gets_nowhere() -> None:
    async with doorman() as one, serving(one.server, echo) as server:
        for words in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(NONCE + 1)):
            reader, writer = await one.knock(words)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        assert server.met == 0


async def test_a_server_too_busy_to_accept_is_vouched_for_and_its_next_life_gets_the_request() -> (
    None
):
    async with doorman() as one:
        with socket.socket() as busy:
            busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            busy.bind(("127.0.0.1", one.server))
            busy.listen(8)
            reader, writer = await one.enter()
            writer.write(b"once")
            writer.write_eof()
        async with serving(one.server, echo) as server:
            assert await reader.read() == b"said: once"
            assert server.met == 1
        writer.close()


async def test_a_connection_that_fails_at_one_end_fails_at_the_other() -> None:
    async def drop(reader: Reader, writer: Writer) -> None:
        await reader.readexactly(1)
        writer.transport.abort()

    async with doorman() as one, serving(one.server, drop):
        reader, writer = await one.enter()
        writer.write(b"x")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_a_client_that_goes_away_is_noticed_by_the_server() -> None:
    gone = asyncio.Event()

    async def wait(reader: Reader, writer: Writer) -> None:
        try:
            while await reader.read(1):
                pass
        finally:
            gone.set()

    async with doorman() as one, serving(one.server, wait):
        _, writer = await one.enter()
        writer.write(b"x")
        writer.transport.abort()
        await gone.wait()


async def test_more_connections_than_allowed_are_turned_away() -> None:
    async with doorman(connections="2") as one, serving(one.server, echo):
        inside = [await one.enter() for _ in range(2)]
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await one.enter()
        for reader, writer in inside:
            writer.write_eof()
            assert await reader.read() == b"said: "
            writer.close()
        while True:
            try:
                _, writer = await one.enter()
            except (asyncio.IncompleteReadError, ConnectionResetError):
                continue
            writer.close()
            break


async def test_connections_slow_at_both_ends_hold_little_each() -> None:
    many, each = 40, 8 << 20

    async def flood(reader: Reader, writer: Writer) -> None:
        writer.write(bytes(each))
        await asyncio.sleep(END)

    async with doorman() as one, serving(one.server, flood):
        before = one.memory()
        inside = [await one.enter() for _ in range(many)]
        for _, writer in inside:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(bytes(each))
        waits, still = 0, 0
        while still < 10:  # until no more of it goes anywhere
            await asyncio.sleep(0.01)
            was, waits = waits, sum(w.transport.get_write_buffer_size() for _, w in inside)
            still = still + 1 if was == waits else 0
        assert one.memory() - before < many * 200
        for _, writer in inside:
            writer.transport.abort()


async def test_without_room_for_files_it_takes_fewer_connections_and_still_answers() -> None:
    async with doorman(files=96) as one, serving(one.server, echo):
        inside = [await one.enter() for _ in range(16)]
        for _ in range(32):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await one.enter()
        assert await one.told("/livez") == "200 ok"
        for reader, writer in inside:
            writer.write_eof()
            assert await reader.read() == b"said: "
            writer.close()


async def test_listening_makes_it_ready_without_a_connection_and_not_listening_ends_that() -> None:
    async with doorman(patience="0.1") as one:
        await one.until(f"503 nothing listens on port {one.server}")
        async with serving(one.server, echo) as server:
            await one.until("200 ready")
            assert server.met == 0
        await one.until(f"503 nothing listens on port {one.server}")
        assert await one.told("/livez") == "200 ok"
        assert (await one.told("/x")).startswith("404")


@pytest.mark.parametrize("answer", ["302 Found\r\nLocation: /", "500 Oh", "200x", "2000 No"])
async def test_only_a_ping_answered_with_200_makes_it_ready(answer: str) -> None:
    said = answer

    async def pong(reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /ping HTTP/1.1\r\n")
        writer.write(f"HTTP/1.1 {said}\r\n\r\n".encode() + bytes(1 << 20))
        await writer.drain()

    async with doorman(readiness="ping") as one, serving(one.server, pong) as server:
        line = answer.splitlines()[0]
        await one.until(f"503 GET /ping of port {one.server} answers: HTTP/1.1 {line}")
        said = "200 OK"
        await one.until("200 ready")
        met = server.met
        await one.told()
        assert server.met == met


@pytest.mark.parametrize("host", ["127.0.0.9", "0.0.0.0", "::", "::1"])
@pytest.mark.parametrize("readiness", ["listening", "ping"])
async def test_a_server_is_found_at_whatever_address_it_listens(host: str, readiness: str) -> None:
    """127.0.0.9 is in the place of the pod's own address: neither is loopback's usual one."""

    async def speak(reader: Reader, writer: Writer) -> None:
        if await reader.readline() == b"GET /ping HTTP/1.1\r\n":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            writer.write(b"said: " + await reader.read())
        await writer.drain()

    async with doorman(readiness=readiness) as one, serving(one.server, speak, host) as server:
        await one.until("200 ready")
        for _ in range(5):
            reader, writer = await one.enter()
            writer.write(b"\none")
            writer.write_eof()
            assert await reader.read() == b"said: one"
            writer.close()
        assert server.met == 5 or (readiness == "ping" and server.met > 5)


async def test_a_server_between_two_lives_stays_ready() -> None:
    async with doorman(patience="60") as one:
        async with serving(one.server, echo):
            await one.until("200 ready")
        looked = 0.0
        while (looked := looked + 0.05) < 0.6:  # longer than from one look to the next
            assert await one.told() == "200 ready"
            await asyncio.sleep(0.05)


async def test_a_server_whose_backlog_is_full_is_given_up() -> None:
    async with doorman(patience="0.3") as one:
        with socket.socket() as full, socket.socket() as first:
            full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            full.bind(("127.0.0.1", one.server))
            full.listen(0)
            first.connect(("127.0.0.1", one.server))
            reader, writer = await one.knock()
            assert await reader.read() == b""
            writer.close()


async def test_without_a_promise_it_is_ready_at_once() -> None:
    async with doorman(readiness="none") as one:
        assert await one.told() == "200 ready"


async def test_told_to_stop_with_nothing_to_do_it_ends_at_once() -> None:
    async with doorman() as one:
        one.process.terminate()
        assert await one.process.wait() == 0


async def test_told_to_stop_it_serves_on_until_server_and_connections_are_gone() -> None:
    async with doorman() as one:
        async with serving(one.server, echo):
            old = await one.enter()
            one.process.terminate()
            await one.until("503 stopping")
            new = await one.enter()
            for reader, writer in (old, new):
                writer.write_eof()
                assert await reader.read() == b"said: "
                writer.close()
            assert one.process.returncode is None
        assert await one.process.wait() == 0


async def test_told_to_stop_it_waits_for_no_further_life() -> None:
    async with doorman(patience="60") as one:
        async with serving(one.server, echo) as server:
            old = await one.enter()
            one.process.terminate()
            await one.until("503 stopping")
            server.stop()
            reader, writer = await one.knock()
            assert await reader.read() == b""
            writer.close()
            old[1].write_eof()
            assert await old[0].read() == b"said: "
            old[1].close()
        assert await one.process.wait() == 0


async def test_it_ends_after_its_grace_or_when_told_twice() -> None:
    async with doorman(grace="0.1") as one, serving(one.server, echo):
        _, writer = await one.enter()
        one.process.terminate()
        assert await one.process.wait() == 0
        writer.close()
    async with doorman() as one, serving(one.server, echo):
        one.process.terminate()
        await one.until("503 stopping")
        one.process.terminate()
        assert await one.process.wait() == 0


async def run(*arguments: str, **environ: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", PROGRAM, *arguments, env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


GIVEN = {"DOORMAN_SECRET": SECRET, "DOORMAN_PORT_SERVER": "8000"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"DOORMAN_SECRET": ""}, "DOORMAN_SECRET is missing"),
        ({"DOORMAN_SECRET": "secret"}, "DOORMAN_SECRET must be 64 hexadecimal digits"),
        ({"DOORMAN_PORT_SERVER": ""}, "DOORMAN_PORT_SERVER is missing"),
        ({"DOORMAN_PORT_SERVER": "0"}, "DOORMAN_PORT_SERVER must be a port"),
        ({"DOORMAN_READINESS": "soon"}, "DOORMAN_READINESS must be listening, ping or none"),
        ({"DOORMAN_PATIENCE": "nan"}, "DOORMAN_PATIENCE must be a number"),
        ({"DOORMAN_PORT_SERVER": "7200"}, "must differ"),
    ],
)
async def test_a_setting_that_is_missing_or_wrong_is_named_and_no_secret_told(
    changes: dict[str, str], named: str
) -> None:
    code, errors = await run(**{**GIVEN, **changes})
    assert code == 2
    assert named in errors
    assert SECRET not in errors


async def test_looking_tells_whether_a_connection_can_be_made() -> None:
    port = free_port()
    assert await run("look", "127.0.0.1", str(port), "1") == (0, "")
    async with serving(port, echo):
        assert await run("look", "127.0.0.1", str(port), "1") == (1, "")
    assert (await run("watch"))[0] == 2


def imported() -> ModuleType:
    spec = importlib.util.spec_from_file_location("doorman", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_ways_to_look_at_the_kernels_sockets_see_the_same() -> None:
    module = imported()
    ways = (module.Sockets(), module.Tables())
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert [way.listeners(port) for way in ways] == [frozenset()] * 2
        listener.listen()
        (found,) = {way.listeners(port) for way in ways}
        inode = os.fstat(listener.fileno()).st_ino
        assert found == {(inode, socket.AF_INET, "127.0.0.1")}
        client.connect(("127.0.0.1", port))
        asked = (socket.AF_INET, "127.0.0.1", port, client.getsockname()[1])
        assert [way.accepted(*asked) for way in ways] == [False] * 2
        with listener.accept()[0]:
            assert [way.accepted(*asked) for way in ways] == [True] * 2
        nobody = (*asked[:2], free_port(), asked[3])
        assert [way.accepted(*nobody) for way in ways] == [False] * 2
    ways[0]._socket.close()

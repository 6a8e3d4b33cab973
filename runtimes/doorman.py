"""Stands at the door of one copy of a replica, beside its server, in the same network.

    python doorman.py                           serve, as the DOORMAN_* variables say
    python doorman.py look HOST PORT SECONDS    exit with 1 if a connection can be made, else with 0

The router can't be sure that an address is still whose it was. So it sends a nonce and nothing
more, and gets a proof (shared/doorman.py says which) before it sends a request. The proof is given
once the server has accepted a connection, so a connection that ends without one can be made
elsewhere without harm. From then on bytes pass both ways as they come; none is kept or looked at.

Some servers answer one connection and exit. So a port is looked at in the kernel's tables, never
connected to without need; a connection that was still in the backlog when its server ended goes to
the server's next life; and nothing is read from the client until its server has accepted. A server
that has accepted two connections in one life is past that doubt. One that listens and is too busy
to accept is vouched for after a moment: then the request waits in this connection.

The standard library alone, on Python 3.9 and newer; one file, to be laid into an image.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

NONCE = 16
INTRODUCTION = 5.0  # seconds a client may take for its nonce
VOUCH = 0.5  # seconds after which a server that listens is vouched for
PAUSE, REST = 0.05, 0.25  # seconds between two looks, before and after it is ready
SHARE = 20  # a look is followed by this many times the time it took
PING, PING_AGAIN = 2.0, 0.5  # seconds for an answer to a ping, and until the next
ASK = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
ANY = frozenset({(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")})
OTHERS = 4  # addresses beside these at which a server may listen
BACKLOG = 1024
PIECE = 1 << 16  # bytes read at a time: a connection whose ends are slow holds two
SPARE = 64  # files that are no connections
ASKERS = 32  # that may ask for the status at a time
BROKEN = select.POLLHUP | select.POLLERR


class Settings(NamedTuple):
    secret: bytes
    port: int  # of the server
    readiness: str = "listening"
    listen: int = 7200
    status: int = 7201
    patience: float = 2.0  # seconds to wait for a server between two of its lives
    grace: float = 30.0  # seconds until the end, once told to stop
    connections: int = 1024


class Wrong(Exception):
    """A setting is missing or makes no sense; the message names it."""


def read(environ: Mapping[str, str]) -> Settings:
    def setting(name: str, convert: Callable[[str], Any], wanted: str, default: Any = None) -> Any:
        text = environ.get(name)
        if not text and default is not None:
            return default
        if not text:
            raise Wrong(f"{name} is missing: {wanted}")
        try:
            return convert(text)
        except ValueError:
            raise Wrong(f"{name} must be {wanted}") from None

    usual = Settings(b"", 0)
    port, seconds = "a port, 1 to 65535", "a number of seconds, 0 or more"
    found = Settings(
        secret=setting("DOORMAN_SECRET", _secret, "64 hexadecimal digits"),
        port=setting("DOORMAN_PORT_SERVER", _port, port),
        readiness=setting("DOORMAN_READINESS", _kind, "listening, ping or none", usual.readiness),
        listen=setting("DOORMAN_LISTEN", _port, port, usual.listen),
        status=setting("DOORMAN_STATUS", _port, port, usual.status),
        patience=setting("DOORMAN_PATIENCE", _seconds, seconds, usual.patience),
        grace=setting("DOORMAN_GRACE", _seconds, seconds, usual.grace),
        connections=setting("DOORMAN_CONNECTIONS", _port, "1 to 65535", usual.connections),
    )
    if len({found.port, found.listen, found.status}) < 3:
        raise Wrong("DOORMAN_PORT_SERVER, DOORMAN_LISTEN and DOORMAN_STATUS must differ")
    return found


def _secret(text: str) -> bytes:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError
    return bytes.fromhex(text)


def _port(text: str) -> int:
    if not 1 <= int(text) <= 65535:
        raise ValueError
    return int(text)


def _kind(text: str) -> str:
    if text not in ("listening", "ping", "none"):
        raise ValueError
    return text


def _seconds(text: str) -> float:
    if not 0 <= float(text) < float("inf"):
        raise ValueError
    return float(text)


class Listener(NamedTuple):
    """A socket that listens. Another life of a server has another `inode`."""

    inode: int
    family: int
    host: str


def doors(life: frozenset[Listener]) -> tuple[tuple[int, str], ...]:
    """Families and hosts at which those that listen may be reached from here."""
    own = {(each.family, each.host) for each in life}
    return (*HOSTS, *sorted(own - ANY - set(HOSTS))[:OTHERS])


class Sockets:
    """The kernel's answer to `which TCP sockets are there`, by sock_diag: microseconds a look.

    Raises OSError where the kernel has no such answers.
    """

    DIAG, BY_FAMILY, REQUEST, DUMP, LISTEN = 4, 20, 0x001, 0x300, 10
    ASKED = struct.Struct("=IHHII BBBBI")
    WHO = struct.Struct("!HH16s16s")

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self.DIAG
        )
        self._socket.settimeout(1.0)
        self._number = 0
        list(self._ask(self.DUMP, socket.AF_INET, 1 << self.LISTEN, 1))

    def listeners(self, port: int) -> frozenset[Listener]:
        """The sockets that listen on `port`."""
        return frozenset(
            Listener(
                inode, family, socket.inet_ntop(family, at[: 4 if family == socket.AF_INET else 16])
            )
            for family, _ in HOSTS
            for _, inode, at in self._ask(self.DUMP, family, 1 << self.LISTEN, port)
        )

    def accepted(self, family: int, host: str, port: int, source: int) -> bool:
        """Whether the server has taken the connection from `source`, which it may have closed.

        A connection that waits in the backlog belongs to no process yet: its inode is 0.
        """
        at = socket.inet_pton(family, host)
        found = self._ask(0, family, 0xFFF, port, source, at)
        return any(state != self.LISTEN and inode for state, inode, _ in found)

    def _ask(
        self, flags: int, family: int, states: int, port: int, source: int = 0, at: bytes = b""
    ) -> Iterator[tuple[int, int, bytes]]:
        """State, inode and local address of each."""
        self._number += 1
        head = (72, self.BY_FAMILY, self.REQUEST | flags, self._number, 0)
        asked = self.ASKED.pack(*head, family, socket.IPPROTO_TCP, 0, 0, states)
        self._socket.send(asked + self.WHO.pack(port, source, at, at) + bytes(4) + b"\xff" * 8)
        while True:
            answer, place = self._socket.recv(1 << 16), 0
            while place < len(answer):
                size, kind, _, number, _ = struct.unpack_from("=IHHII", answer, place)
                body, place = place + 16, place + ((size + 3) & ~3)
                if number != self._number:  # of a question that was given up
                    continue
                if kind == 3:
                    return
                if kind == 2:
                    (error,) = struct.unpack_from("=i", answer, body)
                    if flags:
                        raise OSError(-error, os.strerror(-error))
                    return
                (inode,) = struct.unpack_from("=I", answer, body + 68)
                yield answer[body + 1], inode, answer[body + 8 : body + 24]
                if not flags:
                    return


class Tables:
    """The same from /proc, where a look takes milliseconds on a large machine."""

    LISTEN = "0A"

    def listeners(self, port: int) -> frozenset[Listener]:
        return frozenset(
            Listener(inode, family, _host(family, local))
            for family, local, _, state, inode in self._rows()
            if (_tail(local), state) == (port, self.LISTEN)
        )

    def accepted(self, family: int, host: str, port: int, source: int) -> bool:
        return any(
            (_tail(local), remote) == (port, source) and inode
            for _, local, remote, _, inode in self._rows()
        )

    def _rows(self) -> Iterator[tuple[int, str, int, str, int]]:
        for family, name in zip((socket.AF_INET, socket.AF_INET6), ("tcp", "tcp6")):
            try:
                with open(f"/proc/net/{name}") as table:
                    next(table)
                    for line in table:
                        local, remote, state, *_, inode = line.split()[1:10]
                        yield family, local, _tail(remote), state, int(inode)
            except FileNotFoundError:  # a kernel without IPv6
                continue


def _tail(address: str) -> int:
    return int(address.rsplit(":", 1)[1], 16)


def _host(family: int, address: str) -> str:
    words = re.findall("[0-9A-F]{8}", address.rsplit(":", 1)[0])
    return socket.inet_ntop(family, b"".join(struct.pack("=I", int(word, 16)) for word in words))


def looking() -> Sockets | Tables:
    try:
        return Sockets()
    except OSError:
        return Tables()


class Side(asyncio.Protocol):
    """One end; what comes in goes out at the `other`."""

    def __init__(self) -> None:
        self.other: Side | None = None
        self.transport: Any = None
        self.ended = False  # nothing more comes in
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.max_size = PIECE
        transport.set_write_buffer_limits(high=0)  # what does not go out at once is not added to

    def data_received(self, data: bytes) -> None:
        if self.other is not None and not self.other.lost:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        other = self.other
        if other is None or other.lost:
            return False
        if other.ended:
            other.transport.close()
            return False
        other.transport.write_eof()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.lost:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.lost:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        other = self.other
        if other is not None and not other.lost:
            if error is None:
                other.transport.close()
            else:
                other.transport.abort()

    def polled(self, events: int) -> int:
        """What the kernel knows of it; nothing is read to find out."""
        if self.lost:
            return BROKEN
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), events)
        return sum(event for _, event in poll.poll(0))


class Upstream(Side):
    """The server's end. Nothing is read from it before it has been joined to a client."""

    def __init__(self, family: int, host: str, source: int) -> None:
        super().__init__()
        self.family, self.host = family, host
        self.source = source  # the port that it is known by at the server's

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # not at once: Python 3.11.2 begins to read right after connection_made, paused or not
        asyncio.get_running_loop().call_soon(self._hold)

    def _hold(self) -> None:
        if self.other is None and not self.lost:
            self.transport.pause_reading()


class Client(Side):
    """The router's end, which has to introduce itself with a nonce."""

    def __init__(self, doorman: Doorman) -> None:
        super().__init__()
        self.nonce = b""
        self.proven = False
        self._doorman = doorman
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if not self._doorman.welcome(self):
            self.transport.abort()
            return
        later = asyncio.get_running_loop().call_later
        self._timer = later(INTRODUCTION, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self.nonce += data
        if len(self.nonce) > NONCE:  # no router of ours: it would wait for the proof
            self.transport.abort()
        elif len(self.nonce) == NONCE:
            self._introduced()
            self.transport.pause_reading()
            self._doorman.begin(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._introduced()
        super().connection_lost(error)
        self._doorman.farewell(self)

    def _introduced(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def prove(self, secret: bytes) -> None:
        if not self.proven:
            self.proven = True
            host, port = self.transport.get_extra_info("sockname")[:2]
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            place = socket.inet_pton(family, host.partition("%")[0]) + port.to_bytes(2, "big")
            self.transport.write(hmac.digest(secret, self.nonce + place, "sha256"))

    @property
    def left(self) -> bool:
        """It has hung up. Before the proof it has nothing to send, so half of that is enough."""
        half = 0 if self.proven else select.POLLRDHUP
        return bool(self.polled(half) & (BROKEN | half))


class Doorman:
    def __init__(
        self, settings: Settings, looks: Sockets | Tables, saw: Callable[[], None]
    ) -> None:
        self.clients: set[Client] = set()
        self.closing = False  # there will be no further life to wait for
        self._saw = saw  # told whenever the server is seen to listen
        self._settings = settings
        self._looks = looks
        self._life: frozenset[Listener] = frozenset()  # what the server listens with
        self._accepted = 0  # in this life, up to the second
        self._tasks: set[asyncio.Task[None]] = set()

    def welcome(self, client: Client) -> bool:
        if len(self.clients) >= self._settings.connections:
            return False
        self.clients.add(client)
        return True

    def farewell(self, client: Client) -> None:
        self.clients.discard(client)

    def begin(self, client: Client) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if client.other is None:
                client.transport.abort()

        task = asyncio.get_running_loop().create_task(self._join(client))
        self._tasks.add(task)
        task.add_done_callback(end)

    async def _join(self, client: Client) -> None:
        now = time.monotonic
        vouch = now() + VOUCH
        until = now() + self._settings.patience  # for a life to begin
        while now() < until and not client.left:
            upstream = await self._connect()
            if upstream is None:
                if self.closing:
                    return
                await asyncio.sleep(PAUSE / 5)
                continue
            if await self._taken(upstream, client, vouch):
                client.prove(self._settings.secret)
                upstream.other, client.other = client, upstream
                upstream.transport.resume_reading()
                client.transport.resume_reading()
                return
            upstream.transport.abort()
            until = now() + self._settings.patience

    async def _connect(self) -> Upstream | None:
        """A connection, if somebody listens: that is looked up while in doubt."""
        if self._accepted < 2:
            life = self._looks.listeners(self._settings.port)
            if life != self._life:
                self._life, self._accepted = life, 0
            if not life:
                return None
        for family, host in doors(self._life):
            upstream = await self._dial(family, host)
            if upstream is not None:
                self._saw()
                return upstream
        self._accepted = 0  # this life is over
        return None

    async def _dial(self, family: int, host: str) -> Upstream | None:
        loop = asyncio.get_running_loop()
        try:
            found = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:  # a kernel without IPv6
            return None
        late = loop.call_later(self._settings.patience or PING, found.shutdown, socket.SHUT_RDWR)
        try:
            if (family, host) not in HOSTS:  # then it comes from there as well
                found.bind((host, 0))
            await loop.sock_connect(found, (host, self._settings.port))
            upstream = Upstream(family, host, found.getsockname()[1])
            await loop.create_connection(lambda: upstream, sock=found)
        except OSError:
            found.close()
            return None
        finally:
            late.cancel()
        return upstream

    async def _taken(self, upstream: Upstream, client: Client, vouch: float) -> bool:
        """Wait until the server has accepted; False when it ended, or the client left, before."""
        if self._accepted >= 2:
            return True
        port = self._settings.port
        at = (upstream.family, upstream.host, port, upstream.source)
        pause, began = 0.0002, time.monotonic()
        while not self._looks.accepted(*at):
            await asyncio.sleep(max(pause, time.monotonic() - began))
            pause, began = min(pause * 2, PAUSE), time.monotonic()
            seen = upstream.polled(select.POLLIN | select.POLLRDHUP)
            if seen & BROKEN or client.left:
                return False
            if seen:  # it spoke, or closed politely: the backlog does neither
                break
            if time.monotonic() > vouch:
                client.prove(self._settings.secret)
        if self._life == self._looks.listeners(port):
            self._accepted += 1
        return True


class Readiness:
    """Whether requests may come. Once reached it lasts for as long as the server listens, or a
    connection would wait for it to listen again."""

    def __init__(self, settings: Settings, looks: Sockets | Tables) -> None:
        self.reason = "" if settings.readiness == "none" else "not looked yet"  # why not
        self._settings = settings
        self._looks = looks
        self._seen = float("-inf")  # when it was last seen to listen

    def saw(self) -> None:
        self._seen = time.monotonic()

    def listens(self) -> bool:
        return bool(self._looks.listeners(self._settings.port))

    async def watch(self) -> None:
        port = self._settings.port
        while self._settings.readiness != "none":
            began = time.monotonic()
            listens = self.listens()
            cost = time.monotonic() - began
            rest = REST
            if not listens:
                if began - self._seen > self._settings.patience:
                    self.reason, rest = f"nothing listens on port {port}", PAUSE
            else:
                self.saw()
                if self.reason:
                    self.reason = await self._missing()
                    rest = PING_AGAIN
            await asyncio.sleep(max(rest, SHARE * cost))

    async def _missing(self) -> str:
        if self._settings.readiness == "listening":
            return ""
        answer = ""
        for _, host in doors(self._looks.listeners(self._settings.port)):
            asking = _status_line(host, self._settings.port)
            try:
                answer = (await asyncio.wait_for(asking, PING)).decode("latin-1")
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                answer = answer or str(error) or "nothing in time"
                continue
            if answer.split(" ")[1:2] == ["200"]:
                return ""
        return f"GET /ping of port {self._settings.port} answers: {answer.strip()[:100]}"


async def _status_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, limit=4096)
    try:
        writer.write(ASK)
        return await reader.readline()
    finally:
        writer.transport.abort()


class Status:
    """GET /ready and GET /livez, for the kubelet."""

    def __init__(self, reason: Callable[[], str]) -> None:
        self._reason = reason
        self._asking = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking += 1
        try:
            if self._asking <= ASKERS:
                line = await asyncio.wait_for(reader.readline(), INTRODUCTION)
                writer.write(self._said(line.split(b" ")))
                await asyncio.wait_for(writer.drain(), INTRODUCTION)
        except (OSError, ValueError, asyncio.TimeoutError):
            pass
        finally:
            self._asking -= 1
            writer.close()

    def _said(self, line: list[bytes]) -> bytes:
        status, text = "404 Not Found", "there are /ready and /livez"
        if line[:2] == [b"GET", b"/livez"]:
            status, text = "200 OK", "ok"
        elif line[:2] == [b"GET", b"/ready"]:
            reason = self._reason()
            status, text = ("503 Service Unavailable", reason) if reason else ("200 OK", "ready")
        body = f"{text}\n".encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def listeners(port: int) -> list[socket.socket]:
    """On every address of both families, as far as the machine has them."""
    found = []
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # what it accepts too
            for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
        except OSError:
            listener.close()
            if family == socket.AF_INET:
                raise
            continue
        found.append(listener)
    return found


async def serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stopping, hurry = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (hurry if stopping.is_set() else stopping).set())
    looks = looking()
    readiness = Readiness(settings, looks)
    doorman = Doorman(settings, looks, readiness.saw)
    status = Status(lambda: "stopping" if stopping.is_set() else readiness.reason)
    servers: list[asyncio.AbstractServer] = []
    for listener in listeners(settings.listen):
        servers.append(
            await loop.create_server(lambda: Client(doorman), sock=listener, backlog=BACKLOG)
        )
    for listener in listeners(settings.status):
        servers.append(await asyncio.start_server(status.answer, sock=listener, limit=4096))
    watch = loop.create_task(readiness.watch())
    print(f"doorman: at port {settings.listen} for port {settings.port}", file=sys.stderr)
    await stopping.wait()
    doorman.closing = True
    end = time.monotonic() + settings.grace
    while not hurry.is_set() and time.monotonic() < end:
        if not doorman.clients and not readiness.listens():
            break
        await asyncio.sleep(PAUSE)
    watch.cancel()
    for server in servers:
        server.close()
    for client in list(doorman.clients):
        client.transport.abort()


def look(host: str, port: str, seconds: str) -> int:
    try:
        socket.create_connection((host, int(port)), float(seconds)).close()
    except OSError:
        return 0
    return 1


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["look"] and len(arguments) == 4:
        return look(*arguments[1:])
    if arguments:
        print("usage: doorman.py [look HOST PORT SECONDS]", file=sys.stderr)
        return 2
    try:
        settings = read(os.environ)
    except Wrong as wrong:
        print(f"doorman: {wrong}", file=sys.stderr)
        return 2
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY:  # two for a connection
        possible = max(1, (most - SPARE) // 2)
        settings = settings._replace(connections=min(settings.connections, possible))
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The engine, Docker's or Podman's, over its API: the few questions that the driver has.

Every call has a limit of time, and raises Missing, Taken or Rejected, or Transient for all else.
Answers are checked as they come in: an engine that answers oddly is one that is away.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
from aiodocker import Docker
from aiodocker.exceptions import DockerError
from aiohttp import ClientTimeout

from services.scheduler.drivers.container import errors
from services.scheduler.drivers.container.errors import Missing, engine_errors
from shared.address import Address

SOON: Final = 60.0  # seconds for an ordinary answer
PULL: Final = 3600.0
FRAME: Final = 1 << 20  # bytes of one frame of a log: engines cut lines long before
OUTPUT: Final = 1 << 20  # bytes that a command may print

T = TypeVar("T")
Kind = Literal["docker", "podman"]


class Struct(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    pass


class Component(Struct, frozen=True, kw_only=True):
    name: str = ""
    version: str = ""


class Version(Struct, frozen=True, kw_only=True):
    version: str = ""
    components: list[Component] | None = None

    @property
    def kind(self) -> Kind:
        names = [component.name.lower() for component in self.components or ()]
        return "podman" if any("podman" in name for name in names) else "docker"

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d{1,6}", self.version)[:2])


class ImageConfig(Struct, frozen=True, kw_only=True):
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] | None = None
    working_dir: str | None = None
    user: str | None = None


class Image(Struct, frozen=True, kw_only=True):
    id: str
    config: ImageConfig | None = None


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """A container's place in a network."""

    address: str = msgspec.field(name="IPAddress", default="")


class Networks(Struct, frozen=True, kw_only=True):
    networks: dict[str, Attached] | None = None
    ports: dict[str, list[dict[str, str]] | None] | None = None


class State(Struct, frozen=True, kw_only=True):
    running: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    status: str = ""

    @property
    def over(self) -> bool:
        """It has run, and does no more."""
        return not self.running and self.status not in ("created", "configured", "initialized")


class Config(Struct, frozen=True, kw_only=True):
    labels: dict[str, str] | None = None


class Container(Struct, frozen=True, kw_only=True):
    """What `inspect` says."""

    id: str
    config: Config = Config()
    state: State = State()
    network_settings: Networks = Networks()

    def address(self, port: int) -> Address | None:
        """Where it is reached: a published port of this machine, or its own address."""
        for bound in (self.network_settings.ports or {}).get(f"{port}/tcp") or ():
            return Address(f"http://127.0.0.1:{bound['HostPort']}")
        for network in (self.network_settings.networks or {}).values():
            if network.address:
                return Address(f"http://{network.address}:{port}")
        return None


class Listed(Struct, frozen=True, kw_only=True):
    """What a list says of each."""

    id: str
    labels: dict[str, str] | None = None
    state: str = ""


class Frame(msgspec.Struct, frozen=True):
    """A piece of a log as the engine keeps it: a line, or a part of a long one."""

    stream: Literal["stdout", "stderr"]
    at: str  # RFC 3339, as the engine wrote it
    body: bytes


class Engine:
    def __init__(self, url: str) -> None:
        self._docker = Docker(url=url, timeout=ClientTimeout(total=SOON, sock_connect=5.0))
        self._local = url.startswith("unix://")
        self._version: Version | None = None
        self._remote: bool | None = None

    async def close(self) -> None:
        await self._docker.close()

    async def version(self) -> Version:
        if self._version is None:
            with engine_errors():
                self._version = msgspec.convert(await self._docker.version(), Version)
        return self._version

    async def remote(self) -> bool:
        """Whether its containers' own addresses are out of reach from here."""
        if self._remote is None:
            with engine_errors():
                options = (await self._docker.system.info()).get("SecurityOptions") or []
                rootless = any("rootless" in option for option in options)
                self._remote = rootless or not self._local
        return self._remote

    async def image(self, reference: str) -> Image:
        with engine_errors():
            return msgspec.convert(await self._docker.images.inspect(reference), Image)

    async def pull(self, reference: str, auth: Mapping[str, str] | None) -> None:
        """Raises Missing or Rejected when it can't be had, Transient when perhaps later."""
        with engine_errors():
            try:
                pulling = self._docker.images.pull(
                    reference, auth=dict(auth) if auth else None, stream=True, timeout=None
                )
                async for _ in pulling:
                    pass
            except DockerError as error:
                raise errors.of_pull(error.status, error.message, reference) from error

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Its id. Raises Taken when there is one of that name."""
        with engine_errors():
            return (await self._docker.containers.create(dict(body), name=name)).id

    async def put(
        self, container: str, files: Mapping[str, bytes], folders: Sequence[str] = ()
    ) -> None:
        """Write `files` (absolute path -> content) into a container, and make `folders` in it."""
        with engine_errors():
            inside = self._docker.containers.container(container)
            await inside.put_archive("/", archive(files, folders))  # type: ignore[no-untyped-call]

    async def start(self, container: str) -> None:
        """Starting what runs changes nothing."""
        with engine_errors():
            await self._docker.containers.container(container).start()

    async def show(self, container: str) -> Container:
        """By name or id."""
        with engine_errors():
            return msgspec.convert(
                await self._docker.containers.container(container).show(), Container
            )

    async def list(self, *labels: str) -> Sequence[Listed]:
        """All that carry these labels, also those that have ended."""
        with engine_errors():
            found = await self._docker.containers.list(all=True, filters={"label": list(labels)})
            return [msgspec.convert(each._container, Listed) for each in found]

    async def signal(self, container: str, name: str) -> None:
        """Signal its first process. One that has ended, or is gone, needs none."""
        try:
            with engine_errors():
                await self._docker.containers.container(container).kill(signal=name)
        except (Missing, errors.Taken):
            return

    async def remove(self, container: str, *, force: bool) -> None:
        """With what it has written. Removing what is gone succeeds."""
        try:
            with engine_errors():
                await self._docker.containers.container(container).delete(force=force, v=True)
        except Missing:
            return

    async def networks(self, *labels: str) -> Mapping[str, str]:
        """Id -> name of those that carry these labels."""
        with engine_errors():
            found = await self._docker.networks.list(filters={"label": list(labels)})
            return {str(each["Id"]): str(each["Name"]) for each in found}

    async def make_network(self, body: Mapping[str, Any]) -> None:
        """Raises Taken when there is one of that name."""
        with engine_errors():
            await self._docker.networks.create(dict(body))

    async def drop_network(self, network: str) -> None:
        """Dropping what is gone succeeds."""
        try:
            with engine_errors():
                await (await self._docker.networks.get(network)).delete()
        except Missing:
            return

    async def take(self, container: str, path: str) -> AsyncGenerator[bytes, None]:
        """What is at `path` in a container, as a tar. Raises Missing when nothing is."""
        limit = ClientTimeout(total=PULL, sock_connect=5.0, sock_read=SOON)
        # the client's own way holds all of it in memory
        query = self._docker._query(
            f"containers/{container}/archive", params={"path": path}, timeout=limit
        )
        with engine_errors():
            async with query as answer, answer:
                async for chunk in answer.content.iter_any():
                    yield chunk

    async def run(self, container: str, *command: str) -> bytes:
        """What a command inside prints."""
        with engine_errors():
            made = await self._docker.containers.container(container).exec(
                list(command), stderr=False
            )
            printed = b""
            async with made.start(detach=False, timeout=ClientTimeout(total=SOON)) as stream:
                while len(printed) < OUTPUT and (message := await stream.read_out()) is not None:
                    printed += message.data
            return printed

    async def log(self, container: str, *, since: str, follow: bool) -> AsyncGenerator[Frame, None]:
        """The frames of its log from the moment `since` on, that moment included."""
        asked: dict[str, Any] = {"stdout": True, "stderr": True, "timestamps": True}
        asked |= {"follow": follow} | ({"since": since} if since else {})
        limit = ClientTimeout(total=None if follow else SOON, sock_connect=5.0)
        # the client's own way of reading logs does not tell the two streams apart
        query = self._docker._query(f"containers/{container}/logs", params=asked, timeout=limit)
        with engine_errors():
            async with query as answer, answer:
                async for frame in frames(answer.content):
                    yield frame


async def frames(content: Any) -> AsyncIterator[Frame]:
    """Until the end; a frame that was cut short by it is none."""
    while True:
        try:
            head = await content.readexactly(8)
            size = int.from_bytes(head[4:], "big")
            if size > FRAME:
                raise ValueError(f"a frame of {size} bytes in a log")
            body = await content.readexactly(size)
        except EOFError:  # IncompleteReadError is one
            return
        at, _, body = body.partition(b" ")
        yield Frame("stderr" if head[0] == 2 else "stdout", at.decode("ascii", "replace"), body)


def archive(files: Mapping[str, bytes], folders: Sequence[str] = ()) -> bytes:
    """A tar of `files`, owned by root; whoever runs in the container may read and execute them, and
    write into `folders`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in folders:
            member = tarfile.TarInfo(path.lstrip("/"))
            member.type, member.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(member)
        for path, content in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()

"""A RabbitMQ of our own: a private node in one folder, on free ports, ended with its owner.

`AMQP_URL` names a broker to use instead. `python -m tests.servers FOLDER` runs one in the
foreground. Messages live in the folder, so a node that was killed finds them again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tests.beds.debian import install

BIN: Final = Path("/usr/lib/rabbitmq/bin")
IMAGE: Final = "rabbitmq:4"
START: Final = 90.0  # seconds that a busy machine may need
STOP: Final = 15.0

ERLANG: Final = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
"""One scheduler that sleeps when idle: the tests need the processor more than the broker."""

CONFIG: Final = """\
listeners.tcp.1 = 127.0.0.1:{port}
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.absolute = 768MB
log.file.level = warning
log.console = false
"""


class NoBroker(Exception):
    """There is no RabbitMQ here and none can be had; the message says what to do."""


class Rabbit(Protocol):
    url: str

    def kill(self) -> None:
        """End it at once, as `kill -9` does. Its folder stays."""

    def restart(self) -> None:
        """Start it again, with the same URL and what was durable; returns when it answers."""


class Given:
    """A broker that somebody else runs. It can't be killed from here."""

    def __init__(self, url: str) -> None:
        self.url = url

    def kill(self) -> None:
        raise NoBroker("the broker that AMQP_URL names can't be killed from here; unset AMQP_URL")

    restart = kill


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What must stay the same for a node to find its messages again."""

    name: str
    port: int
    distribution: int
    epmd: int
    cookie: str


class Private:
    """Debian's server as child processes of this one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._node = _node(self._folder)
        self._children: list[subprocess.Popen[bytes]] = []
        self._guards: list[subprocess.Popen[bytes]] = []
        self.url = f"amqp://guest:guest@127.0.0.1:{self._node.port}/"

    def start(self) -> None:
        (self._folder / "rabbitmq.conf").write_text(CONFIG.format(port=self._node.port))
        (self._folder / "enabled_plugins").write_text("[].\n")
        (self._folder / "environment").touch()
        cookie = self._folder / ".erlang.cookie"  # Erlang looks into HOME and wants it private
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(self._node.cookie)
        epmd = shutil.which("epmd") or "epmd"
        self._spawn([epmd, "-address", "127.0.0.1", "-port", str(self._node.epmd)])
        _wait_for(self._node.epmd, b"\x00\x01n", self._children[0], self._folder)  # any answer
        server = self._spawn([str(BIN / "rabbitmq-server")])
        _wait_for(self._node.port, b"AMQP\x00\x00\x09\x01", server, self._folder)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` answers."""
        command = [str(BIN / "rabbitmqctl"), "-n", self._node.name, *words]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def _end(self, number: signal.Signals) -> None:
        while self._guards:
            guard = self._guards.pop()
            guard.kill()
            guard.communicate()
        while self._children:  # the server before its port mapper
            child = self._children.pop()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            try:
                child.wait(STOP)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            with suppress(ProcessLookupError):  # what its shell left behind
                os.killpg(child.pid, signal.SIGKILL)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("ab") as output:
            child = subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        self._guards.append(_guard(child))
        return child

    def _environment(self) -> dict[str, str]:
        folder, node = self._folder, self._node
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(node.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": node.name,
            "RABBITMQ_DIST_PORT": str(node.distribution),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                ERLANG + " -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def _guard(child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Ends the child and its group when this process is gone, however it went."""
    script = 'read -r _; kill -9 "-$1"'  # nobody writes, so it reads until we are gone
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "guard", str(child.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class Container:
    """The same from an image, where there is no package but a container engine."""

    def __init__(self, engine: str, folder: Path) -> None:
        self._engine = engine
        self._port = _node(folder.absolute()).port
        self._name = f"slipway-rabbitmq-{self._port}"
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        port = f"127.0.0.1:{self._port}:5672"
        name = ["--name", self._name, "--hostname", self._name]
        self._call("run", "--detach", *name, "--publish", port, IMAGE)
        self._wait()

    def kill(self) -> None:
        self._call("kill", self._name)

    def restart(self) -> None:
        self._call("restart", self._name)
        self._wait()

    def stop(self) -> None:
        self._call("rm", "--force", "--volumes", self._name)

    def _wait(self) -> None:
        # the engine's own proxy accepts connections before the broker does
        deadline = time.monotonic() + START
        while not _answers(self._port, b"AMQP\x00\x00\x09\x01"):
            if time.monotonic() > deadline:
                raise NoBroker(f"container {self._name} did not answer within {START:.0f} s")
            time.sleep(0.2)

    def _call(self, *words: str) -> None:
        done = subprocess.run([self._engine, *words], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise NoBroker(f"{self._engine} {words[0]} failed: {done.stderr.strip()}")


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Rabbit]:
    """A running broker: AMQP_URL, else a private node, installed when missing, else a container."""
    if given := os.environ.get("AMQP_URL"):
        yield Given(given)
        return
    with private(folder) as server:
        yield server


@contextmanager
def private(folder: Path) -> Iterator[Rabbit]:
    """A broker of one's own, that can be killed."""
    folder.mkdir(parents=True, exist_ok=True)
    server = _choose(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _choose(folder: Path) -> Private | Container:
    installed = (BIN / "rabbitmq-server").exists()
    reason = "" if installed else install("rabbitmq-server")
    if not reason:
        return Private(folder)
    for name in ("docker", "podman"):
        engine = shutil.which(name)
        if engine and not subprocess.run([engine, "info"], capture_output=True).returncode:
            return Container(engine, folder)
    raise NoBroker(
        f"RabbitMQ is not installed ({reason}) and no container engine answers. Install the "
        "package rabbitmq-server, or start a broker and set AMQP_URL to its address."
    )


def _node(folder: Path) -> Node:
    """Who the folder's node is: as before, or new."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "node.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Node)
    port, distribution, epmd = _free_ports(3)
    node = Node(
        name=f"slipway-{secrets.token_hex(4)}@localhost",
        port=port,
        distribution=distribution,
        epmd=epmd,
        cookie=secrets.token_hex(16),
    )
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(node))
    return node


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _wait_for(port: int, hello: bytes, child: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START
    while not _answers(port, hello):
        if child.poll() is not None or time.monotonic() > deadline:
            said = (folder / "output").read_text(errors="replace")[-2000:]
            raise NoBroker(f"{child.args!r} did not come up (code {child.returncode}): {said}")
        time.sleep(0.05)


def _answers(port: int, hello: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(hello)
            return bool(connection.recv(1))
    except OSError:
        return False


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt), rabbitmq(Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()

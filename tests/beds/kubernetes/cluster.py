"""The whole cluster, up and down. Both may be called again and again, and by several at a time."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.beds.debian import program
from tests.beds.kubernetes import api, components, daemons, gpus, keys, network, pause, programs
from tests.beds.kubernetes.daemons import say
from tests.beds.kubernetes.place import HOME, KUBECONFIG, NODE_NAME, REGISTRY, RUN, SOCKET, STATE

NODE: Final = f"/api/v1/nodes/{NODE_NAME}"
REPOSITORY: Final = Path(__file__).parents[3]


def up() -> None:
    """Have it answer, its node ready; what ended meanwhile is started again.

    Raises NotHad for what is missing on this machine and NotUp when something does not start.
    """
    programs.have()
    with _alone():
        began = time.monotonic()
        if not (is_up() and keys.good()):
            _down()
            _fresh()
        for name in components.COMMANDS:
            start(name)
        until_ready()
        say(f"ready after {time.monotonic() - began:.0f} s; KUBECONFIG={KUBECONFIG}")


def is_up() -> bool:
    """Whether there is one at all, whole or not."""
    return network.FOLDER.exists() and daemons.pid("kubelet") is not None


def down() -> None:
    """Nothing of it stays but programs, keys and what was pushed to the registry."""
    with _alone():
        _down()


def start(name: str) -> None:
    if daemons.pid(name) is not None:
        return
    if name == "kubelet":
        daemons.until("containerd", _imported)
    if name in ("controllers", "scheduler", "kubelet", "proxy"):  # they end without it
        daemons.until("apiserver", lambda: api.answers("/readyz"))
    began = datetime.now(UTC)
    environment = {"PYTHONPATH": str(REPOSITORY), "OTEL_TRACES_EXPORTER": "none"}
    daemons.start(name, components.command(name), **environment)
    if name == "kubelet":
        gpus.offer_again(began)


def until_ready() -> None:
    daemons.until("kubelet", _node_ready)
    daemons.until(
        "controllers", lambda: api.answers("/api/v1/namespaces/default/serviceaccounts/default")
    )
    daemons.until("registry", _registry_answers)


def load(archive: Path) -> None:
    """Have the images of an OCI or Docker archive on the node."""
    ctr = (program("ctr", "containerd"), "--address", str(SOCKET), "--namespace", "k8s.io")
    subprocess.run(
        [*ctr, "images", "import", "--no-unpack", str(archive)], check=True, capture_output=True
    )


def _fresh() -> None:
    say("starting")
    keys.make()
    RUN.mkdir(parents=True)
    STATE.mkdir(parents=True)
    network.up()
    components.write()


def _imported() -> bool:
    """Whether containerd answers, and has what holds a pod."""
    archive = RUN / "pause.tar"
    if not SOCKET.exists():
        return False
    if not archive.exists():
        pause.write(archive, components.PAUSE)
    try:
        load(archive)
    except subprocess.CalledProcessError:
        return False
    return True


def _node_ready() -> bool:
    try:
        conditions = api.call("GET", NODE)["status"].get("conditions", ())
    except api.Refused:
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _registry_answers() -> bool:
    address, _, port = REGISTRY.partition(":")
    with suppress(OSError), socket.create_connection((address, int(port)), timeout=1):
        return True
    return False


def _down() -> None:
    names = list(components.COMMANDS)
    for name in reversed(names):
        daemons.stop(name, signal.SIGKILL if name == "etcd" else signal.SIGTERM)
    for process in _held():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith((f"{RUN}/", f"{STATE}/")):
            subprocess.run(["umount", "--lazy", place], check=False)
    network.down()
    components.clear()


def _held() -> list[int]:
    """What holds the containers, and the first process of each, with which all others end."""
    parents: dict[int, int] = {}
    shims = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim-runc-v2" in words[0] and os.fsencode(SOCKET) in words:
                shims.add(int(folder.name))
    return [*shims, *(child for child, parent in parents.items() if parent in shims)]


@contextmanager
def _alone() -> Iterator[None]:
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield

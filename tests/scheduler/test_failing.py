"""How servers fail, where processes are real: each way has a status of its own."""

from __future__ import annotations

import re
from typing import Final

import pytest

from services.scheduler.driver import Observed, Phase, Replica, Workload
from tests.scheduler.targets import Kind, Target

SERVER: Final = """
import os, socket, sys, time
door = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
answered = sys.argv[1] == "mute"
while not answered:
    connection = door.accept()[0]
    answered = b"/ping" in connection.recv(65536)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
time.sleep(600)
"""
GROWING: Final = (0.2, 0.4, 0.8, 1.6, 3.2)  # seconds after failures in a row, without jitter
ROUNDED: Final = 0.051  # they are told to a tenth


@pytest.fixture(params=["namespaces", "container"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def begun(on: Target, job: str, how: str, readiness: str) -> Workload:
    work = await on.made(
        *("/bin/sh", "-c", 'eval "$HOW"'),
        code={"server.py": SERVER},
        environment={"HOW": how},
        job=job,
        readiness=readiness,
    )
    await on.started(work)
    return work


async def delays(on: Target, replica: Replica) -> list[float]:
    """Seconds between the first lives, as its log tells them."""
    lines = await on.texts(replica, len(GROWING), "platform")
    found = [re.search(r"starting it again in ([\d.]+) s$", line) for line in lines]
    assert all(found), lines
    return [float(match[1]) for match in found if match]


async def test_S15_each_way_to_fail_has_its_own_status_and_tries_wait_longer_and_longer(
    on: Target,
) -> None:
    """Side by side, for the processor's sake. That tries are bounded and the GPU is then free is
    the scheduler's doing, and so is the end of who never becomes ready."""
    dying = {
        how: await begun(on, f"jdying{number}", how, "listening")
        for number, how in enumerate(("exit 0", "exit 1", "kill -KILL $$", "kill -SEGV $$"))
    }
    mute = await begun(on, "jmute", "exec python server.py mute", "ping")
    stuck = await begun(on, "jstuck", "exec python server.py stuck", "ping")
    served = await on.until(stuck.replica, Phase.READY)
    assert (served.restarts, served.failures, served.reason) == (0, 0, "")

    ended = {
        how: await on.until(
            work.replica,
            lambda seen, how=how: (
                seen.restarts > 5 if how == "exit 0" else failed(seen) and seen.failures >= 5
            ),
        )
        for how, work in dying.items()
    }
    assert {how: (s.phase, s.exit_code, s.failures > 0, s.reason) for how, s in ended.items()} == {
        "exit 0": (Phase.STARTING, 0, False, ""),
        "exit 1": (Phase.CRASHING, 1, True, "its server ended with exit code 1"),
        "kill -KILL $$": (
            Phase.CRASHING,
            -9,
            True,
            "its server was killed (SIGKILL): perhaps the machine ran out of memory",
        ),
        "kill -SEGV $$": (Phase.CRASHING, -11, True, "its server was ended by signal 11"),
    }
    waited = [await delays(on, work.replica) for how, work in dying.items() if how != "exit 0"]
    for each in waited:
        for delay, plain in zip(each, GROWING, strict=True):
            assert plain * 0.75 - ROUNDED <= delay <= plain * 1.25 + ROUNDED
    assert any(tuple(each) != GROWING for each in waited)

    seen = await on.driver.observe()
    assert (seen[mute.replica].phase, seen[mute.replica].restarts) == (Phase.STARTING, 0)
    # its listener takes connections still: that it hangs is seen by who asks it something
    assert (seen[stuck.replica].phase, seen[stuck.replica].restarts) == (Phase.READY, 0)


def failed(seen: Observed) -> bool:
    return seen.phase is Phase.CRASHING

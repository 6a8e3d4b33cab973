"""What a replica is promised while it runs in a container: its files, its lives, its end."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import msgspec

from services.scheduler.driver import Phase, Started
from tests.scheduler.container.bed import Bed
from tests.scheduler.process.test_replica import LATE, ONE_EACH, ONE_SHOT
from tests.scheduler.targets import PATIENCE, Target, get, leftovers

CODE = "/valohai/code"


async def asked(address: str, path: str = "/") -> bytes:
    """What is safe to ask is asked again, as the router does, when a server ends meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ConnectionError):
                if answer := await get(address, path):
                    return answer


async def test_it_is_ready_only_when_it_listens(on: Target, bed: Bed) -> None:
    work = await on.made("python", "late.py", code={"late.py": LATE})
    await on.started(work)
    await on.texts(work.replica, 1)
    assert (await on.driver.observe())[work.replica].phase is Phase.STARTING
    await bed.inside(on.home, work.replica, "touch", f"{CODE}/listen")
    await on.until(work.replica, Phase.READY)


async def test_it_is_ready_when_its_ping_answers(on: Target) -> None:
    work = await on.serving(readiness="ping")
    await on.started(work)
    await on.until(work.replica, Phase.READY)


async def test_a_server_that_answers_once_answers_again_and_again(on: Target) -> None:
    one = ONE_EACH.replace("127.0.0.1", "0.0.0.0")
    work = await on.made("python", "one.py", code={"one.py": one})
    address = await on.started(work)
    assert [await asked(address, f"/{n}") for n in range(4)] == [b"/0", b"/1", b"/2", b"/3"]
    seen = await on.until(work.replica, lambda seen: seen.restarts >= 4)
    assert (seen.failures, seen.exit_code) == (0, 0)


async def test_a_servers_own_variables_are_the_same_in_each_of_its_lives(on: Target) -> None:
    mine = {"code": "a", "server": "b", "now": "c", "mark": "d", "first": "e", "restarts": "f"}
    script = "echo $code $server $now $mark $first $restarts"
    work = await on.shell(script, environment=mine)
    await on.started(work)
    assert await on.texts(work.replica, 3) == ["a b c d e f"] * 3


async def test_the_one_request_server_of_the_standard_library_answers_two_in_a_row(
    on: Target,
) -> None:
    work = await on.shell(ONE_SHOT, port=8000, readiness="listening")
    address = await on.started(work)
    await on.until(work.replica, Phase.READY)
    for _ in range(2):
        assert b"Hello world!" in await asked(address)
    assert (await on.driver.observe())[work.replica].phase is Phase.READY


async def test_its_surroundings_are_the_images(on: Target) -> None:
    work = await on.serving(
        environment={"GREETING": "hello"},
        files={"/valohai/metadata.json": b"{}", f"{CODE}/given.txt": b"given"},
    )
    address = await on.started(work)
    env = json.loads(await get(address, "/env"))
    assert env["GREETING"] == "hello"
    assert env["CUDA_VISIBLE_DEVICES"] == ""
    assert env["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert json.loads(await get(address, "/cwd")) == CODE
    assert json.loads(await get(address, "/read?given.txt")) == "given"
    assert json.loads(await get(address, "/read?../metadata.json")) == "{}"
    assert "README" in json.loads(await get(address, f"/list?{env['PYTHONUSERBASE']}"))


async def test_B15_what_an_image_tells_the_machines_tools_reaches_its_own_server_alone(
    on: Target, bed: Bed
) -> None:
    told = ("LD_LIBRARY_PATH=/opt/x lib", "LD_ODD='", "NVIDIA_VISIBLE_DEVICES=all")
    work = await on.serving(env=(*told, "PLAIN=1"))
    address = await on.started(work)
    env = json.loads(await get(address, "/env"))
    assert (env["LD_LIBRARY_PATH"], env["LD_ODD"]) == ("/opt/x lib", "'")
    assert (env["NVIDIA_VISIBLE_DEVICES"], env["PLAIN"]) == ("void", "1")
    outside = await bed.container(on.home, work.replica)
    assert {"LD_LIBRARY_PATH=", "LD_ODD=", "NVIDIA_VISIBLE_DEVICES=void"} <= set(
        outside["Config"]["Env"]
    )


async def test_every_start_has_a_fresh_copy(on: Target) -> None:
    work = await on.serving()
    address = await on.started(work)
    await get(address, "/write?left-behind")
    assert "left-behind" in json.loads(await get(address, "/list?."))
    await on.driver.stop(work.replica, 5)
    second = msgspec.structs.replace(work, replica=msgspec.structs.replace(work.replica, attempt=2))
    assert "left-behind" not in json.loads(await get(await on.started(second), "/list?."))


async def test_what_ignores_sigterm_is_killed_after_its_grace(on: Target) -> None:
    work = await on.shell("trap '' TERM; echo up; while true; do sleep 600; done")
    await on.started(work)
    await on.texts(work.replica, 1)
    await on.driver.stop(work.replica, 0.2)
    assert leftovers(on.home) == []


async def test_what_ends_on_sigterm_may_finish(on: Target) -> None:
    work = await on.shell("trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    await on.started(work)
    await on.texts(work.replica, 1)
    async with asyncio.timeout(10):
        await on.driver.stop(work.replica, 30)


async def test_what_waits_to_be_started_again_ends_at_once(on: Target) -> None:
    work = await on.shell("exit 3")
    await on.started(work)
    await on.until(work.replica, lambda seen: seen.failures >= 3)
    async with asyncio.timeout(10):
        await on.driver.stop(work.replica, 30)


async def test_grandchildren_in_sessions_of_their_own_are_gone_too(on: Target) -> None:
    script = "(trap '' TERM; setsid sh -c 'sleep 600' &) ; (setsid sleep 600 &); echo up; sleep 600"
    work = await on.shell(script)
    await on.started(work)
    await on.texts(work.replica, 1)
    assert len(leftovers(on.home)) >= 4
    await on.driver.stop(work.replica, 0.2)
    assert leftovers(on.home) == []


async def test_what_a_life_leaves_behind_does_not_hold_its_port(on: Target) -> None:
    fork = "import os, sys\nif os.fork(): os._exit(3)\n" + LATE.replace(
        'while not os.path.exists("listen"): time.sleep(0.01)', ""
    )
    work = await on.made("python", "fork.py", code={"fork.py": fork})
    await on.started(work)
    await on.until(work.replica, lambda seen: seen.restarts >= 2)
    assert all("in use" not in line.text for line in await on.driver.logs(work.replica, 0))


async def test_ends_are_counted_and_the_tries_go_on(on: Target) -> None:
    work = await on.shell("echo try; exit 3")
    await on.started(work)
    seen = await on.until(work.replica, lambda seen: seen.failures >= 2)
    assert (seen.phase, seen.exit_code) == (Phase.CRASHING, 3)
    assert "exit code 3" in seen.reason
    assert await on.texts(work.replica, 2) == ["try", "try"]
    (said,) = await on.texts(work.replica, 1, "platform")
    assert said.startswith("its server ended with exit code 3; starting it again in 0.")


async def test_an_end_by_a_signal_is_told_as_one(on: Target) -> None:
    work = await on.shell("kill -KILL $$")
    await on.started(work)
    seen = await on.until(work.replica, Phase.CRASHING)
    assert seen.exit_code == -9


async def test_a_server_that_can_never_start_is_left_alone(on: Target) -> None:
    work = await on.shell("echo 'slipway: no module named x' >&2; exit 78")
    await on.started(work)
    seen = await on.until(work.replica, Phase.BROKEN)
    assert (seen.reason, seen.exit_code, seen.restarts) == ("no module named x", 78, 0)


async def test_a_program_that_does_not_exist_can_never_start(on: Target) -> None:
    work = await on.made("no-such-program")
    await on.started(work)
    seen = await on.until(work.replica, Phase.BROKEN)
    assert "no-such-program" in seen.reason


async def test_a_replica_whose_container_is_killed_is_gone(on: Target, bed: Bed) -> None:
    work = await on.serving()
    await on.started(work)
    await on.until(work.replica, Phase.READY)
    await bed.run("kill", bed.name(on.home, work.replica))
    await on.until(work.replica, Phase.GONE)
    assert isinstance(await on.driver.start(work), Started)
    await on.until(work.replica, Phase.READY)
    assert await on.texts(work.replica, 2) == ["serving", "serving"]
    lines = await on.driver.logs(work.replica, 0)
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))


async def test_a_replica_whose_container_is_taken_away_is_gone(on: Target, bed: Bed) -> None:
    work = await on.serving()
    await on.started(work)
    await on.until(work.replica, Phase.READY)
    await bed.run("rm", "--force", "--time", "0", bed.name(on.home, work.replica))
    await on.until(work.replica, Phase.GONE)
    await on.driver.stop(work.replica, 1)
    assert await on.driver.observe() == {}


async def test_a_start_that_was_cut_short_can_be_ended(on: Target, bed: Bed) -> None:
    first, half = await on.serving(), await on.serving(attempt=2)
    await on.started(first)
    await on.driver.stop(first.replica, 1)
    name = bed.name(on.home, half.replica)
    label = name.removesuffix(f"-{half.replica}").removeprefix("slipway-")
    await bed.run(
        *("create", "--name", name, "--label", f"dev.slipway.platform={label}"),
        *("--label", f"dev.slipway.replica={half.replica}", f"{half.repository}@{half.image}"),
    )
    await on.driver.stop(half.replica, 1)
    assert await bed.run("ps", "--all", "--quiet", "--filter", f"name={name}") == ""

"""What a replica is promised while it runs: its files, its surroundings, its lives, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from services.scheduler.driver import Phase, Started
from services.scheduler.drivers.process import alive, launch
from services.scheduler.drivers.process.supervisor.output import KEPT, SEGMENT
from tests.scheduler.targets import Target, get, leftovers

CODE = "/valohai/code"
ONE_SHOT = "exec python -m wsgiref.simple_server"
# binds, waits until told to listen, then serves one connection at a time
LATE = """
import os, socket, time
door = socket.socket()
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
door.bind(("127.0.0.1", int(os.environ["PORT"])))
print("bound", flush=True)
while not os.path.exists("listen"): time.sleep(0.01)
door.listen()
while True: door.accept()[0].close()
"""
# finds its port free, waits until told to go on, and then takes it
CAREFUL = """
import os, socket, time
place = ("127.0.0.1", int(os.environ["PORT"]))
with socket.socket() as trial: free = trial.connect_ex(place) != 0
print("free" if free else "taken", flush=True)
while not os.path.exists("go"): time.sleep(0.01)
door = socket.create_server(place)
while True: door.accept()[0].close()
"""
ONE_EACH = """
import os, socket
door = socket.socket()
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
door.bind(("127.0.0.1", int(os.environ["PORT"])))
door.listen()
connection = door.accept()[0]
asked = connection.recv(65536).split()[1]
connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + asked)
connection.close()
"""


async def test_it_is_ready_only_when_it_listens(on: Target) -> None:
    work = await on.made("python", "late.py", code={"late.py": LATE})
    await on.started(work)
    await on.texts(work.replica, 1)
    assert (await on.driver.observe())[work.replica].phase is Phase.STARTING
    (on.home / "replicas" / str(work.replica) / f"image{CODE}/listen").touch()
    await on.until(work.replica, Phase.READY)


async def test_it_is_ready_when_its_ping_answers(on: Target) -> None:
    work = await on.serving(readiness="ping")
    await on.started(work)
    await on.until(work.replica, Phase.READY)


async def test_a_server_that_answers_once_answers_again_and_again(on: Target) -> None:
    work = await on.made("python", "one.py", code={"one.py": ONE_EACH})
    address = await on.started(work)
    assert [await get(address, f"/{n}") for n in range(4)] == [b"/0", b"/1", b"/2", b"/3"]
    seen = await on.until(work.replica, lambda seen: seen.restarts >= 4)
    assert seen.failures == 0


async def test_a_server_that_answers_once_answers_many_that_come_together(on: Target) -> None:
    work = await on.made("python", "one.py", code={"one.py": ONE_EACH})
    address = await on.started(work)
    await on.until(work.replica, Phase.READY)
    answers = await asyncio.gather(*(get(address, f"/{n}") for n in range(5)))
    assert answers == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_the_one_request_server_of_the_standard_library_answers_two_in_a_row(
    apart: Target,
) -> None:
    work = await apart.shell(ONE_SHOT, port=8000, readiness="listening")
    address = await apart.started(work)
    await apart.until(work.replica, Phase.READY)
    for _ in range(2):
        assert b"Hello world!" in await get(address)
    assert (await apart.driver.observe())[work.replica].phase is Phase.READY


async def test_bodies_of_any_size_pass_both_ways(on: Target) -> None:
    echo = (
        "import os, socketserver\n"
        "class Echo(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        while chunk := self.rfile.read1(65536): self.wfile.write(chunk)\n"
        "socketserver.ThreadingTCPServer.allow_reuse_address = True\n"
        "socketserver.ThreadingTCPServer(('127.0.0.1', int(os.environ['PORT'])), Echo).serve_forever()\n"
    )
    work = await on.made("python", "echo.py", code={"echo.py": echo})
    address = await on.started(work)
    sent = os.urandom(1 << 16) * 80
    reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    async with asyncio.timeout(20):

        async def send() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        _, came = await asyncio.gather(send(), reader.read())
    writer.close()
    assert came == sent


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
    assert "VIRTUAL_ENV" not in env
    cwd = json.loads(await get(address, "/cwd"))
    assert cwd.endswith(CODE)
    assert json.loads(await get(address, "/read?given.txt")) == "given"
    assert json.loads(await get(address, "/read?../metadata.json")) == "{}"
    assert "README" in json.loads(await get(address, f"/list?{env['PYTHONUSERBASE']}"))


async def test_it_sees_the_devices_that_it_holds(on: Target) -> None:
    work = await on.shell('echo "$CUDA_VISIBLE_DEVICES"; sleep 600', devices=("2", "GPU-7"))
    await on.started(work)
    assert await on.texts(work.replica, 1) == ["2,GPU-7"]


async def test_every_start_has_a_fresh_copy(on: Target) -> None:
    work = await on.serving()
    address = await on.started(work)
    await get(address, "/write?left-behind")
    assert "left-behind" in json.loads(await get(address, "/list?."))
    await on.driver.stop(work.replica, 5)
    second = msgspec.structs.replace(work, replica=msgspec.structs.replace(work.replica, attempt=2))
    assert "left-behind" not in json.loads(await get(await on.started(second), "/list?."))


async def test_its_python_is_the_machines(on: Target) -> None:
    work = await on.shell(
        'python -c "import sys; print(sys.prefix)"; python3 -c "print(3)"; sleep 600'
    )
    await on.started(work)
    prefix, three = await on.texts(work.replica, 2)
    assert launch.interpreter().startswith(prefix)
    assert three == "3"


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


async def test_a_replica_whose_supervisor_is_killed_is_gone(on: Target) -> None:
    work = await on.serving()
    await on.started(work)
    await on.until(work.replica, Phase.READY)
    supervisor = alive.supervisor(on.home / "replicas" / str(work.replica))
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    await on.until(work.replica, Phase.GONE)
    assert isinstance(await on.driver.start(work), Started)
    await on.until(work.replica, Phase.READY)
    assert await on.texts(work.replica, 2) == ["serving", "serving"]
    lines = await on.driver.logs(work.replica, 0)
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))


async def test_a_status_torn_by_a_power_cut_is_no_status(on: Target) -> None:
    work = await on.serving()
    await on.started(work)
    await on.until(work.replica, Phase.READY)
    (on.home / "replicas" / str(work.replica) / "status.json").write_bytes(b"")
    assert (await on.driver.observe())[work.replica].phase is Phase.STARTING


async def test_a_status_that_can_not_be_written_is_told_later(on: Target) -> None:
    work = await on.shell("sleep 1; echo over; exit 3")
    await on.started(work)
    block = on.home / "replicas" / str(work.replica) / "status.new"
    while not block.is_dir():  # it may be there for a moment as the file that it is meant to be
        with suppress(FileExistsError):
            block.mkdir()
    await on.texts(work.replica, 1)
    block.rmdir()
    await on.until(work.replica, Phase.CRASHING)


async def test_what_a_killed_supervisor_leaves_is_ended_by_stopping(on: Target) -> None:
    work = await on.shell("(setsid sleep 600 &); echo up; sleep 600")
    await on.started(work)
    await on.texts(work.replica, 1)
    supervisor = alive.supervisor(on.home / "replicas" / str(work.replica))
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    await on.until(work.replica, Phase.GONE)
    await on.driver.stop(work.replica, 5)
    assert leftovers(on.home) == []


async def test_two_listen_on_one_port_side_by_side(apart: Target) -> None:
    first, second = [await apart.serving(job=f"j{n}", port=80) for n in range(2)]
    for address in (await apart.started(first), await apart.started(second)):
        assert json.loads(await get(address, "/hello")) == "hello"


async def test_the_platforms_things_are_out_of_sight(apart: Target) -> None:
    (apart.home / "client.toml").write_text("token")
    work = await apart.serving()
    address = await apart.started(work)
    assert json.loads(await get(address, f"/read?{apart.home}/client.toml")) == "FileNotFoundError"
    assert json.loads(await get(address, "/list?/tmp")) == []


async def test_the_machines_files_cannot_be_changed(apart: Target) -> None:
    work = await apart.shell(
        "touch /etc/x /usr/x /slipway/python/x 2>/dev/null && echo changed || echo kept; sleep 600"
    )
    await apart.started(work)
    assert await apart.texts(work.replica, 1) == ["kept"]


async def test_L06_a_port_that_is_grabbed_between_check_and_bind_is_told_and_had_later(
    on: Target,
) -> None:
    work = await on.made("python", "careful.py", code={"careful.py": CAREFUL})
    await on.started(work)
    assert await on.texts(work.replica, 1) == ["free"]
    with socket.create_server(("127.0.0.1", work.endpoint.port)):
        (on.home / "replicas" / str(work.replica) / f"image{CODE}/go").touch()
        if on.kind == "plain":  # elsewhere the port is its own
            seen = await on.until(work.replica, Phase.CRASHING)
            assert seen.exit_code == 1
            lines = await on.driver.logs(work.replica, 0)
            assert any("Address already in use" in line.text for line in lines)
    await on.until(work.replica, Phase.READY)


async def test_L09_output_without_end_costs_its_supervisor_no_memory(on: Target) -> None:
    work = await on.shell(
        "yes 0123456789012345678901234567890123456789 | head -c 100000000;"
        "head -c 100000000 /dev/zero; touch over; sleep 600"  # that was a line without end
    )
    await on.started(work)
    folder = on.home / "replicas" / str(work.replica)
    async with asyncio.timeout(60):
        while not (folder / f"image{CODE}/over").exists():
            await asyncio.sleep(0.1)
    processes = [process for process in (alive.supervisor(folder), alive.init(folder)) if process]
    assert processes
    assert all(peak(process) < 64 << 20 for process in processes)
    assert sum(file.stat().st_size for file in (folder / "log").iterdir()) < KEPT + 2 * SEGMENT


def peak(process: int) -> int:
    """The most memory, in bytes, that a process ever had."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10

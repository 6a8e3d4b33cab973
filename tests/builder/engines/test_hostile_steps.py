"""What a hostile step tries, and that it ends with an error of its own and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.builder.engines import Limits
from services.builder.sandbox import ids
from shared.errors import Invalid
from tests.builder.engines.conftest import Bench

WITHIN = 30.0  # seconds for each case


@pytest.fixture(autouse=True)
async def contained(bench: Bench) -> AsyncIterator[None]:
    """Whatever a test did: nothing runs, is mounted or is left, and it ended soon."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < WITHIN
    assert inside(str(bench.store.folder)) == []
    assert str(bench.folder) not in Path("/proc/self/mountinfo").read_text()
    assert bench.left() == []
    assert groups() == []


def inside(store: str) -> list[str]:
    """Command lines of processes that belong to users of a sandbox, one that sees our store."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                mounts = (entry / "mountinfo").read_text()
                if entry.stat().st_uid >= ids.FIRST and store in mounts:
                    found.append((entry / "cmdline").read_bytes().decode())
            except OSError:
                continue
    return found


def groups() -> list[str]:
    # not rglob, which is upset by folders that go meanwhile
    found = (str(Path(at) / name) for at, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    return [path for path in found if Path(path).name.startswith(f"slipway-{os.getpid()}")]


LIMITED = {
    "a fork bomb": (
        "bomb() { bomb | bomb & }; bomb; sleep 60",
        Limits(seconds=20, processes=100),
        "had more than the 100 processes allowed",
    ),
    "a fork bomb of daemons": (
        "while :; do setsid sh -c 'sleep 60 & sleep 60' & done",
        Limits(seconds=20, processes=100),
        "had more than the 100 processes allowed",
    ),
    "an infinite loop": (
        "while :; do :; done",
        Limits(seconds=2),
        "took longer than the 2 s allowed",
    ),
    "a loop that nobody can interrupt": (
        "trap '' TERM INT HUP QUIT; while :; do sleep 1; done",
        Limits(seconds=2),
        "took longer than the 2 s allowed",
    ),
    "a large file": (
        "cat /dev/zero > /big",
        Limits(seconds=20, disk=200 << 20),
        "wrote more than the 200 MiB allowed",
    ),
    "a large file that has no name": (
        "exec 3<> /big; rm /big; cat /dev/zero >&3",
        Limits(seconds=20, disk=200 << 20),
        "wrote more than the 200 MiB allowed",
    ),
    "large temporary files": (
        "for i in 1 2 3 4 5 6 7 8 9; do head -c 50000000 /dev/zero > /tmp/$i; done; sleep 60",
        Limits(seconds=20, disk=200 << 20),
        "wrote more than the 200 MiB allowed",
    ),
    "a file that only says that it is large": (
        "truncate -s 150M /big; truncate -s 150M /other",
        Limits(seconds=20, disk=200 << 20),
        "wrote more than the 200 MiB allowed",
    ),
    "many files": (
        "mkdir /many; i=0; while :; do i=$((i+1)); : > /many/$i; done",
        Limits(seconds=20, files=2000),
        "made more than the 2000 files allowed",
    ),
    "folders in folders": (
        "while :; do mkdir d; cd d; done",
        Limits(seconds=20),
        "files allowed",
    ),
    "a lot of memory": (
        "x=0123456789; while :; do x=$x$x; done",
        Limits(seconds=20, memory=200 << 20),
        "needed more than the 200 MiB of memory allowed",
    ),
    "a lot of memory in many processes": (
        "for i in 1 2 3 4 5 6 7 8; do sh -c 'x=0123456789; while [ ${#x} -lt 60000000 ];"
        " do x=$x$x; done; sleep 60' & done; wait",
        Limits(seconds=20, memory=200 << 20),
        "needed more than the 200 MiB of memory allowed",
    ),
}


@pytest.mark.parametrize("case", LIMITED)
async def test_what_exceeds_a_limit_is_killed_and_named(bench: Bench, case: str) -> None:
    line, limits, words = LIMITED[case]
    with pytest.raises(Invalid) as caught:
        await bench.run(line, limits=limits)
    assert caught.value.field == "install"
    assert words in caught.value.message


async def test_what_a_step_left_running_is_not_waited_for(bench: Bench) -> None:
    await bench.run("setsid sleep 600 & (setsid sh -c 'sleep 600' &)")


@pytest.mark.parametrize("line", ["kill -9 -1; sleep 60", "kill -9 1; kill -9 -1; sleep 60"])
async def test_a_step_that_kills_all_it_can_kills_itself_alone(bench: Bench, line: str) -> None:
    with pytest.raises(Invalid):
        await bench.run(line)


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """Something that listens on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield listener


ASK = r"""
exec 3<>/dev/tcp/127.0.0.1/${http_proxy##*:}
printf '%s HTTP/1.1\r\n\r\n' "$0" >&3
head -1 <&3
"""
"""Says to the way out what a client of it would."""


async def test_nothing_of_this_machines_network_is_reached(
    bench: Bench, door: socket.socket
) -> None:
    port = door.getsockname()[1]
    own = [f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"http://[::1]:{port}/"]
    private = ["http://10.0.0.1/", "http://192.168.0.1/", "http://[fd00::1]/", "http://0.0.0.0/"]
    metadata = ["http://169.254.169.254/latest/", "http://[fd00:ec2::254]/", "http://[fe80::1]/"]
    tricks = ["http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://0x7f.1/"]
    heads = [f"GET {url}" for url in (*own, *private, *metadata, *tricks)]
    tunnels = [f"CONNECT 127.0.0.1:{port}", "CONNECT 169.254.169.254:80", "CONNECT 8.8.8.8:22"]
    await bench.run(
        f"! bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null",
        "! bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' 2>/dev/null",
        *(f'bash -c "$ASK" "{head}"' for head in (*heads, *tunnels)),
        env={"ASK": ASK},
        network=True,
    )
    assert len(bench.texts) == len(heads) + len(tunnels)
    assert {text.split()[1] for text in bench.texts} == {"403"}, bench.texts
    with pytest.raises(TimeoutError):
        door.accept()


async def test_without_a_network_there_is_no_way_out(bench: Bench) -> None:
    await bench.run("echo [$http_proxy$HTTPS_PROXY]", "cut -d: -f1 /proc/net/dev | tail -n +3")
    assert [text.strip() for text in bench.texts] == ["[]", "lo"]


async def test_a_port_that_a_step_opens_is_its_own(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        await bench.run(
            "apt-get install -y --no-install-recommends netcat-openbsd",
            f"nc -l 127.0.0.1 {port} & sleep 0.5; echo mine | nc -N 127.0.0.1 {port}",
            apt=("netcat-openbsd",),
            network=True,
        )
        assert "mine" in bench.texts
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


async def test_a_step_sees_no_secrets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = "hunter2-of-the-platform"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{secret}@db/x")
    monkeypatch.setenv("REGISTRY_PASSWORD", secret)
    kept = tmp_path / "kept"
    kept.write_text(secret)
    await bench.run(
        "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'",
        f"cat {kept} /work/* /store/* /proc/1/root{kept} /proc/*/cwd/{kept} 2>&1 || true",
        "ls /proc/*/fd/ 2>/dev/null || true; cat /etc/shadow",
        f"ls {Path.cwd()} /work /store /slipway /home /root 2>&1 || true",
    )
    said = "\n".join(bench.texts)
    assert secret not in said
    assert "DATABASE_URL" not in said
    assert "root:*:" in said  # the base's own
    assert "services.builder" not in said


async def test_a_step_can_not_leave_its_root(bench: Bench) -> None:
    tries = (
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /",
        "mknod /disk b 254 0",
        "chroot / true",
        "unshare -Ur true",
        "nsenter -t 1 -m true",
        "cat /proc/1/root/etc/hostname",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo b > /proc/sysrq-trigger",
        "dmesg",
        "hostname evil",
        "head -c1 /dev/vda",
        "cat /proc/kcore | head -c1 | grep .",
    )
    await bench.run(*(f"! ({line}) >/dev/null 2>&1" for line in tries))


async def test_a_step_can_not_change_the_base_for_others(bench: Bench) -> None:
    await bench.run(
        "echo evil > /etc/debian_version; rm -rf /usr/share/base-files",
        "echo evil > /store/planted || true",
    )
    await bench.run("cat /etc/debian_version; ls /usr/share/base-files | head -1")
    assert "evil" not in bench.texts
    assert not list(bench.store.images.rglob("planted"))


async def test_what_a_step_says_is_masked_clean_and_bounded(bench: Bench) -> None:
    await bench.run(
        "echo https://me:secret@packages.example/simple",
        r"printf '\033[2J\033]0;title\007\033[31mred\033[0m\a\n'",
        r"printf 'a\rb\n'; head -c 300 /dev/urandom; echo",
        "head -c 5000000 /dev/zero | tr '\\0' x; echo",
        "yes line | head -n 100000",
        limits=Limits(lines=1000, log_bytes=1 << 20),
    )
    texts = [text for _, text in bench.said]
    assert "https://***@packages.example/simple" in texts
    assert "$ echo https://***@packages.example/simple" in texts
    assert "red" in texts
    assert "b" in texts
    assert not [
        text for text in texts if any(not c.isprintable() and c != "\t" for c in text if c < "\xa0")
    ]
    assert len(texts) <= 1001
    assert sum(map(len, texts)) <= (1 << 20) + 100
    assert texts[-1].endswith("more lines of output were left out")


async def test_a_failure_masks_too(bench: Bench) -> None:
    with pytest.raises(Invalid) as caught:
        await bench.run("echo got https://me:secret@packages.example; exit 1")
    assert "secret" not in caught.value.message


async def running(bench: Bench, line: str) -> asyncio.Task[object]:
    """A step that has got as far as saying `here`."""
    task = asyncio.create_task(bench.run(f"{line}; echo here; sleep 600"))
    async with asyncio.timeout(WITHIN):
        while "here" not in bench.texts:
            await asyncio.sleep(0.01)
    return task


async def test_a_cancelled_step_leaves_nothing(bench: Bench) -> None:
    task = await running(bench, "setsid sleep 600 & trap '' TERM")
    assert inside(str(bench.store.folder))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2, 0.3, 0.5])
async def test_a_step_may_be_cancelled_at_any_moment(bench: Bench, after: float) -> None:
    task = asyncio.create_task(bench.run("sleep 600"))
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


BUILDER = """
import asyncio, sys
from pathlib import Path
from services.builder.engines import Step
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store
base, store, folder = sys.argv[1:]
step = Step(base=base, lines=("setsid sleep 600 & echo here; sleep 600",))
engine = Buildah(store=Store(folder=Path(store)))
asyncio.run(engine.run(step, Path(folder), lambda text, _: print(text, flush=True)))
"""


async def test_a_builder_that_is_killed_takes_its_step_along(bench: Bench) -> None:
    work = bench.folder.parent / "killed"
    work.mkdir()
    builder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BUILDER, bench.base, str(bench.store.folder), str(work)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path.cwd(),
    )
    assert builder.stdout is not None
    async with asyncio.timeout(WITHIN):
        while await builder.stdout.readline() != b"here\n":
            pass
        assert inside(str(bench.store.folder))
        builder.send_signal(signal.SIGKILL)
        await builder.wait()
        while inside(str(bench.store.folder)):
            await asyncio.sleep(0.01)
    assert str(work) not in Path("/proc/self/mountinfo").read_text()

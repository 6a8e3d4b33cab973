"""The first process of a server's container, with real shells, each in a process namespace of its
own as in a container."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from services.scheduler.drivers.kubernetes.manifests import init

SHELLS: Final = [
    name
    for name, command in {
        "dash": ["dash"],
        "bash": ["bash", "--posix"],
        "busybox": ["busybox", "sh"],
    }.items()
    if shutil.which(command[0])
]
COMMANDS: Final = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}

Began = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(params=SHELLS)
def began(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Began]:
    """Starts a shell that runs init as process 1, as user 1000 without any privilege."""
    program = tmp_path / "init"
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    started = []

    def begin(
        *command: str,
        hidden: tuple[str, ...] = (),
        unset: tuple[str, ...] = (),
        batch: bool = False,
        slow: int = 5,
        **environment: str,
    ) -> subprocess.Popen[str]:
        text = init.program(hidden, unset, once=batch)
        assert "\n_hastily=5\n" in text
        program.write_text(text.replace("\n_hastily=5\n", f"\n_hastily={slow}\n"))
        process = subprocess.Popen(
            [
                *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
                *("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--no-new-privs"),
                *COMMANDS[request.param],
                str(program),
                *command,
            ],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_dash_at_least_is_tried() -> None:
    assert "dash" in SHELLS


def sh(script: str, *arguments: str) -> tuple[str, ...]:
    return ("sh", "-c", script, "server", *arguments)


def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def told(process: subprocess.Popen[str]) -> None:
    """Tells init, which is the child of what was started, to stop, and waits until it has.

    With which code is not said: shells differ when a signal and an end come together.
    """
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    os.kill(int(Path(children).read_text().split()[0]), signal.SIGTERM)
    process.wait(20)


@pytest.mark.parametrize("code", [1, 42, 78, 255])
def test_an_end_with_another_code_than_0_is_the_containers(began: Began, code: int) -> None:
    assert began(*sh(f"exit {code}")).wait(20) == code


def test_an_end_by_a_signal_is_the_containers(began: Began) -> None:
    assert began(*sh("kill -9 $$")).wait(20) == 128 + 9


def test_a_clean_end_is_the_next_beginning(began: Began, tmp_path: Path) -> None:
    process = began(*sh('echo life >>lives; [ "$(wc -l <lives)" -lt 4 ] || exit 3'))
    assert process.wait(20) == 3
    assert (tmp_path / "lives").read_text() == "life\n" * 4


def test_what_ends_at_once_and_cleanly_is_not_started_in_a_hot_loop(
    began: Began, tmp_path: Path
) -> None:
    """Five are free; from then on the pauses grow."""
    slow = tmp_path / "sleep"
    slow.write_text('#!/bin/sh\necho "$1" >>pauses\n')
    slow.chmod(0o755)
    process = began(
        *sh('echo >>lives; [ "$(wc -l <lives)" -lt 8 ] || exit 3'),
        slow=100_000,  # whatever the machine is busy with
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert process.wait(20) == 3
    pauses = tmp_path / "pauses"  # not there where the shell is its own `sleep`
    found = [float(each) for each in pauses.read_text().split()] if pauses.exists() else [0.2, 0.4]
    first, second = [each for each in found if each != 0.02]
    assert 0.15 <= first <= 0.25
    assert 0.3 <= second <= 0.5


def test_a_batch_ends_with_its_end(began: Began) -> None:
    assert began(*sh("exit 0"), batch=True).wait(20) == 0


def test_what_a_life_leaves_behind_is_gone_in_the_next(began: Began, tmp_path: Path) -> None:
    process = began(
        *sh(
            'if [ -e left ]; then kill -0 "$(cat left)" 2>/dev/null && exit 4; exit 3; fi;'
            " sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $! >left; exit 0"
        )
    )
    assert process.wait(20) == 3


def test_term_goes_to_all_and_is_waited_for(began: Began, tmp_path: Path) -> None:
    process = began(
        *sh(
            "sh -c 'trap \"sleep 0.2; echo >child; exit\" TERM; echo >heir; while :; do sleep 0.05; done' &"
            " trap 'echo >parent; exit 0' TERM; until [ -e heir ]; do sleep 0.05; done;"
            " echo >up; while :; do sleep 0.05; done"
        )
    )
    until((tmp_path / "up").exists)
    told(process)
    assert (tmp_path / "parent").exists()
    assert (tmp_path / "child").exists()


def test_a_pause_between_two_lives_does_not_hold_up_the_end(began: Began, tmp_path: Path) -> None:
    process = began(*sh("echo life >>lives"))
    lives = tmp_path / "lives"
    until(lambda: lives.exists() and lives.read_text().count("life") > 6)
    told(process)
    assert lives.read_text().count("life") < 1000


def test_a_program_that_is_not_there_can_never_start(began: Began) -> None:
    process = began("no-such-program")
    assert process.wait(20) == 78
    assert process.stdout is not None
    assert "no-such-program: no such program in the image" in process.stdout.read()


def test_arguments_arrive_as_they_are(began: Began) -> None:
    hostile = ["a b", "$(id)", "`id`", "'\"", "*", "", "\\n", "-e", "ä\n"]
    process = began(*sh('printf "<%s>" "$@"; exit 9', *hostile))
    assert process.wait(20) == 9
    assert process.stdout is not None
    assert process.stdout.read() == "".join(f"<{each}>" for each in hostile)


def test_some_variables_are_for_the_server_alone(began: Began, tmp_path: Path) -> None:
    """What the loader obeys has its value in the server, and not in what init itself starts."""
    (tmp_path / "sleep").write_text(
        '#!/bin/sh\necho "${LD_LIBRARY_PATH-none}" >>sleeps\nexec /bin/sleep "$@"\n'
    )
    (tmp_path / "sleep").chmod(0o755)
    value = '/x\'; exit 5; "$(exit 6)" `exit 7`\nY=1'
    process = began(
        *sh(
            'printf "<%s>" "$LD_LIBRARY_PATH" "${CUDA_VISIBLE_DEVICES-none}"'
            ' "${SLIPWAY_INSIDE_LD_LIBRARY_PATH-none}";'
            " if [ -e again ]; then exit 9; fi; echo >again; /bin/sleep 5 & exit 0"
        ),
        hidden=("LD_LIBRARY_PATH",),
        unset=("CUDA_VISIBLE_DEVICES",),
        SLIPWAY_INSIDE_LD_LIBRARY_PATH=value,
        CUDA_VISIBLE_DEVICES="3",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert process.wait(20) == 9
    assert process.stdout is not None
    assert process.stdout.read() == f"<{value}><none><none>" * 2
    sleeps = tmp_path / "sleeps"  # not there where the shell is its own `sleep`
    assert not sleeps.exists() or set(sleeps.read_text().split()) == {"none"}


def test_a_servers_variables_are_not_those_of_init(began: Began) -> None:
    """Those that an image exports stay exported when a shell changes them."""
    text = init.program()
    names = sorted(set(re.findall(r"^[^#\n]*?\b([a-z_]+)=", text, re.MULTILINE)))
    assert {"_code", "_once", "_hasty", "_delay"} <= set(names)
    usual = [name.lstrip("_") for name in [*names, "_up", "_idle"]]
    script = " ".join(f'"${name}"' for name in usual)
    process = began(*sh(f"echo {script}; exit 9"), **dict.fromkeys(usual, "mine"))
    assert process.wait(20) == 9
    assert process.stdout is not None
    assert process.stdout.read().split() == ["mine"] * len(usual)

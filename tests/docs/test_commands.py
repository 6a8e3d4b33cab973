"""Every command of the documentation, run in the order of its page on one platform."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from slipway import Client, SlipwayError
from tests.acceptance.platform import ROOT, SERVICES, Platform, distributed, embedded
from tests.beds.git import Repository, git, git_server_aside
from tests.docs.commands import Block, Command, Kind, blocks, kind, pages
from tests.ports import free_ports

PATIENCE = 120.0
PAGES = {str(page.relative_to(ROOT)): page for page in pages(ROOT)}


OVER = ("stopped", "finished", "failed", "terminated")


class Shell(NamedTuple):
    """Where the commands of a page run: in the repository, as their reader would."""

    environ: dict[str, str]
    places: dict[str, str]  # addresses of the page -> ours

    @classmethod
    def on(cls, platform: Platform, git: str = "") -> Shell:
        ours = {name: value for name, value in os.environ.items() if "SLIPWAY" not in name}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        places = {"8080": platform.environ["API_PORT"], "8000": platform.environ["ROUTER_PORT"]}
        for port, name in (("8081", "BUILDER_PORT"), ("8082", "SCHEDULER_PORT")):
            places[port] = platform.environ.get(name, "0")
        return cls(
            {
                **ours,
                "SLIPWAY_HOME": str(platform.home),
                "TMPDIR": str(platform.home),
                "PATH": path,
                "PYTHONUNBUFFERED": "1",
            },
            {
                **{f"127.0.0.1:{told}": f"127.0.0.1:{port}" for told, port in places.items()},
                "https://git.example/you": git,
            },
        )

    def here(self, text: str) -> str:
        for told, ours in self.places.items():
            text = text.replace(told, ours)
        return text

    def run(self, command: Command, settings: list[Command] = []) -> str:  # noqa: B006
        """What it prints. It has to end with 0."""
        text = self.here("\n".join([*(one.text for one in settings), command.text]))
        return self.ran(command, ["bash", "-euo", "pipefail", "-c", text])

    def python(self, command: Command) -> str:
        return self.ran(command, [sys.executable, "-W", "error", "-c", command.text])

    def ran(self, command: Command, words: list[str]) -> str:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        told = f"{command.place}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, told
        return done.stdout

    def follow(self, command: Command) -> None:
        """It prints something, goes on, and ends politely at Ctrl-C."""
        with subprocess.Popen(
            command.words,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                line = printed(process)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert line, f"{command.place}\nprinted nothing\n{errors}"
        assert process.returncode == 130, f"{command.place}\nended with {process.returncode}"
        assert "Traceback" not in errors, errors


def printed(process: subprocess.Popen[str]) -> str:
    """Its first line, or nothing when it says none in time."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if line := process.stdout.readline():
            os.set_blocking(process.stdout.fileno(), True)
            return line
        time.sleep(0.05)
    return ""


def apart(block: Block) -> bool:
    """Whether it is about services that run apart, so that it needs a platform of its own."""
    if block.language != "sh":
        return False
    return any(kind(command) is Kind.SERVICE for command in block.commands)


def read(name: str) -> list[Block]:
    return blocks(name, PAGES[name].read_text())


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """The URL of a git server with each example in a repository of its own, tagged v1."""
    root = tmp_path_factory.mktemp("repositories")
    for example in sorted((ROOT / "examples").iterdir()):
        if (example / "README.md").exists():
            files = {
                str(path.relative_to(example)): path.read_bytes()
                for path in example.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts
            }
            repository = Repository(root / f"{example.name}.git")
            git(repository.path, "tag", "v1", repository.files(files))
    with git_server_aside(root) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(repositories):
    home = Path(tempfile.mkdtemp(prefix="slipway-docs-"))
    settings = {
        "SLIPWAY_GPUS": "rtx3090:2",
        "STOP_GRACE": "3",
        "GIT_PRIVATE_HOSTS": repositories.partition("://")[2],
    }
    try:
        async with embedded(home, **settings) as found:
            yield found
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def shell(platform, repositories):
    """After a page, what it left running is stopped and its name is free again."""
    yield Shell.on(platform, repositories)
    with Client(platform.api_url, platform.token, "local/default") as slipway:
        made = [servable.job for servable in slipway.servables() if servable.application]
        for application in slipway.applications():
            slipway.remove_application(application.name)
        for job in made:
            slipway.wait_for_job(job, *OVER, timeout=60)
        left = [job.id for job in slipway.jobs() if job.state not in OVER]
        for job in left:
            with suppress(SlipwayError):  # it has just come to its end
                slipway.stop(job)
        for job in left:
            slipway.wait_for_job(job, *OVER, timeout=30)
            slipway.terminate(job)


@pytest.mark.parametrize("name", [name for name in PAGES if read(name)])
def test_a_page_does_what_it_says(name, shell):
    for block in read(name):
        settings: list[Command] = []
        if block.language not in ("sh", "python") or apart(block):
            continue
        for command in block.commands:
            match Kind.PYTHON if block.language == "python" else kind(command):
                case Kind.RUN:
                    shell.run(command, settings)
                case Kind.FOLLOW:
                    shell.follow(command)
                case Kind.SETTING:
                    settings.append(command)
                case Kind.PYTHON:
                    shell.python(command)


def test_the_subscriber_sees_each_fact_once_and_goes_on_where_it_was(shell):
    example = next(
        block.commands[0]
        for block in read("docs/operations.md")
        if block.language == "python" and ".cursor" in "".join(block.lines)
    )
    kept = Path(shell.environ["TMPDIR"]) / "subscriber.cursor"
    kept.unlink(missing_ok=True)
    shell.ran(example, ["slipway", "project", "create", "listened-to"])
    shell.ran(example, ["slipway", "deploy", "examples/greeter", "--project", "local/listened-to"])
    seen = [line.split()[0] for line in shell.python(example).splitlines()]
    assert seen
    assert len(set(seen)) == len(seen)
    shell.ran(example, ["slipway", "deploy", "examples/greeter", "--project", "local/listened-to"])
    later = [line.split()[0] for line in shell.python(example).splitlines()]
    assert later
    assert not set(seen) & set(later)


async def test_the_services_apart(rabbit):
    """The page's own lines, but with ports and stores of ours, and started as it says."""
    (block,) = [block for name in PAGES for block in read(name) if apart(block)]
    started = [command.words[1:3] for command in block.commands if kind(command) is Kind.SERVICE]
    home = Path(tempfile.mkdtemp(prefix="slipway-docs-"))
    try:
        async with distributed(home, rabbit.url) as platform:
            assert started == [words[1:3] for words in platform.commands.values()]
            shell = Shell.on(platform)
            shell.environ.update(platform.environ | {"PATH": shell.environ["PATH"]})
            settings: list[Command] = []
            for command in block.commands:
                match kind(command):
                    case Kind.SETTING if command.words[1].partition("=")[0] not in platform.environ:
                        settings.append(command)
                    case Kind.RUN:
                        shell.run(command, settings)
            for name in SERVICES:
                assert await platform.end(name) == 0, platform.log(name)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def make(what: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """`make WHAT` in a group of its own, which Ctrl-C reaches as a whole, as in a terminal."""
    names = ("API_PORT", "ROUTER_PORT", "ROUTER_GRPC_PORT")
    ports = zip(names, map(str, free_ports(len(names))), strict=True)
    settings = {"SLIPWAY_HOME": str(home), **dict(ports)}
    process = subprocess.Popen(
        ["make", "--no-print-directory", *what.split()],
        cwd=ROOT,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        with process:
            yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


@contextmanager
def up(home: Path) -> Iterator[Client]:
    """`make up` from its greeting to Ctrl-C, and a client of it."""
    with make("up", home) as process:
        greeting = printed(process)
        assert "Slipway is up" in greeting, greeting
        found = tomllib.loads((home / "client.toml").read_text())
        with Client(found["url"], found["token"], found["project"]) as slipway:
            yield slipway
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in rest, rest


def test_make_up_runs_until_ctrl_c_and_a_copy_of_its_folder_goes_on():
    home = Path(tempfile.mkdtemp(prefix="slipway-docs-"))
    try:
        with up(home / "first") as slipway:
            slipway.create_deployment("kept")
        subprocess.run(["cp", "-a", home / "first", home / "second"], check=True)
        with up(home / "second") as slipway:
            assert [found.name for found in slipway.deployments()] == ["kept"]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_make_demo(tmp_path):
    with make("demo", tmp_path) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "All of it worked" in said


def test_make_demo_in_containers(tmp_path):
    with make("demo TARGET=container", tmp_path) as process:
        said, _ = process.communicate(timeout=10 * PATIENCE)  # there may be no base images yet
    assert process.returncode == 0, said
    for python in ("Python 3.9.", "Python 3.11.", "Python 3.13."):
        assert python in said
    assert "All of it worked" in said

"""Starts a runtime as an image would: its own process, in the code's folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

RUNTIMES = Path(__file__).parents[2] / "runtimes"


class Runtime:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait_until_it_listens(self) -> None:
        for _ in range(400):
            assert self.process.poll() is None, self.process.stderr.read()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("it never listened")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    """`start("routes", endpoint, {"predict.py": "..."})` runs a runtime over those files."""
    started: list[subprocess.Popen[str]] = []

    def run(kind: str, endpoint: dict[str, object], files: dict[str, str], *args: str) -> Runtime:
        for name, text in files.items():
            path = tmp_path / "code" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "code").mkdir(exist_ok=True)
        described = tmp_path / "endpoint.json"
        described.write_text(json.dumps(endpoint))
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, str(RUNTIMES / f"{kind}.py"), *args],
            cwd=tmp_path / "code",
            env={
                "PATH": os.environ["PATH"],
                "SLIPWAY_ENDPOINT": str(described),
                "PORT": str(port),
                "PYTHONUNBUFFERED": "1",
            },
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return Runtime(process, port)

    yield run
    for process in started:
        process.terminate()
        process.wait(10)
        process.stderr.close()

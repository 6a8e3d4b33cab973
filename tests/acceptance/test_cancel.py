"""A build that nobody wants any more ends, in one process and in four over RabbitMQ."""

from __future__ import annotations

import asyncio
import uuid

import pytest

CONFIG = """\
- endpoint:
    name: greet-me
    image: python:3.11
    server-command: python -m http.server $VALOHAI_PORT
"""
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "endless"
version = "1"
"""
ENDLESS = """\
import time

def build_wheel(*args, **kwargs):
    time.sleep(86399)
"""


@pytest.fixture
def code(tmp_path):
    """A folder whose packages are installed for ever."""
    (tmp_path / "endless").mkdir()
    for name, text in {
        "valohai.yaml": CONFIG,
        "requirements.txt": "./endless\n",
        "endless/pyproject.toml": PROJECT,
        "endless/backend.py": ENDLESS,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


# in a base image nothing is built from source, so an installation there is never endless
@pytest.mark.parametrize("platform", ["embedded", "distributed"], indirect=True, scope="module")
async def test_a_cancelled_build_makes_room_for_the_next(slipway, code):
    name = f"endless-{uuid.uuid4().hex[:6]}"
    for _ in range(4):  # more than a builder builds at a time
        version = await slipway.deploy(code, deployment=name)
        async with asyncio.timeout(60):
            async for line in slipway.follow_build_log(name, version.name):
                if line.text.startswith("installing"):
                    break
        ended = await slipway.cancel_version(name, version.name)
        assert (ended.state, ended.reason) == ("failed", "cancelled")
        job = await slipway.job(version.jobs["greet-me"])
        assert (job.state, job.reason) == ("failed", "cancelled")

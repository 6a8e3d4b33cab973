"""A command runs in a version's image to its end, and what it left is downloaded."""

from __future__ import annotations

import asyncio
import uuid

import pytest

pytestmark = pytest.mark.parametrize(
    "platform", ["distributed", "container"], indirect=True, scope="module"
)

CONFIG = """\
- endpoint:
    name: greet-me
    image: python:3.11
    server-command: python -m http.server $VALOHAI_PORT
"""
TRAIN = """\
import os, pathlib, sys

place = os.environ["SLIPWAY_ARRAY_INDEX"]
print("training", place, flush=True)
folder = pathlib.Path(os.environ["SLIPWAY_OUTPUTS"]) / "models"
folder.mkdir()
(folder / "weights").write_text(f"{place} of {os.environ['SLIPWAY_ARRAY_SIZE']} {sys.argv[1]}")
sys.exit(int(os.environ.get("CODE", "0")))
"""


@pytest.fixture
async def version(slipway, tmp_path):
    (tmp_path / "valohai.yaml").write_text(CONFIG)
    (tmp_path / "train.py").write_text(TRAIN)
    deployment = f"batch-{uuid.uuid4().hex[:6]}"
    made = await slipway.deploy(tmp_path, deployment=deployment, version="v1", timeout=60)
    # its endpoint need not run
    async with asyncio.timeout(60):
        while (await slipway.version(deployment, "v1")).state != "ready":
            await asyncio.sleep(0.1)
    return made


async def test_an_array_of_jobs_trains_and_leaves_its_weights(slipway, version, tmp_path):
    made = await slipway.run(
        version.deployment, "v1", "python train.py 'with care'", array=2, gpu_type="rtx3090"
    )
    ended = await slipway.wait_for_series(made.id, timeout=120)
    assert ended.finished, ended
    for job in ended.jobs:
        files = await slipway.outputs(job.id, tmp_path / job.id)
        assert files == ["models/weights"]
        text = (tmp_path / job.id / "models" / "weights").read_text()
        assert text == f"{job.place} of 2 with care"
        assert job.exit_code == 0
        printed = [line.text for line in await slipway.logs(job.id)]
        assert printed == [f"training {job.place}"]
        shown = await slipway.job(job.id)
        assert (shown.kind, shown.state) == ("batch", "finished")
        async with asyncio.timeout(30):  # they are free when nothing of it is left
            while (await slipway.job(job.id)).gpus:
                await asyncio.sleep(0.05)
    removed = await slipway.terminate_series(made.id)
    assert removed.counts == {"terminated": 2}


async def test_one_that_fails_is_tried_again_and_says_why(slipway, version):
    made = await slipway.run(
        version.deployment, "v1", "python train.py x", environment={"CODE": "3"}, retries=1
    )
    ended = await slipway.wait_for_series(made.id, timeout=120)
    (job,) = ended.jobs
    assert (job.state, job.attempt, job.exit_code) == ("failed", 2, 3)
    assert job.reason == "ended with exit code 3; last lines: training 0"


async def test_one_that_takes_too_long_is_ended(slipway, version):
    made = await slipway.run(version.deployment, "v1", "echo begun; sleep 600", timeout=1)
    ended = await slipway.wait_for_series(made.id, timeout=120)
    reason = ended.jobs[0].reason
    assert reason == "ran for longer than the 1 s that it may; last lines: begun"

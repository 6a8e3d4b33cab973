"""Commands run in a version's image to their end, on a cluster, where outputs are not kept."""

from __future__ import annotations

from tests.acceptance.test_batch import (
    test_one_that_fails_is_tried_again_and_says_why,
    test_one_that_takes_too_long_is_ended,
    version,
)

__all__ = [
    "test_one_that_fails_is_tried_again_and_says_why",
    "test_one_that_takes_too_long_is_ended",
    "version",
]


async def test_an_array_of_jobs_runs_to_its_end(slipway, version):
    command = "echo $SLIPWAY_ARRAY_INDEX of $SLIPWAY_ARRAY_SIZE"
    made = await slipway.run(version.deployment, "v1", command, array=3, gpu_type="rtx3090")
    assert made.notes == ["outputs are not kept on this target: write them somewhere else"]
    ended = await slipway.wait_for_series(made.id, timeout=180)
    assert ended.counts == {"finished": 3}
    for job in ended.jobs:
        assert [line.text for line in await slipway.logs(job.id)] == [f"{job.place} of 3"]
    await slipway.terminate_series(made.id)

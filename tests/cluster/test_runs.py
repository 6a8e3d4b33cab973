"""What every driver promises of runs, asked of a real cluster; outputs are not kept there."""

from __future__ import annotations

from tests.cluster.test_drivers import on, pushed
from tests.scheduler.test_runs_on_drivers import (
    test_a_run_ends_with_its_exit_code_and_is_not_started_again,
    test_a_run_is_ready_while_it_runs_and_can_be_stopped,
    test_several_lines_stop_at_the_first_that_fails,
    test_what_leaves_nothing_has_no_outputs,
)

__all__ = [
    "on",
    "pushed",
    "test_a_run_ends_with_its_exit_code_and_is_not_started_again",
    "test_a_run_is_ready_while_it_runs_and_can_be_stopped",
    "test_several_lines_stop_at_the_first_that_fails",
    "test_what_leaves_nothing_has_no_outputs",
]


async def test_it_may_write_into_its_folder_for_outputs(on) -> None:
    work = await on.running('echo lost >"$SLIPWAY_OUTPUTS/file"')
    assert (await on.finished(work)).exit_code == 0
    assert await on.outputs(work.replica) == {}

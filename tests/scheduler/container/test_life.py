"""What reports make of what is known of a replica, and what cannot be one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.scheduler.driver import Phase
from services.scheduler.drivers.container import life as lives
from services.scheduler.drivers.container.life import Life, told

AT = datetime(2026, 1, 1, tzinfo=UTC)
NEW = Life(container="c1", address="http://10.0.0.2:80")
UP = lives.ready(told(NEW, ["began", "0", "0"], AT).life)


def changed(life: Life, report: str) -> dict[str, Any]:
    after = told(life, report.split(), AT).life
    names = Life.__struct_fields__
    return {n: getattr(after, n) for n in names if getattr(after, n) != getattr(life, n)}


@pytest.mark.parametrize(
    ("life", "report", "changes"),
    [
        (NEW, "began 0 0", {"lives": True, "since": AT}),
        (NEW, "began 7 2", {"lives": True, "since": AT, "restarts": 7, "failures": 2}),
        (UP, "ended 0 1 0 0", {"lives": False, "exit_code": 0, "restarts": 1}),
        (
            UP,
            "ended 3 1 1 20",
            {
                "phase": Phase.CRASHING,
                "lives": False,
                "exit_code": 3,
                "restarts": 1,
                "failures": 1,
                "reason": "its server ended with exit code 3",
            },
        ),
        (
            UP,
            "ended 139 1 1 20",
            {
                "phase": Phase.CRASHING,
                "lives": False,
                "exit_code": -11,
                "restarts": 1,
                "failures": 1,
                "reason": "its server was ended by signal 11",
            },
        ),
        (
            UP,
            "never 78 1",
            {
                "phase": Phase.BROKEN,
                "lives": False,
                "exit_code": 78,
                "failures": 1,
                "reason": "its server said that it can never start (exit code 78)",
            },
        ),
        (Life(container="c1", complaint="no such model"), "never 78 1", {
            "phase": Phase.BROKEN,
            "exit_code": 78,
            "failures": 1,
            "reason": "no such model",
        }),
    ],
)  # fmt: skip
def test_a_report_says_all_that_it_is_about(
    life: Life, report: str, changes: dict[str, Any]
) -> None:
    assert changed(life, report) == changes
    after = told(life, report.split(), AT).life
    assert told(after, report.split(), AT).life == after


@pytest.mark.parametrize(
    "report",
    ["", "began", "began x 1", "ended 1", "ended 1 2 3 4 5", "never", "boo 1", "began ²1 0"],
)
def test_what_somebody_made_up_changes_nothing(report: str) -> None:
    assert changed(UP, report) == {}


def test_ends_are_told_in_the_log_unless_nobody_would_notice() -> None:
    assert told(UP, ["ended", "0", "1", "0", "0"], AT).line == ""
    assert told(UP, ["ended", "1", "1", "1", "25"], AT).line == (
        "its server ended with exit code 1; starting it again in 0.2 s"
    )


def test_what_does_not_run_is_gone_and_keeps_its_numbers() -> None:
    crashed = told(UP, ["ended", "3", "1", "1", "20"], AT).life
    seen = lives.observed(crashed, running=False)
    assert (seen.phase, seen.restarts, seen.exit_code) == (Phase.GONE, 1, 3)
    assert seen.reason == "its processes are gone"
    assert seen.since is None


def test_what_is_late_between_two_lives_is_ready_no_more_until_it_is() -> None:
    assert lives.late(UP).phase is Phase.STARTING
    assert lives.ready(lives.late(UP)) == UP

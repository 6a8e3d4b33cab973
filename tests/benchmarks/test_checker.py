from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from benchmarks.drill.checker import Hold, Record, check

START = datetime(2026, 1, 1, tzinfo=UTC)


def hold(gpu, holder, since, until):
    at = [None if t is None else START + timedelta(seconds=t) for t in (since, until)]
    return Hold(gpu=gpu, holder=holder, since=at[0], until=at[1])


KEPT = Record(
    accepted={"j1": "stopped", "j2": "failed"},
    ended={"j1": ("stopped",), "j2": ("failed",), "other": ("queued",)},
    announced=frozenset({"a", "b"}),
    received=frozenset({"a", "b"}),
    holds=(hold("g", "j1-1", 0, 1), hold("g", "j2-1", 1, 2), hold("h", "j2-1", 0, 2)),
    collisions=(),
    leftovers=(),
    gpus=2,
    free=2,
)


def test_kept_promises_pass():
    assert check(KEPT) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"ended": {"j2": ("failed",)}}, "job j1 was accepted and is not there"),
        (
            {"ended": {"j1": ("queued",), "j2": ("failed",)}},
            "job j1 ended as queued, not as stopped",
        ),
        (
            {"ended": {"j1": ("stopped", "stopped"), "j2": ("failed",)}},
            "job j1 is there more than once",
        ),
        ({"received": frozenset({"a"})}, "event b never reached the subscriber"),
        (
            {"received": frozenset({"a", "b", "c"})},
            "event c reached the subscriber and is not in the log",
        ),
        (
            {"holds": (hold("g", "j1-1", 0, 2), hold("g", "j2-1", 1, 3))},
            "g was held by j1-1 and j2-1 at once",
        ),
        (
            {"holds": (hold("g", "j1-1", 0, None), hold("g", "j2-1", 1, 3))},
            "g was held by j1-1 and j2-1 at once",
        ),
        ({"holds": (hold("g", "j1-1", 0, None),)}, "g is still held by j1-1"),
        ({"free": 1}, "1 of 2 GPUs are free, and nobody holds the others"),
        ({"collisions": ("gpu 0",)}, "two replicas held one GPU: gpu 0"),
        ({"leftovers": ("pid 7",)}, "a process was left behind: pid 7"),
    ],
)
def test_each_broken_promise_is_told(broken, said):
    assert said in check(msgspec.structs.replace(KEPT, **broken))

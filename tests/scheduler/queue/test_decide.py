"""Who starts, on what, and what the others are told: what holds whoever owns the jobs."""

from __future__ import annotations

import pytest

from services.scheduler.queue.decide import decide
from services.scheduler.queue.wish import FAR
from tests.scheduler.queue.pictures import job, machines, picture, placed, reasons, slots


@pytest.mark.parametrize(
    ("waiting", "free", "expected"),
    [
        pytest.param([], slots(rtx="ff"), {}, id="an empty queue"),
        pytest.param([job("a")], [], {"a": []}, id="needs no GPU and there is none"),
        pytest.param([job("a", 2, "rtx")], slots(rtx="fff"), {"a": ["rtx-0", "rtx-1"]}, id="fits"),
        pytest.param([job("a", 2, "rtx")], slots(rtx="f--"), {}, id="waits for all at once"),
        pytest.param(
            [job("big", 3, "rtx"), job("small", 1, "rtx")],
            slots(rtx="ff-"),
            {},
            id="a big job is not overtaken within its type",
        ),
        pytest.param(
            [job("big", 3, "rtx"), job("other", 1, "a100"), job("none")],
            slots(rtx="ff-", a100="f"),
            {"other": ["a100-0"], "none": []},
            id="another type and no type go on",
        ),
        pytest.param(
            [job("a", 1, "rtx", "a100")],
            slots(rtx="-", a100="f"),
            {"a": ["a100-0"]},
            id="the second choice when the first is held",
        ),
        pytest.param(
            [job("a", 1, "a100", "rtx")],
            slots(rtx="f", a100="f"),
            {"a": ["a100-0"]},
            id="the first choice when both are free",
        ),
        pytest.param(
            [job("either", 2, "rtx", "a100"), job("small", 1, "a100")],
            slots(rtx="f-", a100="f-"),
            {},
            id="who waits for either type keeps both",
        ),
        pytest.param(
            [job("mixed", 2, "rtx", "a100")],
            slots(rtx="f-", a100="f-"),
            {},
            id="the GPUs of a job are of one type",
        ),
        pytest.param([job("a", 1)], slots(rtx="-", a100="f"), {"a": ["a100-0"]}, id="any type"),
        pytest.param(
            [job("never", 9, "rtx"), job("unknown", 1, "tpu"), job("small", 1, "rtx")],
            slots(rtx="ff"),
            {"small": ["rtx-0"]},
            id="S14: what can never fit holds up nobody",
        ),
        pytest.param(
            [job("cheap", 1, "rtx", "a100", max_price=0.6)],
            slots({"rtx": 0.5, "a100": 2.0}.items(), rtx="-", a100="f"),
            {},
            id="not above its price",
        ),
        pytest.param(
            [job("a", 4, "rtx"), job("b", 4, "rtx")],
            slots(rtx="ffffff"),
            {"a": ["rtx-0", "rtx-1", "rtx-2", "rtx-3"]},
            id="S11: no partial hold",
        ),
    ],
)
def test_who_starts(waiting, free, expected):
    assert placed(waiting, free) == expected


@pytest.mark.parametrize(
    ("waiting", "free", "expected"),
    [
        ([job("a", 2, "rtx3090")], slots(rtx3090="f---"), "waits for 2 rtx3090; 1 of 4 is free; next in line"),
        ([job("x", 2, "t4"), job("a", 1, "t4")], slots(t4="f-"), "waits for 1 t4; 1 of 2 is free; 1 job ahead"),
        ([job("x", 1, "t4"), job("y", 1, "t4"), job("a", 1, "t4")], slots(t4="-"), "waits for 1 t4; 0 of 1 are free; 2 jobs ahead"),
        ([job("x", 1, "p100"), job("a", 1, "t4")], slots(t4="-", p100="-"), "waits for 1 t4; 0 of 1 are free; next in line"),
        ([job("a", 1, "t4", "v100")], slots(t4="-", v100="--"), "waits for 1 t4 or v100; 0 of 1 t4 and 0 of 2 v100 are free; next in line"),
        ([job("a", 9, "t4")], slots(t4="ff"), "waits for 9 t4, which this target does not have (it has 2 t4)"),
        ([job("a", 1, "tpu")], slots(t4="ff"), "waits for 1 tpu, which this target does not have"),
        ([job("a", 1, "t4", max_price=0.1)], slots({"t4": 1.0}.items(), t4="f"), "waits for 1 t4, which this target does not have at 0.1 an hour or less"),
        ([job("a", 1)], slots(t4="-"), "waits for 1 GPU of any type; 0 of 1 are free; next in line"),
        ([job(f"x{n}", 1, "t4") for n in range(FAR + 5)] + [job("a", 1, "t4")], slots(t4="-"), "waits for 1 t4; 0 of 1 are free; more than 100 jobs ahead"),
    ],
)  # fmt: skip
def test_why_a_job_waits(waiting, free, expected):
    assert reasons(waiting, free)["a"] == expected


def test_what_earlier_jobs_took_is_not_called_free():
    waiting = [job("first", 1, "t4"), job("a", 2, "t4")]
    assert reasons(waiting, slots(t4="ff"))["a"] == "waits for 2 t4; 1 of 2 is free; next in line"


@pytest.mark.parametrize(
    ("waiting", "there", "expected"),
    [
        pytest.param([job("x", copies=3)], [], {"x": ((), 3)}, id="without GPUs there is room for all"),
        pytest.param([job("x", copies=5, granted=2)], [], {"x": ((), 5)}, id="also to grow"),
        pytest.param([job("x", 2, "rtx")], machines(a="f-", b="f-"), {}, id="not across machines"),
        pytest.param([job("x", 2, "rtx")], machines(a="ff", b="ff-"), {"x": (("a0", "a1"), 1)}, id="on one"),
        pytest.param([job("x", 1, "rtx")], machines(a="fff", b="f-"), {"x": (("b0",), 1)}, id="the fullest first"),
        pytest.param([job("x", 2, "rtx", copies=2)], machines(a="ff", b="fff"), {"x": (("a0", "a1", "b0", "b1"), 2)}, id="all copies"),
        pytest.param([job("x", 2, "rtx", copies=4)], machines(a="ff", b="fff"), {"x": (("a0", "a1", "b0", "b1"), 2)}, id="as many as fit"),
        pytest.param(
            [job("x", 2, "rtx", copies=3), job("y", 1, "rtx")],
            machines(a="ff", b="f-", c="--"),
            {"x": (("a0", "a1"), 1)},
            id="the rest of its type is kept for its other copies",
        ),
        pytest.param(
            [job("x", 2, "rtx", copies=9), job("y", 1, "rtx")],
            machines(a="ff", b="f"),
            {"x": (("a0", "a1"), 1), "y": (("b0",), 1)},
            id="but not for copies that no machine could ever take",
        ),
        pytest.param([job("x", 1, "rtx", copies=3, granted=1)], machines(a="xff"), {"x": (("a1", "a2"), 3)}, id="to grow"),
        pytest.param(
            [job("x", 1, "rtx", copies=9, granted=2), job("y", 1, "rtx")],
            machines(a="xxf"),
            {"x": (("a2",), 3)},
            id="to grow, by one",
        ),
        pytest.param(
            [job("x", 2, "rtx", copies=9, granted=1), job("y", 1, "rtx")],
            machines(a="xxf"),
            {"y": (("a2",), 1)},
            id="who holds all that could ever do holds up nobody",
        ),
        pytest.param(
            [job("x", 2, "rtx", copies=9, granted=1), job("y", 1, "rtx")],
            machines(a="xx", b="f-"),
            {},
            id="who could grow some day keeps its place",
        ),
        pytest.param(
            [job("x", 1, "rtx", copies=3, granted=1, held=2)],
            machines(a="xxf"),
            {"x": ((), 2)},
            id="what it has not given back yet is its own",
        ),
        pytest.param(
            [job("x", 1, "a100", "rtx", copies=2)],
            [*machines(a="ff"), *machines("a100", b="f")],
            {"x": (("a0", "a1"), 2)},
            id="rather all copies on the second choice",
        ),
        pytest.param(
            [job("x", 1, "a100", "rtx", copies=3)],
            [*machines(a="ff"), *machines("a100", b="f")],
            {"x": (("b0",), 1)},
            id="than some, but not when all have no room",
        ),
    ],
)  # fmt: skip
def test_who_gets_copies(waiting, there, expected):
    found = {p.job: (p.gpus, p.copies) for p in decide(picture(waiting, there)).placements}
    assert found == expected


@pytest.mark.parametrize(
    ("waiting", "there", "expected"),
    [
        (job("x", 2, "rtx"), machines(a="f-", b="f-"), "waits for 2 rtx on one machine; 2 of 4 are free; next in line"),
        (job("x", 3, "rtx"), machines(a="ff", b="ff"), "waits for 3 rtx on one machine, which this target does not have (it has 4 rtx)"),
        (job("x", 1, "rtx", copies=3, granted=2), machines(a="xx-"), "runs 2 of 3 copies; the next waits for 1 rtx; 0 of 3 are free; next in line"),
        (job("x", 1, "rtx", copies=3, granted=2), machines(a="xx"), "runs 2 of 3 copies; this target has no room for more"),
    ],
)  # fmt: skip
def test_why_copies_wait(waiting, there, expected):
    assert reasons([waiting], there)["x"] == expected

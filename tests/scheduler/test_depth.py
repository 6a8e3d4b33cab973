"""How deep the queue is read, and who waits for those who were not."""

from __future__ import annotations

from services.scheduler.depth import DEEPEST, MOST, Head, deeper, in_turn
from services.scheduler.queue.values import Decision, Placement, Waiting
from shared.waits import Waits


def head(*jobs, owner="ada", priority=0, share=2, cut=True):
    return Head(owner=owner, priority=priority, jobs=jobs, share=share, cut=cut)


def decision(**causes):
    return Decision(placements=[], waits={job: Waits(cause=cause) for job, cause in causes.items()})


def placed(*jobs):
    return [Placement(job=job, attempt=1) for job in jobs]


def waiting(**classes):
    return {
        job: Waiting(job=job, attempt=1, count=1, priority=priority)
        for job, priority in classes.items()
    }


def test_behind_jobs_that_can_never_start_the_next_look_reads_deeper():
    never = decision(a="never", b="price")
    assert deeper({}, [head("a", "b")], never) == {("ada", 0): 2}
    assert deeper({("ada", 0): 2}, [head("a", "b")], never) == {("ada", 0): 4}
    assert deeper({("ada", 0): DEEPEST}, [head("a", "b")], never) == {("ada", 0): DEEPEST}


def test_who_asks_for_what_can_never_be_had_makes_no_look_longer_than_so_long():
    jobs = [f"j{n}" for n in range(MOST)]
    never = decision(**dict.fromkeys(jobs, "never"))
    assert deeper({("ada", 0): 4}, [head(*jobs, share=MOST // 4)], never) == {("ada", 0): 4}
    others = [head(*jobs, share=MOST // 4), head("j0", owner="bob")]
    assert deeper({("ada", 0): 4}, others, never) == {("ada", 0): 4, ("bob", 0): 1}


def test_behind_a_job_that_waits_for_its_turn_it_does_not():
    assert deeper({}, [head("a", "b")], decision(a="never", b="gpus")) == {}
    assert deeper({}, [head("a", "b", cut=False)], decision(a="never", b="never")) == {}


def test_it_stays_as_deep_for_as_long_as_it_needs_to_be():
    found = decision(a="never", b="never", c="gpus")
    assert deeper({("ada", 0): 2}, [head("a", "b", "c")], found) == {("ada", 0): 2}
    assert deeper({("ada", 0): 2}, [head("c", cut=False)], found) == {}


def test_lower_classes_wait_for_those_of_a_higher_one_that_were_not_read():
    classes = waiting(a=100, b=100, c=0)
    heads = [head("a", priority=100), head("b", owner="bob", priority=100), head("c", cut=False)]
    assert in_turn(placed("a", "b", "c"), classes, heads) == placed("a", "b")
    # the others of that class that were read wait for more, so nobody is passed over
    behind = [head("a", "d", priority=100), head("c", cut=False)]
    assert in_turn(placed("a", "c"), classes, behind) == placed("a", "c")


def test_who_needs_no_gpu_waits_for_nobody():
    classes = waiting(a=100) | {"b": Waiting(job="b", attempt=1)}
    assert in_turn(placed("a", "b"), classes, [head("a", priority=100)]) == placed("a", "b")

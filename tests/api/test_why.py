"""`why`, in situations that a real scheduler and a real database came into: each has its cause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from services.scheduler.driver import Phase, Replica
from shared.events import JobFailed, JobStopping
from shared.ids import JobId
from tests.api.conftest import World
from tests.api.play import Play

LEASED = "UPDATE versions SET lease = 'b', lease_until = now() + interval '1 minute' WHERE id = $1"
QUOTA = "INSERT INTO quotas (owner, target, gpu_type, nominal, borrow) VALUES ('ann', 'process', $1, $2, 0)"
LINE = (
    "INSERT INTO logs (subject, attempt, line, at, stream, text) VALUES ($1, 1, $2, now(), $3, $4)"
)
VERSION = "SELECT version FROM jobs WHERE id = $1"
SPENT = """
INSERT INTO budgets (owner, monthly, month, reached)
VALUES ('ann', 1, date_trunc('month', now() AT TIME ZONE 'UTC'), true)
"""


@pytest.fixture
async def play(world: World) -> AsyncIterator[Play]:
    play = Play(world)
    async with play.leading():
        yield play


async def its_build_waits(play: Play) -> JobId:
    await play.job(queued=False)
    await play.job(owner="bob", queued=False)
    await play.job(owner="bob", queued=False)
    return await play.job(queued=False)


async def it_is_being_built(play: Play) -> JobId:
    job = await play.job(queued=False)
    version = await play.database.value(VERSION, job)
    await play.database.execute(LEASED, version)
    for number, (stream, text) in enumerate(
        [("platform", "installing requirements.txt"), ("stdout", "Collecting numpy")], 1
    ):
        await play.database.execute(LINE, version, number, stream, text)
    return job


async def nobody_has_looked(play: Play) -> JobId:
    return await play.job(gpus=1)


async def others_of_its_own_come_first(play: Play) -> JobId:
    await play.machines(1)
    await play.running(gpus=1)
    await play.job(gpus=1)
    await play.turns(1)
    return await play.job(gpus=1)


async def too_few_are_free(play: Play) -> JobId:
    await play.machines(2)
    await play.machines(2, kind="a100", price=2.0)
    await play.running(gpus=1, types=["t4"])
    job = await play.job(gpus=2, types=["t4"])
    await play.turns(1)
    return job


async def strangers_come_first(play: Play) -> JobId:
    await play.machines(1)
    await play.running(owner="bob", gpus=1)
    await play.job(owner="bob", gpus=1, priority="high")
    job = await play.job(gpus=1)
    await play.turns(1)
    return job


async def others_have_less(play: Play) -> JobId:
    await play.machines(2)
    await play.running(gpus=2)
    job = await play.job(gpus=1)
    await play.job(owner="bob", gpus=1)
    await play.turns(1)
    return job


async def what_is_free_is_kept(play: Play) -> JobId:
    await play.machines(3)
    await play.running(owner="bob", gpus=1)
    await play.job(owner="bob", gpus=3, priority="high")
    job = await play.job(gpus=1)
    await play.turns(1)
    return job


async def no_machine_has_enough(play: Play) -> JobId:
    await play.machines(2, 2)
    first = await play.running(gpus=2)
    await play.running(gpus=1)
    await play.running(gpus=1)
    await end(play, first)
    await play.database.execute(
        "UPDATE allocations SET gpu = 'process/t4-0-0' WHERE gpu IN"
        " (SELECT min(gpu) FROM allocations WHERE released_at IS NULL)"
    )
    await play.database.execute(
        "UPDATE allocations SET gpu = 'process/t4-1-0' WHERE gpu IN"
        " (SELECT max(gpu) FROM allocations WHERE released_at IS NULL)"
    )
    job = await play.job(gpus=2)
    await play.turns(1)
    return job


async def end(play: Play, job: JobId) -> None:
    await play.say(JobStopping(job=job))
    await play.turns()


async def its_quota_is_used_up(play: Play) -> JobId:
    await play.machines(3)
    await play.database.execute(QUOTA, "t4", 1)
    await play.running(gpus=1)
    job = await play.job(gpus=1)
    await play.turns(1)
    return job


async def it_costs_too_much(play: Play) -> JobId:
    await play.machines(2, price=2.5)
    job = await play.job(gpus=1, types=["t4"], max_price=0.5)
    await play.turns(1)
    return job


async def there_are_not_so_many(play: Play) -> JobId:
    await play.machines(2, 2)
    job = await play.job(gpus=3, types=["t4"])
    await play.turns(1)
    return job


async def there_is_no_such_type(play: Play) -> JobId:
    await play.machines(2)
    job = await play.job(gpus=1, types=["v100"])
    await play.turns(1)
    return job


async def all_that_is_dear_is_held(play: Play) -> JobId:
    await play.machines(1, price=2.5)
    await play.running(gpus=1)
    job = await play.job(gpus=1, types=["t4"], max_price=0.5)
    await play.turns(1)
    return job


async def there_is_never_such_a_type(play: Play) -> JobId:
    await play.machines(1)
    await play.running(gpus=1)
    job = await play.job(gpus=1, types=["v100"])
    await play.turns(1)
    return job


async def another_gives_way(play: Play) -> JobId:
    await play.machines(1)
    await play.running(owner="bob", gpus=1, priority="low", preemptible=True)
    job = await play.job(gpus=1)
    await play.turns(2)
    return job


async def its_budget_is_spent(play: Play) -> JobId:
    await play.machines(1)
    await play.database.execute(SPENT)
    job = await play.job(gpus=1)
    await play.turns(1)
    return job


async def its_image_comes(play: Play) -> JobId:
    play.driver.may_start.clear()
    job = await play.job()
    await play.scheduler.turn()
    return job


async def its_image_does_not_come(play: Play) -> JobId:
    play.driver.becomes = Phase.STARTING
    job = await play.running()
    play.show(job, Phase.STARTING, reason="its image can't be pulled: dial tcp: timeout")
    await play.turns(1)
    return job


async def it_is_not_ready(play: Play) -> JobId:
    play.driver.becomes = Phase.STARTING
    job = await play.running()
    await play.database.execute(LINE, job, 1, "stdout", "loading weights")
    return job


async def it_crashes(play: Play) -> JobId:
    play.driver.becomes = Phase.STARTING
    job = await play.running()
    await play.database.execute(LINE, job, 1, "stderr", "KeyError: 'MODEL'")
    for _ in range(2):
        play.driver.crash(Replica(job, 1))
    play.show(job, Phase.CRASHING, reason="its server ended with exit code 1")
    await play.turns(1)
    return job


async def its_cluster_has_no_room(play: Play) -> JobId:
    play.driver.becomes = Phase.STARTING
    job = await play.running()
    said = "no place for it in the cluster: 0/3 nodes are available: 3 Insufficient memory."
    play.show(job, Phase.STARTING, reason=said)
    await play.turns(1)
    return job


async def it_answers(play: Play) -> JobId:
    return await play.running()


async def no_copy_answers(play: Play) -> JobId:
    job = await play.running()
    play.show(job, Phase.CRASHING, addresses=(), reason="its server was killed (SIGKILL)")
    await play.turns()
    return job


async def it_wants_more_copies(play: Play) -> JobId:
    await play.machines(3)
    await play.running(gpus=1)
    job = await play.running(gpus=1, copies=3)
    await play.turns(2)
    return job


async def it_has_to_give_way(play: Play) -> JobId:
    await play.machines(1)
    job = await play.running(gpus=1, priority="low", preemptible=True)
    await play.job(owner="bob", gpus=1)
    await play.turns(2)
    return job


async def it_gave_way(play: Play) -> JobId:
    job = await it_has_to_give_way(play)
    await play.database.execute("UPDATE jobs SET give_way_at = now() WHERE id = $1", job)
    await play.turns()
    return job


async def it_ends(play: Play) -> JobId:
    job = await play.running()
    play.driver.may_stop.clear()
    await play.say(JobStopping(job=job))
    return job


async def it_was_stopped(play: Play) -> JobId:
    job = await play.running()
    await end(play, job)
    return job


async def it_ran_for_as_long_as_it_may(play: Play) -> JobId:
    job = await play.running(run_at_most=60.0)
    await play.database.execute(
        "UPDATE jobs SET placed_at = placed_at - interval '1 minute' WHERE id = $1", job
    )
    await play.turns()
    return job


async def it_came_too_late(play: Play) -> JobId:
    job = await play.job(gpus=1)
    await play.database.execute("UPDATE jobs SET start_by = now() WHERE id = $1", job)
    await play.turns(1)
    return job


async def its_build_failed(play: Play) -> JobId:
    job = await play.job(queued=False)
    version = await play.database.value(VERSION, job)
    said = "pip could not find numpy==99"
    await play.database.execute(
        "UPDATE versions SET state = 'failed', reason = $2 WHERE id = $1", version, said
    )
    await play.database.execute(LINE, version, 1, "stderr", "ERROR: No matching distribution")
    await play.say(JobFailed(job=job, reason=said))
    return job


async def it_crashed_for_good(play: Play) -> JobId:
    play.driver.becomes = Phase.STARTING
    job = await play.running()
    for _ in range(5):
        play.driver.crash(Replica(job, 1))
    await play.turns()
    return job


class Situation(NamedTuple):
    stage: Callable[[Play], Awaitable[JobId]]
    cause: str
    headline: str  # how it begins


SITUATIONS = [
    Situation(its_build_waits, "builder", "It waits for a builder: 2 builds come first."),
    Situation(it_is_being_built, "building", "Its image is being built: installing requirements."),
    Situation(nobody_has_looked, "unseen", "It has just been queued"),
    Situation(others_of_its_own_come_first, "behind", "It waits behind 1 job of the same owner's"),
    Situation(too_few_are_free, "gpus", "It waits for 2 t4: 1 of 2 t4 is free; it is next in line"),
    Situation(strangers_come_first, "gpus", "It waits for 1 GPU of any type: 0 of 1 t4 are free; 1"),
    Situation(what_is_free_is_kept, "order", "It waits for 1 GPU of any type: enough are free, but"),
    Situation(no_machine_has_enough, "machine", "It waits for 2 GPUs of any one type on one machine"),
    Situation(its_quota_is_used_up, "quota", "Its owner ann has 1 of at most 1 GPUs"),
    Situation(it_costs_too_much, "price", "It waits for 1 t4, and what would do costs more than 0.5"),
    Situation(there_are_not_so_many, "never", "It waits for 3 t4, which its target process does not"),
    Situation(there_is_no_such_type, "never", "It waits for 1 v100, which its target process does"),
    Situation(another_gives_way, "yielding", "It waits for 1 GPU of any type: a job has been told"),
    Situation(its_budget_is_spent, "budget", "The budget of its owner ann is spent"),
    Situation(its_image_comes, "image", "Its image is being fetched and unpacked"),
    Situation(its_image_does_not_come, "image", "It can't start: its image can't be pulled: dial"),
    Situation(it_is_not_ready, "not_ready", "Its server runs, and is not ready yet"),
    Situation(it_crashes, "crash_loop", "Its server ends, and was started again 2 times: its server"),
    Situation(its_cluster_has_no_room, "no_room", "It holds its place, but its cluster has no"),
    Situation(it_answers, "well", "It answers; nothing is wrong."),
    Situation(no_copy_answers, "unwell", "It runs, but no copy of it takes requests: its server was"),
    Situation(it_wants_more_copies, "copies", "It runs 2 of 3 copies, and waits for 1 GPU of any"),
    Situation(it_has_to_give_way, "giving_way", "It was told to give way to another, and has"),
    Situation(it_ends, "stopping", "It finishes what it has in hand"),
    Situation(it_was_stopped, "stopped", "Somebody stopped it"),
    Situation(it_ran_for_as_long_as_it_may, "run_limit", "It ran for the 60 s that it may run"),
    Situation(it_came_too_late, "too_late", "It had no place by the time"),
    Situation(its_build_failed, "build_failed", "Its image could not be built: pip could not find"),
    Situation(it_crashed_for_good, "crash_loop", "Its server ended again and again: crash loop"),
]  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.stage.__name__)
async def test_the_right_cause_is_named(play: Play, situation: Situation) -> None:
    job = await situation.stage(play)
    why = await play.why(job)
    assert (why["cause"], why["headline"][: len(situation.headline)]) == (
        situation.cause,
        situation.headline,
    )
    play.driver.may_start.set()
    play.driver.may_stop.set()
    await play.scheduler.settle()


async def test_a_target_that_nobody_acts_for_starts_nothing(world: World) -> None:
    play = Play(world)
    await play.machines(1)
    why = await play.why(await play.job(gpus=1))
    assert (why["cause"], why["headline"]) == (
        "away",
        "No scheduler acts for its target process: nothing starts there.",
    )


async def test_who_comes_first_is_told_to_those_who_may_know(play: Play) -> None:
    job = await strangers_come_first(play)
    (told,) = (await play.why(job))["others"]
    assert told == {
        "job": None,
        "name": "a job of another owner",
        "what": "ahead",
        "why": "of a higher class",
        "gpus": 1,
    }
    (told,) = (await play.why(job, as_="admin"))["others"]
    assert (told["name"], told["job"] is None) == ("web-2", False)


@pytest.mark.parametrize(
    ("stage", "what", "why"),
    [
        (others_of_its_own_come_first, "ahead", "asked before"),
        (others_have_less, "ahead", "its owner has a smaller share, or it is within its quota"),
        (another_gives_way, "gives way", "of a lower class"),
    ],
)
async def test_it_says_why_they_come_first_or_give_way(
    play: Play, stage: Callable[[Play], Awaitable[JobId]], what: str, why: str
) -> None:
    told = (await play.why(await stage(play)))["others"][0]
    assert (told["what"], told["why"]) == (what, why)


async def test_what_is_short_and_what_would_help_is_told(play: Play) -> None:
    why = await play.why(await too_few_are_free(play))
    assert why["short"] == {
        "wants": 2,
        "copies": 1,
        "types": ["t4"],
        "free": {"t4": 1},
        "there": {"t4": 2},
        "quota": None,
        "held": None,
    }
    assert why["ahead"] == 0
    assert why["sooner"] == [
        "with a100 as well it would start now",
        "with 1 GPU it would start now",
        "stop web-1 of the same owner's, which holds 1 t4",
    ]
    assert why["estimate"] == {
        "kind": "unknown",
        "least": None,
        "most": None,
        "said": "can't be known: nothing that holds these GPUs has to end",
    }


@pytest.mark.parametrize(
    ("stage", "help_"),
    [
        (it_costs_too_much, "at 2.5 an hour for a GPU it would start now"),
        (all_that_is_dear_is_held, "allow 2.5 an hour for a GPU, or more"),
        (there_are_not_so_many, "ask for 2 GPUs at most: no machine has more"),
        (there_is_no_such_type, "with t4 as well it would start now"),
        (there_is_never_such_a_type, "take another type: there is t4"),
        (its_quota_is_used_up, "have an operator raise its owner's quota"),
        (others_of_its_own_come_first, "stop web-1 of the same owner's, which holds 1 t4"),
    ],
)
async def test_it_says_what_can_be_changed(
    play: Play, stage: Callable[[Play], Awaitable[JobId]], help_: str
) -> None:
    assert help_ in (await play.why(await stage(play)))["sooner"]


async def test_a_higher_class_is_advised_where_it_may_be_asked_for(play: Play) -> None:
    job = await strangers_come_first(play)
    assert not any("priority" in line for line in (await play.why(job))["sooner"])
    await play.database.execute("INSERT INTO allowances (owner, highest) VALUES ('ann', 100)")
    assert "submit it with the priority high" in (await play.why(job))["sooner"]


async def test_a_reserved_start_is_an_estimate_at_the_latest(play: Play) -> None:
    await play.machines(1)
    await play.running(gpus=1, run_at_most=600.0)
    job = await play.job(gpus=1)
    await play.turns(1)
    told = (await play.why(job))["estimate"]
    assert (told["kind"], 500 < told["most"] <= 600) == ("reserved", True)


async def test_those_who_waited_before_tell_how_long_it_may_take(play: Play) -> None:
    await play.machines(1)
    await play.running(gpus=1)
    for number in range(1, 11):
        before = await play.job(gpus=1)
        await play.database.execute(
            "UPDATE jobs SET state = 'stopped', placed_at = now() - $2 * interval '1 minute',"
            " queued_at = now() - $2 * interval '2 minutes' WHERE id = $1",
            before,
            number,
        )
    job = await play.job(gpus=1)
    await play.turns(1)
    told = (await play.why(job))["estimate"]
    assert told["kind"] == "likely"
    assert 0 < told["least"] < told["most"] <= 600
    assert "that waited as long in the last day" in told["said"]


async def test_one_that_gave_way_keeps_its_place_and_is_told_so(play: Play) -> None:
    why = await play.why(await it_gave_way(play))
    assert why["state"] == "queued"
    assert why["details"][0].startswith("It ran, gave way to another, and keeps the place")


async def test_the_time_that_is_left_is_told(play: Play) -> None:
    job = await play.running(run_at_most=7200.0)
    assert (await play.why(job))["details"] == ["It may run for 2 h; 2 h of that are left."]
    job = await play.job(gpus=1)
    await play.database.execute("UPDATE jobs SET start_by = now() + '1 hour' WHERE id = $1", job)
    assert "60 min" in (await play.why(job))["details"][0]


async def test_a_crash_loop_shows_the_end_of_its_log(play: Play) -> None:
    lines = (await play.why(await it_crashes(play)))["lines"]
    assert [line["text"] for line in lines] == ["KeyError: 'MODEL'"]


async def test_a_failed_build_shows_the_end_of_its_log(play: Play) -> None:
    lines = (await play.why(await its_build_failed(play)))["lines"]
    assert [line["text"] for line in lines] == ["ERROR: No matching distribution"]


async def test_what_needs_no_gpu_waits_for_none(play: Play) -> None:
    why = await play.why(await play.job())
    assert (why["cause"], why["ahead"], why["estimate"]) == ("unseen", None, None)


@pytest.mark.parametrize("state", ["finished", "terminated", "purged"])
async def test_what_is_over_says_so(play: Play, state: str) -> None:
    job = await play.job()
    await play.world.put_state(job, state)
    assert (await play.why(job))["cause"] == state


async def test_strangers_are_told_nothing(play: Play) -> None:
    job = await play.job()
    said: Any = await play.world.ask("GET", f"/v1/jobs/{job}/why", as_="bob")
    assert (said.status, said.problem) == (404, "not-found")

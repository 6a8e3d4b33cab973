"""A build that ends says in which step, and no step goes on for ever."""

from __future__ import annotations

import asyncio

import pytest

from services.builder import stages
from services.builder.metrics import BuilderTelemetry
from services.builder.stages import STAGES, Delayed, Limits, Overdue, Stages
from shared.errors import Invalid, Permanent, Transient


def silent(text: str, stream: str) -> None:
    pass


async def test_a_step_that_takes_too_long_is_ended_and_named() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(Overdue, match=r"^packages: took longer than 0\.01 s$"):
        async with Stages(silent, Limits(packages=0.01)).stage("packages"):
            await work()
    assert ended.is_set()


async def test_a_timeout_of_something_inside_is_not_taken_for_the_steps_own() -> None:
    with pytest.raises(TimeoutError, match="something else"):
        async with Stages(silent).stage("push"):
            raise TimeoutError("something else")


async def test_a_build_that_is_cancelled_in_a_step_is_cancelled() -> None:
    async def build() -> None:
        async with Stages(silent).stage("pack"):
            await asyncio.sleep(60)

    task = asyncio.create_task(build())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "error",
    [Invalid("source", "is not a tar"), Permanent("a blob is damaged"), ZeroDivisionError()],
)
async def test_what_will_never_work_keeps_its_own_words(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        async with Stages(silent).stage("source"):
            raise error
    assert raised.value is error


async def test_trouble_that_may_pass_names_the_step_that_met_it_once() -> None:
    steps = Stages(silent)
    with pytest.raises(Delayed, match=r"^push: the registry is away$"):
        async with steps.stage("announce"), steps.stage("push"):
            raise Transient("the registry is away")


async def test_operators_see_the_time_of_every_step_however_it_ended() -> None:
    telemetry = BuilderTelemetry()
    steps = Stages(silent, telemetry=telemetry)
    async with steps.stage("lock"):
        pass
    with pytest.raises(Permanent):
        async with steps.stage("lock"):
            raise Permanent("no")
    assert b'slipway_build_stage_seconds_count{stage="lock"} 2.0' in telemetry.render()


async def test_a_person_is_told_what_took_long(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    steps = Stages(lambda text, stream: said.append(text))
    async with steps.stage("lock"):
        pass
    assert said == []
    monkeypatch.setattr(stages, "WORTH_TELLING", 0.0)
    async with steps.stage("packages"):
        pass
    assert said == ["packages took 0.0 s"]


def test_limits_are_set_by_name() -> None:
    assert stages.limits("", packages=20.0) == Limits(packages=20.0)
    assert stages.limits("push=60, packages=2.5", packages=20.0) == Limits(push=60, packages=2.5)


@pytest.mark.parametrize("text", ["push", "bake=3", "push=0", "push=nan", "push=inf", "push=-1"])
def test_a_limit_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        stages.limits(text)


def test_every_step_has_a_limit() -> None:
    assert set(STAGES) == set(Limits.__struct_fields__)

"""The table against a simple model, and its promises one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.router.table import Place, Route, Table
from shared.ids import JobId, VersionId
from shared.lifecycle import State
from tests.router.conftest import alias, route

PLACE = Place("ann", "shop", "mnist", "20261121.0")
PRODUCTION = PLACE._replace(name="production")


def test_a_version_and_its_alias_lead_to_the_same_job() -> None:
    table = Table()
    table.replace([route()], [alias()])
    assert table.endpoint(PLACE, "predict") == table.endpoint(PRODUCTION, "predict") == route()
    assert table.endpoint(PRODUCTION, "other") is None


def test_an_alias_goes_before_a_version_that_took_its_name() -> None:
    table = Table()
    table.put([route(), route(job="j2", version="v2", version_name="production")])
    assert table.endpoint(PRODUCTION, "predict") == table.job("j2")
    table.point([alias()])
    assert table.endpoint(PRODUCTION, "predict") == route()


def test_moving_an_alias_moves_nothing_else() -> None:
    table = Table()
    second = route(job="j2", version="v2", version_name="20261121.1")
    table.replace([route(), second], [alias(), alias("staging")])
    table.point([alias(version="v2"), alias("staging")], ["d1"])
    assert table.endpoint(PRODUCTION, "predict") == second
    assert table.endpoint(PLACE._replace(name="staging"), "predict") == route()
    assert table.endpoint(PLACE, "predict") == route()


def test_of_two_jobs_of_one_endpoint_the_newer_is_found_while_it_is_there() -> None:
    table = Table()
    newer = route(job="j2")
    table.put([route(), newer])
    assert table.endpoint(PLACE, "predict") == newer
    table.put([], [route().job])
    assert table.endpoint(PLACE, "predict") == newer


def test_what_is_closed_stays_closed_whatever_a_snapshot_says() -> None:
    table = Table()
    table.replace([route()], [])
    table.close(route().job, 1)
    for _ in range(2):
        assert not _job(table).runs
        table.replace([route()], [])
    table.put([route(attempt=2)])
    assert _job(table).runs


def _job(table: Table) -> Route:
    found = table.job(route().job)
    assert found is not None
    return found


JOBS = st.sampled_from([JobId(f"j{n}") for n in range(4)])
STATES = st.sampled_from([State.QUEUED, State.RUNNING, State.STOPPING])
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), JOBS, st.integers(1, 3), STATES),
        st.tuples(st.just("close"), JOBS, st.integers(1, 3), STATES),
        st.tuples(st.just("gone"), JOBS, st.integers(1, 3), STATES),
        st.tuples(st.just("all"), JOBS, st.integers(1, 3), STATES),
    ),
    max_size=30,
)


@given(OPS)
def test_after_any_history_only_open_attempts_run(
    history: list[tuple[str, JobId, int, State]],
) -> None:
    table = Table()
    model: dict[JobId, tuple[int, State]] = {}
    closed: dict[JobId, int] = {}
    for what, job, attempt, state in history:
        if what == "put":
            table.put([_made(job, attempt, state)])
            model[job] = attempt, state
        elif what == "close":
            table.close(job, attempt)
            closed[job] = max(closed.get(job, 0), attempt)
        elif what == "gone":
            table.put([], [job])
            model.pop(job, None)
        else:
            table.replace([_made(id, *had) for id, had in model.items()], [])
            closed = {id: last for id, last in closed.items() if id in model}
        assert len(table) == len(model)
        for id, (last, stood) in model.items():
            found = table.job(id)
            assert found is not None
            assert found.attempt == last
            assert found.runs == (stood is State.RUNNING and last > closed.get(id, 0))


def _made(job: JobId, attempt: int, state: State) -> Route:
    return route(job=job, attempt=attempt, state=state, version=VersionId(f"v{job}"))

"""Budgets and statements over HTTP."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import World
from tests.api.holds import held, job

PATH = "/v1/owners/ann/budget"


async def put(world: World, monthly: float, **more: Any) -> Any:
    said = await world.ask("PUT", PATH, {"monthly": monthly, **more}, as_="admin")
    assert said.status == 200, said
    return said.body


async def spend(world: World, hours: float) -> None:
    """At 1 an hour, all of it this month as far as this month is old enough."""
    await world.gpus(t4=1)
    made = await job(world)
    await world.database.execute(
        "INSERT INTO allocations (gpu, job, attempt, held_at, released_at, price)"
        " SELECT 'process/t4-0', $1, 1, begins, begins + interval '1 microsecond',"
        "        $2::float8 * 3600 * 1000000"
        "   FROM date_trunc('month', now(), 'UTC') AS begins",
        made,
        hours,
    )


async def test_an_admin_writes_it_and_its_owner_reads_it(world: World) -> None:
    assert (await world.ask("GET", PATH)).problem == "not-found"
    made = await put(world, 250, warn=[0.8, 0.25, 0.8])
    assert (made["monthly"], made["warn"], made["hold"]) == (250.0, [0.25, 0.8], True)
    assert (made["spent"], made["reached"]) == ("0.000000", False)
    assert (await world.ask("GET", PATH, as_="reader")).body == made
    assert (await world.ask("GET", PATH, as_="bob")).status == 404
    assert (await world.ask("PUT", PATH, {"monthly": 1})).status == 403
    assert (await world.ask("DELETE", PATH, as_="admin")).status == 204
    assert (await world.ask("DELETE", PATH, as_="admin")).status == 404
    assert (await world.ask("GET", PATH)).status == 404


async def test_writing_it_twice_is_announced_once_and_its_owner_hears_of_it(world: World) -> None:
    for _ in range(2):
        await put(world, 250)
    assert (await world.ask("DELETE", PATH, as_="admin")).status == 204
    await world.database.execute("UPDATE events SET position = seq")
    events = (await world.ask("GET", "/v1/events", as_="reader")).body["items"]
    told = [event for event in events if event["type"] == "slipway.budget.written.v1"]
    assert [event["data"]["monthly"] for event in told] == [250.0, None]
    assert {(event["source"], event["subject"]) for event in told} == {("/ann", "ann")}
    others = (await world.ask("GET", "/v1/events", as_="bob")).body["items"]
    assert "budget" not in str(others)


async def test_whether_it_is_spent_is_known_as_soon_as_it_is_written(world: World) -> None:
    await spend(world, 100)
    assert (await put(world, 100))["reached"]
    assert not (await put(world, 100.000001))["reached"]
    made = await put(world, 99.5)
    assert (made["spent"], made["reached"]) == ("100.000000", True)
    kept = await world.database.row("SELECT reached, month FROM budgets")
    assert kept is not None
    assert kept["reached"]


async def test_a_raised_budget_tells_again_of_what_is_not_spent_any_more(world: World) -> None:
    await spend(world, 100)
    await put(world, 100)
    told = "UPDATE budgets SET told = '{0.5, 0.8, 1}'"
    await world.database.execute(told)
    await put(world, 160)
    assert await world.database.value("SELECT told FROM budgets") == [0.5]
    await put(world, 160, hold=False)
    assert await world.database.value("SELECT told FROM budgets") == [0.5]


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "monthly"),
    ({"monthly": -1}, "monthly"),
    ({"monthly": 1e13}, "monthly"),
    ({"monthly": 1, "warn": [0.5, 1]}, "warn[1]"),
    ({"monthly": 1, "warn": [0.5] * 21}, "warn"),
    ({"monthly": 1, "owner": "bob"}, "owner"),
)


async def test_what_makes_no_sense_is_named(world: World) -> None:
    for sent, field in WRONG:
        said = await world.ask("PUT", PATH, sent, as_="admin")
        assert (said.status, said.fields) == (422, [field]), sent


async def test_there_is_none_for_who_is_not_there(world: World) -> None:
    for method, sent in (("GET", None), ("PUT", {"monthly": 1}), ("DELETE", None)):
        said = await world.ask(method, "/v1/owners/eve/budget", sent, as_="admin")
        assert (said.status, said.body["title"]) == (404, "No such owner")


async def test_a_statement_tells_a_month_by_project_job_type_and_price(world: World) -> None:
    await world.gpus(a100=1, t4=1)
    made = await job(world)
    await held(world, made, "a100-0", "2025-10-31T12:00:00", "2025-11-01T12:00:00", 2.0)
    await held(world, made, "a100-0", "2025-11-02T00:00:00", "2025-11-02T01:00:00", 3.0)
    await held(world, made, "t4-0", "2025-11-30T22:00:00", None, 0.5)
    path = "/v1/owners/ann/statements/2025-11"
    said = (await world.ask("GET", path, as_="reader")).body
    assert (said["owner"], said["month"], said["final"]) == ("ann", "2025-11", True)
    keys = ("owner", "project", "job", "name", "gpu_type", "price", "gpu_seconds", "amount")
    assert [tuple(line[key] for key in keys) for line in said["lines"]] == [
        ("ann", "house", made, "classify", "a100", 2.0, "43200.000000", "24.000000"),
        ("ann", "house", made, "classify", "a100", 3.0, "3600.000000", "3.000000"),
        ("ann", "house", made, "classify", "t4", 0.5, "7200.000000", "1.000000"),
    ]
    assert (said["gpu_seconds"], said["amount"]) == ("54000.000000", "28.000000")
    listed = (await world.ask("GET", "/v1/usage?from=2025-11&to=2025-12&by=")).body
    assert listed["amount"] == said["amount"]
    as_csv = await world.ask("GET", path, headers={"Accept": "text/csv"})
    name = 'attachment; filename="statement-ann-2025-11.csv"'
    assert as_csv.headers["Content-Disposition"] == name
    assert as_csv.body.decode().splitlines()[0] == ",".join(keys)
    assert len(as_csv.body.splitlines()) == 4


async def test_this_month_is_not_final_and_none_that_has_not_begun_is_told(world: World) -> None:
    now = await world.database.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')")
    said = (await world.ask("GET", f"/v1/owners/ann/statements/{now}")).body
    assert (said["final"], said["lines"], said["amount"]) == (False, [], "0.000000")
    never = "must be a month such as 2026-11"
    for month, why in (("9000-01", "has not begun"), ("2025", never), ("2025-00", never)):
        refused = await world.ask("GET", f"/v1/owners/ann/statements/{month}")
        assert (refused.status, refused.fields) == (422, ["month"])
        assert why in refused.body["errors"][0]["message"]
    assert (await world.ask("GET", f"/v1/owners/ann/statements/{now}", as_="bob")).status == 404

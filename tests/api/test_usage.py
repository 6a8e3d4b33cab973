"""What is billed: intervals of held GPUs, cut at the borders of what is asked for, and no others."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from services.api import cursor
from tests.api.conftest import World
from tests.api.holds import held, job

NOVEMBER = "/v1/usage?from=2025-11&to=2025-12"


@pytest.fixture
async def holds(world: World) -> dict[str, str]:
    """Two jobs of ann's and one of bob's, with GPUs in November 2025 and around it."""
    await world.gpus(a100=2, t4=1)
    jobs = {name: await job(world, name) for name in ("digits", "=cmd|evil")}
    jobs["barn"] = await job(world, "cows", as_="bob")
    await held(world, jobs["digits"], "a100-0", "2025-10-31T23:00:00", "2025-11-01T01:00:00", 2.0)
    await held(world, jobs["digits"], "a100-1", "2025-11-03T23:30:00", "2025-11-04T00:00:00.000001")
    await held(world, jobs["digits"], "t4-0", "2025-11-30T23:59:59", "2025-12-02T00:00:00", 0.35)
    await held(world, jobs["=cmd|evil"], "a100-0", "2025-11-10T00:00:00", "2025-11-11T12:00:00")
    await held(world, jobs["barn"], "a100-1", "2025-11-10T00:00:00", "2025-11-10T00:00:10")
    return jobs


async def ask(world: World, path: str, as_: str = "ann") -> Any:
    said = await world.ask("GET", path, as_=as_)
    assert said.status == 200, said
    return said.body


def numbers(lines: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(line[name] for name in names) for line in lines]


async def test_intervals_are_cut_where_the_time_that_is_asked_for_begins_and_ends(
    world: World, holds: dict[str, str]
) -> None:
    said = await ask(world, f"{NOVEMBER}&by=job,gpu_type,price&job={holds['digits']}")
    assert numbers(said["items"], "gpu_type", "price", "gpu_seconds", "amount") == [
        ("a100", 1.5, "1800.000001", "0.750000"),
        ("a100", 2.0, "3600.000000", "2.000000"),
        ("t4", 0.35, "1.000000", "0.000097"),
    ]
    assert (said["gpu_seconds"], said["amount"]) == ("5401.000001", "2.750097")
    assert (said["from"], said["to"]) == ("2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z")


async def test_days_and_months_are_cut_exactly(world: World, holds: dict[str, str]) -> None:
    path = f"/v1/usage?from=2025-10&to=2026-01&job={holds['digits']}"
    months = (await ask(world, f"{path}&by=month"))["items"]
    assert numbers(months, "period", "gpu_seconds") == [
        ("2025-10", "3600.000000"),
        ("2025-11", "5401.000001"),
        ("2025-12", "86400.000000"),
    ]
    days = (await ask(world, f"{path}&by=day,gpu_type"))["items"]
    assert numbers(days, "period", "gpu_type", "gpu_seconds") == [
        ("2025-10-31", "a100", "3600.000000"),
        ("2025-11-01", "a100", "3600.000000"),
        ("2025-11-03", "a100", "1800.000000"),
        ("2025-11-04", "a100", "0.000001"),
        ("2025-11-30", "t4", "1.000000"),
        ("2025-12-01", "t4", "86400.000000"),
    ]


async def test_whoever_asks_sees_their_own_and_an_admin_sees_all(
    world: World, holds: dict[str, str]
) -> None:
    by = f"{NOVEMBER}&by=owner"
    assert numbers((await ask(world, by, "reader"))["items"], "owner") == [("ann",)]
    assert numbers((await ask(world, by, "bob"))["items"], "owner") == [("bob",)]
    assert numbers((await ask(world, by, "admin"))["items"], "owner", "gpu_seconds") == [
        ("ann", "135001.000001"),
        ("bob", "10.000000"),
    ]
    for path in (f"{by}&owner=ann", f"{by}&project=ann/house", f"{by}&job={holds['digits']}"):
        assert (await ask(world, path))["items"], path
        assert (await world.ask("GET", path, as_="bob")).status == 404
    for path in (f"{by}&owner=eve", f"{by}&project=eve/house", f"{by}&job=jnone"):
        foreign = await world.ask("GET", path, as_="bob")
        assert (foreign.status, foreign.problem) == (404, "not-found")


async def test_a_job_or_project_brings_along_whose_it_is(
    world: World, holds: dict[str, str]
) -> None:
    (line, _, _) = (await ask(world, f"{NOVEMBER}&by=job", "admin"))["items"]
    assert line == {
        "owner": "ann",
        "project": "house",
        "job": holds["digits"],
        "name": "digits",
        "gpu_seconds": "5401.000001",
        "amount": "2.750097",
    }
    projects = (await ask(world, f"{NOVEMBER}&by=project", "admin"))["items"]
    assert numbers(projects, "owner", "project") == [("ann", "house"), ("bob", "barn")]


async def test_lines_add_up_to_the_total_whatever_they_are_by(
    world: World, holds: dict[str, str]
) -> None:
    totals = set()
    for by in ("", "job", "owner", "project,day", "gpu_type,month", "price,target,job,day"):
        said = await ask(world, f"/v1/usage?from=2025-01&to=2026-01&by={by}", "admin")
        lines = said["items"]
        assert sum(Decimal(line["amount"]) for line in lines) == Decimal(said["amount"])
        assert sum(Decimal(line["gpu_seconds"]) for line in lines) == Decimal(said["gpu_seconds"])
        totals.add((said["amount"], said["gpu_seconds"]))
    assert len(totals) == 1


async def test_pages_are_of_one_moment_and_leave_nothing_out(
    world: World, holds: dict[str, str]
) -> None:
    path = "/v1/usage?from=2025-10&by=day,job&limit=2"
    await held(world, holds["digits"], "a100-0", "2025-12-30T00:00:00", None)
    first = await ask(world, path)
    pages = [first]
    while after := pages[-1]["next"]:
        pages.append(await ask(world, f"{path}&after={after}"))
    assert {page["to"] for page in pages} == {first["to"]}
    assert {page["amount"] for page in pages} == {first["amount"]}
    lines = [line for page in pages for line in page["items"]]
    assert sum(Decimal(line["amount"]) for line in lines) == Decimal(first["amount"])
    assert all(len(page["items"]) == 2 for page in pages[:-1])
    keys = numbers(lines, "period", "job")
    assert keys == sorted(set(keys), key=keys.index)


async def test_what_is_still_held_counts_until_now_and_waiting_is_free(world: World) -> None:
    await world.gpus(t4=1)
    made = await job(world)
    assert (await ask(world, "/v1/usage?from=2025-01"))["amount"] == "0.000000"
    assert (await ask(world, f"/v1/jobs/{made}"))["spent"] == "0.000000"
    await world.database.execute(
        "INSERT INTO allocations (gpu, job, attempt, held_at, price)"
        " VALUES ('process/t4-0', $1, 1, now() - interval '2 hours', 1)",
        made,
    )
    first = Decimal((await ask(world, "/v1/usage?from=2025-01"))["gpu_seconds"])
    second = Decimal((await ask(world, "/v1/usage?from=2025-01"))["gpu_seconds"])
    assert 7200 <= first < second
    shown = await ask(world, f"/v1/jobs/{made}")
    assert (shown["price_per_hour"], Decimal(shown["spent"]) >= 2) == (1.0, True)
    ahead = await ask(world, "/v1/usage?from=2025-01&to=9999-01")
    assert Decimal(ahead["gpu_seconds"]) < 8000
    assert (await ask(world, "/v1/usage?from=9998-01&to=9999-01"))["items"] == []


async def test_csv_has_every_line_and_opens_no_formula(world: World, holds: dict[str, str]) -> None:
    path = f"{NOVEMBER}&by=job,day&limit=1"
    said = await world.ask("GET", path, headers={"Accept": "text/csv"})
    assert said.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert said.body.count(b"\r\n") == len(said.body.splitlines())
    rows = list(csv.DictReader(io.StringIO(said.body.decode())))
    assert list(rows[0]) == ["period", "owner", "project", "job", "name", "gpu_seconds", "amount"]
    assert [row["name"] for row in rows] == [*["digits"] * 3, *["'=cmd|evil"] * 2, "digits"]
    whole = await ask(world, NOVEMBER)
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal(whole["amount"])


WRONG = {
    "from=yesterday": ("from", "a day such as"),
    "from=2025-13": ("from", "a day such as"),
    "to=2025-11-01T00:00:00": ("to", "time zone"),
    "from=2025-12&to=2025-11": ("to", "before `from`"),
    "by=colour": ("by", "not colour"),
    "by=day,month": ("by", "not by both"),
    "project=house": ("project", "owner/project"),
    "project=ann/house&owner=bob": ("project", "owner/project"),
    "after=zzz": ("after", "not a cursor"),
    f"after={cursor.make('usage', 2**62, 0)}": ("after", "not a cursor"),
    "since=2025-11": ("since", "not a known field"),
    "to=0001-01-01T00:00:00%2B14:00": ("to", "a day such as"),
}


async def test_what_makes_no_sense_is_named(world: World) -> None:
    for query, (field, said) in WRONG.items():
        answer = await world.ask("GET", f"/v1/usage?{query}")
        assert (answer.status, answer.fields) == (422, [field]), query
        assert said in answer.body["errors"][0]["message"]

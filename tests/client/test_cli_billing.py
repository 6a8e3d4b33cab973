"""The commands that show what was used, and say what may be spent; against the real API."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from shared.database.pool import Database
from slipway import AsyncClient
from slipway.cli.billing import after
from tests.client.harness import Run
from tests.client.real import Real

HOLD = """
WITH job AS (
    INSERT INTO jobs (id, project, name, version, endpoint, target, state)
    SELECT 'jbilled', projects.seq, '=digits', 'v', 'e', 'process', 'stopped' FROM projects
    RETURNING id
), gpu AS (
    INSERT INTO gpus (id, target, type, device) VALUES ('g0', 'process', 't4', '0') RETURNING id
)
INSERT INTO allocations (gpu, job, attempt, held_at, released_at, price)
SELECT gpu.id, job.id, 1, at, at + length, price
  FROM job, gpu, (VALUES ('2025-11-03 12:00Z'::timestamptz, interval '2 hours', 0.5),
                         ('2025-11-30 23:00Z', interval '3 hours', 0.7)) AS held (at, length, price)
"""


@pytest.fixture
async def platform(real: Real, database: Database) -> Real:
    """The real one, where GPUs were held in November 2025."""
    await database.execute(
        "INSERT INTO versions (id, project, name, definition)"
        " SELECT 'v', seq, 'v', '{}' FROM projects"
    )
    await database.execute(HOLD)
    return real


async def test_usage_is_a_table_with_its_total(run: Run) -> None:
    ran = await run("usage", "--month", "2025-11", "--by", "gpu_type,price")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["GPU", "TYPE", "PRICE", "GPU", "HOURS", "AMOUNT"],
        ["t4", "0.5", "2.0000", "1.000000"],
        ["t4", "0.7", "1.0000", "0.700000"],
        ["total", "3.0000", "1.700000"],
    ]
    one = await run("usage", "--from", "2025-11", "--by", "month", "--job", "jbil", "--json")
    assert [line["period"] for line in one.json["items"]] == ["2025-11", "2025-12"]
    assert Decimal(one.json["amount"]) == Decimal("3.1")
    assert (await run("usage", "--by", "")).out.splitlines()[-1].split() == ["0.0000", "0.000000"]


async def test_usage_is_printed_as_csv(run: Run) -> None:
    ran = await run("usage", "--from", "2025-11", "--by", "day,job", "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [(row["period"], row["name"], row["amount"]) for row in rows] == [
        ("2025-11-03", "'=digits", "1.000000"),
        ("2025-11-30", "'=digits", "0.700000"),
        ("2025-12-01", "'=digits", "1.400000"),
    ]


async def test_a_statement_says_whether_it_is_final(run: Run) -> None:
    ran = await run("statement", "2025-11")
    first, *table = ran.out.splitlines()
    assert first == "statement of local for 2025-11, final"
    assert table[-1].split() == ["total", "3.0000", "1.700000"]
    assert (await run("statement")).out.splitlines()[0].endswith("so far")
    assert (await run("statement", "2025-11", "--json")).json["amount"] == "1.700000"
    assert (await run("statement", "2025-11", "--csv")).out.count("\n") == 3
    wrong = await run("statement", "november")
    assert (wrong.code, "is not a month such as 2026-11" in wrong.err) == (2, True)


async def test_a_budget_is_set_shown_and_removed(run: Run) -> None:
    assert "No such budget" in (await run("budget", "show")).err
    made = (await run("budget", "set", "250", "--warn", "0.9", "--no-hold", "--json")).json
    assert (made["monthly"], made["warn"], made["hold"]) == (250.0, [0.9], False)
    ran = await run("budget", "show")
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        "owner",
        "monthly",
        "spent",
        "warns",
        "holds",
    ]
    assert "nothing more starts" in (await run("budget", "set", "0")).out
    assert (await run("budget", "remove")).out == "local has no budget any more\n"
    assert (await run("budget", "set", "-1")).code == 2
    assert (await run("budget", "set", "1", "--warn", "2")).code == 1


async def test_the_client_reads_all_pages(platform: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.calls.billing.MANY", 1)
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        found = await client.usage(since="2025-11", by=("day", "owner"))
        assert [line.period for line in found.items] == ["2025-11-03", "2025-11-30", "2025-12-01"]
        assert sum(line.amount for line in found.items) == found.amount == Decimal("3.1")


def test_the_month_after_december_is_of_the_next_year() -> None:
    assert [after(month) for month in ("2026-01", "2026-11", "2026-12")] == [
        "2026-02",
        "2026-12",
        "2027-01",
    ]

"""Quotas and allowances: operators write them, owners read their own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Said, World

Q = "/v1/owners/bob/quotas/process"
A = "/v1/owners/bob/allowance"


async def put(world: World, path: str, said: Any, as_: str = "admin") -> Said:
    return await world.ask("PUT", path, said, as_=as_)


async def facts(world: World, kind: str) -> list[Any]:
    rows = await world.database.fetch(
        "SELECT data FROM events WHERE type = $1 ORDER BY seq", f"slipway.{kind}.v1"
    )
    return [{k: v for k, v in row["data"].items() if k != "by"} for row in rows]


async def test_a_quota_is_written_read_changed_and_removed(world: World) -> None:
    made = await put(world, f"{Q}/rtx3090", {"nominal": 4, "borrow": 2, "cohort": "vision"})
    assert made.status == 200, made
    told = {k: v for k, v in made.body.items() if k != "changed_at"}
    assert told == {
        "owner": "bob",
        "target": "process",
        "gpu_type": "rtx3090",
        "nominal": 4,
        "borrow": 2,
        "cohort": "vision",
    }
    assert (await world.ask("GET", f"{Q}/rtx3090", as_="bob")).body == made.body
    changed = (await put(world, f"{Q}/RTX-3090", {"nominal": 1})).body
    assert (changed["nominal"], changed["borrow"], changed["cohort"]) == (1, None, "")
    assert (await world.ask("DELETE", f"{Q}/rtx3090", as_="admin")).status == 204
    assert (await world.ask("GET", f"{Q}/rtx3090", as_="bob")).status == 404
    assert (await world.ask("DELETE", f"{Q}/rtx3090", as_="admin")).status == 404


async def test_each_change_is_a_fact_and_no_change_is_none(world: World) -> None:
    for _ in range(2):
        await put(world, f"{Q}/%2A", {"nominal": 4})
    await world.ask("DELETE", f"{Q}/*", as_="admin")
    first, second = await facts(world, "quota.written")
    assert first == {
        "owner": "bob",
        "target": "process",
        "gpu_type": "*",
        "nominal": 4,
        "borrow": None,
        "cohort": "",
    }
    assert second == first | {"nominal": None}


async def test_owners_see_their_own_quotas_and_admins_all_in_pages(world: World) -> None:
    for kind in ("t4", "a100", "*"):
        await put(world, f"{Q}/{kind}", {"nominal": 1})
    await put(world, "/v1/owners/ann/quotas/far/t4", {"nominal": 9})
    mine = (await world.ask("GET", "/v1/quotas", as_="bob")).body["items"]
    assert [each["gpu_type"] for each in mine] == ["*", "a100", "t4"]
    assert (await world.ask("GET", "/v1/owners/bob/quotas", as_="bob")).body["items"] == mine
    assert (await world.ask("GET", "/v1/owners/bob/quotas")).status == 404
    seen, after = [], ""
    while True:
        page = (await world.ask("GET", f"/v1/quotas?limit=1&after={after}", as_="admin")).body
        seen += [(each["owner"], each["gpu_type"]) for each in page["items"]]
        if not (after := page["next"]):
            break
    assert seen == [("ann", "t4"), ("bob", "*"), ("bob", "a100"), ("bob", "t4")]


async def test_only_admins_write(world: World) -> None:
    said = await put(world, f"{Q}/t4", {"nominal": 9}, as_="bob")
    assert (said.status, said.problem) == (403, "forbidden")
    assert (await put(world, A, {"highest": "high"}, as_="bob")).status == 403
    assert (await world.ask("DELETE", f"{Q}/t4", as_="bob")).status == 403


@pytest.mark.parametrize(
    ("path", "said", "status", "field"),
    [
        (f"{Q}/t4", {}, 422, "nominal"),
        (f"{Q}/t4", {"nominal": -1}, 422, "nominal"),
        (f"{Q}/t4", {"nominal": 1.5}, 422, "nominal"),
        (f"{Q}/t4", {"nominal": 1, "borrow": -1}, 422, "borrow"),
        (f"{Q}/t4", {"nominal": 1, "cohort": "A b"}, 422, "cohort"),
        (f"{Q}/t4", {"nominal": 1, "lend": 1}, 422, "lend"),
        (f"{Q}/t:4", {"nominal": 1}, 422, "gpu_type"),
        ("/v1/owners/bob/quotas/moon/t4", {"nominal": 1}, 422, "target"),
        ("/v1/owners/eve/quotas/process/t4", {"nominal": 1}, 404, None),
        (A, {"weight": 0}, 422, "weight"),
        (A, {"weight": 1e-320}, 422, "weight"),  # a share divided by it is no number
        (A, {"weight": 1e7}, 422, "weight"),
        (A, {"highest": "top"}, 422, "highest"),
        ("/v1/owners/eve/allowance", {}, 404, None),
    ],
)
async def test_what_can_not_be_is_refused_by_field(
    world: World, path: str, said: Any, status: int, field: str | None
) -> None:
    answer = await put(world, path, said)
    assert (answer.status, answer.fields) == (status, [field] if field else [])


async def test_a_name_that_can_not_be_is_explained_in_words(world: World) -> None:
    said = await put(world, f"{Q}/t4", {"nominal": 1, "cohort": "A b"})
    assert said.body["errors"][0]["message"].startswith("must be lower-case letters, digits")


async def test_an_owner_counts_as_every_owner_until_somebody_says_otherwise(world: World) -> None:
    usual = {"owner": "bob", "weight": 1.0, "highest": "normal", "changed_at": None}
    assert (await world.ask("GET", A, as_="bob")).body == usual
    for _ in range(2):
        made = await put(world, A, {"weight": 2.5, "highest": "high"})
    assert (made.body["weight"], made.body["highest"]) == (2.5, "high")
    assert (await world.ask("GET", A, as_="bob")).body == made.body
    assert (await world.ask("GET", A)).status == 404
    (fact,) = await facts(world, "allowance.written")
    assert fact == {"owner": "bob", "weight": 2.5, "highest": "high"}

"""Reviews: what would happen, without anything happening."""

from __future__ import annotations

from services.api.gpus import Stock, check, price, would_wait
from services.api.types import GpuType
from shared.endpoint import Command, Endpoint, Gpus
from tests.api.conftest import World


def stock(*ahead: tuple[str, ...]) -> Stock:
    return Stock(
        types=(
            GpuType(type="a100", total=2, free=1, price_per_hour=4.0),
            GpuType(type="rtx3090", total=4, free=4, price_per_hour=1.0),
        ),
        ahead=ahead,
    )


def wish(count: int, *types: str, max_price: float | None = None) -> Endpoint:
    return Endpoint(
        name="x",
        format="proximl",
        entry=Command(lines=("serve",)),
        port=80,
        readiness="none",
        gpus=Gpus(types=types, count=count, max_price=max_price),
    )


def test_a_wish_waits_when_its_gpus_are_held_or_others_are_before_it() -> None:
    assert not would_wait([wish(0)], stock())
    assert not would_wait([wish(1, "a100")], stock())
    assert would_wait([wish(2, "a100")], stock())
    assert not would_wait([wish(2, "a100", "rtx3090")], stock())
    assert would_wait([wish(1, "a100")], stock(("a100",)))
    assert would_wait([wish(1, "a100")], stock(()))
    assert not would_wait([wish(1, "a100")], stock(("rtx3090",)))
    assert would_wait([wish(3), wish(2)], stock())


def test_the_price_is_that_of_the_type_it_would_get() -> None:
    assert price(wish(0), stock()) == 0
    assert price(wish(1, "a100"), stock()) == 4
    assert price(wish(2, "a100", "rtx3090"), stock()) == 2
    assert price(wish(2), stock()) == 2


def test_what_can_never_be_had_is_named() -> None:
    for endpoint, field in (
        (wish(3, "a100"), "gpu_count"),
        (wish(1, "t4"), "gpu_types"),
        (wish(1, max_price=0.5), "max_price"),
    ):
        error = check(endpoint, stock())
        assert error is not None
        assert error.field == field
    assert check(wish(4), stock()) is None
    assert check(wish(0, "t4"), stock()) is None


async def test_a_review_writes_nothing(world: World) -> None:
    await world.gpus(a100=1)
    counted = "SELECT count(*) FROM events"
    before = await world.database.value(counted)
    path = f"{world.place}/endpoints/review"
    said = await world.made(path, await world.endpoint(gpu_types=["a100"]))
    assert (said["ok"], said["would_queue"], said["price_per_hour"]) == (True, False, 1.5)
    said = await world.made(path, await world.endpoint(gpu_types=["t4"]))
    assert (said["ok"], [wrong["field"] for wrong in said["errors"]]) == (
        False,
        ["resources.gpu_types"],
    )
    assert await world.database.value(counted) == before


async def test_a_review_says_that_it_would_queue_and_is_free_meanwhile(world: World) -> None:
    await world.gpus(a100=1)
    job = await world.made(f"{world.place}/endpoints", await world.endpoint(gpu_types=["a100"]))
    await world.database.execute(
        "INSERT INTO allocations (gpu, job, attempt, price) VALUES ('process/a100-0', $1, 1, 1.5)",
        job["id"],
    )
    await world.put_state(job["id"], "running")
    shown = (await world.ask("GET", f"/v1/jobs/{job['id']}")).body
    assert (shown["gpus"], shown["price_per_hour"]) == (["process/a100-0"], 1.5)
    [gpu] = (await world.ask("GET", "/v1/gpus")).body["items"]
    assert (gpu["type"], gpu["total"], gpu["free"], gpu["price_per_hour"]) == ("a100", 1, 0, 1.5)
    wish = await world.endpoint("second", gpu_types=["a100"])
    said = await world.made(f"{world.place}/endpoints/review", wish)
    assert said["would_queue"]
    assert "queue until GPUs become available" in said["message"]
    assert "not billed" in said["message"]


async def test_a_version_is_reviewed_by_the_same_checks(world: World) -> None:
    path = f"{world.place}/deployments/mnist/versions"
    said = await world.made(f"{path}/review", await world.wish())
    assert (said["ok"], said["price_per_hour"]) == (True, 0.0)
    await world.version(name="v1")
    said = await world.made(f"{path}/review", await world.wish(name="v1", files={}))
    assert [wrong["field"] for wrong in said["errors"]] == ["name", "files.digit.model"]


async def test_gpus_that_are_given_to_nobody_are_not_free_and_say_why(world: World) -> None:
    await world.gpus(a100=3)
    kept = ("process/a100-1", "2048 MiB still held by process 7")
    await world.database.execute("UPDATE gpus SET quarantine = $2 WHERE id = $1", *kept)
    await world.database.execute("UPDATE gpus SET unproven = true WHERE id = 'process/a100-2'")
    [gpu] = (await world.ask("GET", "/v1/gpus")).body["items"]
    assert (gpu["total"], gpu["free"], gpu["quarantined"]) == (3, 1, [": ".join(kept)])

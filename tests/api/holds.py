"""GPUs that were held, as rows, for tests of what is made of them."""

from __future__ import annotations

from datetime import datetime

from tests.api.conftest import World


async def job(world: World, name: str = "classify", as_: str = "ann") -> str:
    """A job of ann's, or bob's."""
    place = {"ann": "/v1/projects/ann/house", "bob": "/v1/projects/bob/barn"}[as_]
    if as_ == "ann":
        return str((await world.made(f"{place}/endpoints", await world.endpoint(name)))["id"])
    ours = await job(world, f"lent for {name}")
    await world.database.execute(
        "UPDATE jobs SET project = projects.seq, owner = projects.owner, name = $2 FROM projects"
        " WHERE jobs.id = $1 AND projects.owner = 'bob'",
        ours,
        name,
    )
    return ours


async def held(
    world: World, job: str, gpu: str, since: str, until: str | None, price: float = 1.5
) -> None:
    """Times without a zone are UTC."""
    at = [
        None if text is None else datetime.fromisoformat(f"{text}+00:00") for text in (since, until)
    ]
    await world.database.execute(
        "INSERT INTO allocations (gpu, job, attempt, held_at, released_at, price)"
        " VALUES ($1, $2, 1, $3, $4, $5)",
        f"process/{gpu}",
        job,
        *at,
        price,
    )

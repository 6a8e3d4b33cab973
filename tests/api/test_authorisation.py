"""Every operation, asked by everybody: the table of operations is the list of what to try."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.api import token
from services.api.operation import Operation
from services.api.operations import OPERATIONS
from services.api.refused import Refused
from tests.api import claims
from tests.api.conftest import World

REFUSED = {"nobody": 401, "garbage": 401, "revoked": 401, "expired": 401, "reader": 403}
OPEN = {"owners.whoami", "owners.index", "projects.index", "jobs.index", "gpus.index"}
OPEN |= {"gpus.targets", "events.index", "owners.make", "quotas.index", "queue.show"}
OPEN |= {"usage.index"}
OPEN |= {operation.name for operation in OPERATIONS if operation.role == "admin"}
"""Operations whose path names nothing of an owner's, or that refuse whoever is no admin at once."""


class Seed:
    """Something of ann's for every name in a path, and a sound body for every operation."""

    def __init__(self, places: dict[str, str], bodies: dict[str, Any]) -> None:
        self.places = places
        self.bodies = bodies

    def path(self, operation: Operation, places: dict[str, str] | None = None) -> str:
        known = self.places | (places or {})
        return re.sub(r"{(\w+)}", lambda found: known[found[1]], operation.path)

    def body(self, operation: Operation) -> Any:
        return None if operation.body is None else self.bodies.get(operation.name, {})


async def seed(world: World) -> Seed:
    version = await world.version(name="1")  # as versions of models are called
    await claims.apply(world, *claims.ALL, claims.configuration())
    await world.database.execute("UPDATE jobs SET state = 'running', series = 'array'")
    alias = f"{world.place}/deployments/mnist/aliases/production"
    moved = await world.ask("PUT", alias, {"version": version["name"]})
    assert moved.status == 200, moved
    wish, endpoint = await world.wish(), await world.endpoint()
    url = {"url": "https://git.example/house.git"}
    fetched = await world.ask("POST", f"{world.place}/sources", url)
    places = {
        "owner": "ann",
        "project": "house",
        "deployment": "mnist",
        "version": version["name"],
        "alias": "production",
        "job": version["jobs"]["greet"],
        "model": "claims-model",
        "application": "claims",
        "configuration": "small",
        "servable": await world.database.value("SELECT max(servable) FROM jobs"),
        "digest": version["source"],
        "source": fetched.body["id"],
        "token": await world.token("spare", "ann", "read"),
        "target": "process",
        "series": "array",
        "gpu_type": "t4",
        "month": "2026-01",
    }
    bodies = {
        "owners.make": {"name": "eve"},
        "projects.make": {"name": "hut", "owner": "ann"},
        "sources.make": url,
        "deployments.make": {"name": "other"},
        "versions.make": wish,
        "versions.preview": wish,
        "aliases.put": {"version": version["name"]},
        "copies.scale": {"copies": 1},
        "resources.apply": {"documents": [{"document": claims.configuration()}]},
        "servables.make": {"model": "claims-model:1"},
        "endpoints.make": endpoint,
        "quotas.put": {"nominal": 1},
        "runs.of_version": {"command": "true"},
        "runs.of_job": {"command": "true"},
        "budgets.put": {"monthly": 100},
        "endpoints.preview": endpoint,
    }
    return Seed(places, bodies)


async def try_all(world: World, seed: Seed, who: str) -> dict[str, int]:
    """Operation -> status."""
    found = {}
    for operation in OPERATIONS:
        data = b"bytes" if operation.upload else None
        said = await world.ask(
            operation.method,
            seed.path(operation),
            seed.body(operation),
            as_=who if who != "nobody" else "",
            data=data,
        )
        found[operation.name] = said.status
    return found


async def test_who_has_no_valid_token_gets_nothing(world: World) -> None:
    planted = await seed(world)
    world.tokens["garbage"] = "slp_" + "x" * 43
    gone = await world.token("revoked", "ann", "admin")
    await world.database.execute("UPDATE tokens SET revoked_at = now() WHERE id = $1", gone)
    await world.token("expired", "ann", "admin", "-1 second")
    for who in ("nobody", "garbage", "revoked", "expired"):
        found = await try_all(world, planted, who)
        assert {name: status for name, status in found.items() if status != 401} == {}, who


async def test_a_read_token_changes_nothing(world: World) -> None:
    found = await try_all(world, await seed(world), "reader")
    for operation in OPERATIONS:
        refused = found[operation.name] == 403
        assert refused == (operation.role != "read"), (operation.name, found[operation.name])


async def test_a_write_token_does_not_make_owners(world: World) -> None:
    assert (await world.ask("POST", "/v1/owners", {"name": "eve"})).status == 403
    assert (await world.ask("POST", "/v1/owners", {"name": "eve"}, as_="admin")).status == 201


async def test_what_belongs_to_others_is_not_there(world: World) -> None:
    planted = await seed(world)
    found = await try_all(world, planted, "bob")
    closed = {name: status for name, status in found.items() if name not in OPEN}
    assert {name: status for name, status in closed.items() if status != 404} == {}


async def test_foreign_and_unknown_look_the_same(world: World) -> None:
    planted = await seed(world)
    nowhere = dict.fromkeys(planted.places, "nowhere") | {
        "digest": "sha256:" + "0" * 64,
        "owner": "nobody",
    }
    for operation in OPERATIONS:
        if operation.name in OPEN or operation.name == "projects.make":
            continue
        body, data = planted.body(operation), b"bytes" if operation.upload else None
        asked: dict[str, Any] = {"json": body, "data": data, "as_": "bob"}
        foreign = await world.ask(operation.method, planted.path(operation), **asked)
        unknown = await world.ask(operation.method, planted.path(operation, nowhere), **asked)
        assert (foreign.status, foreign.body) == (unknown.status, unknown.body), operation.name


async def test_lists_show_only_ones_own(world: World) -> None:
    planted = await seed(world)
    await world.database.execute("UPDATE events SET position = seq")
    for path in ("/v1/projects", "/v1/owners", "/v1/jobs", "/v1/events"):
        said = await world.ask("GET", path, as_="bob")
        assert "ann" not in str(said.body), path
        everything = await world.ask("GET", path, as_="admin")
        assert "ann" in str(everything.body), path
    upload = f"/v1/projects/bob/barn/uploads/{planted.places['digest']}"
    assert (await world.ask("HEAD", upload, as_="bob")).status == 404


async def test_an_admin_may_do_everything_for_everybody(world: World) -> None:
    made = await world.made("/v1/projects/bob/barn/deployments", {"name": "x"}, as_="admin")
    assert made["owner"] == "bob"


async def test_nobody_makes_a_token_that_may_more_than_theirs(world: World) -> None:
    path = "/v1/owners/ann/tokens"
    assert (await world.ask("POST", path, {"role": "admin"})).status == 403
    await world.token("brief", "ann", "write", "1 hour")
    assert (await world.ask("POST", path, {}, as_="brief")).status == 403
    assert (await world.ask("POST", path, {"role": "write"})).status == 201


async def test_only_the_hash_of_a_token_is_kept(world: World) -> None:
    made = await world.made("/v1/owners/ann/tokens", {"role": "read", "note": "ci"})
    world.tokens["made"] = made["token"]
    assert (await world.ask("GET", "/v1/whoami", as_="made")).body["role"] == "read"
    kept = await world.database.row("SELECT * FROM tokens WHERE id = $1", made["id"])
    assert kept is not None
    assert kept["hash"] == token.hashed(made["token"])
    assert made["token"] not in str(dict(kept))
    listed = (await world.ask("GET", "/v1/owners/ann/tokens")).body["items"]
    assert listed[0]["note"] == "ci"
    assert all("token" not in item and "hash" not in item for item in listed)


async def test_a_revoked_token_is_refused_when_the_cache_forgets_it(world: World) -> None:
    path, now = "/v1/owners/ann/tokens", 0.0
    made = await world.made(path, {"role": "read"})
    tokens = token.Tokens(world.database, clock=lambda: now)
    assert (await tokens.identify(made["token"])).owner == "ann"
    assert (await world.ask("DELETE", f"{path}/{made['id']}")).status == 204
    assert (await world.ask("DELETE", f"{path}/{made['id']}")).status == 204
    now = token.TRUST + 0.1
    with pytest.raises(Refused, match="valid token"):
        await tokens.identify(made["token"])


async def test_both_schemes_are_understood(world: World) -> None:
    for scheme in ("Bearer", "bearer", "Token"):
        sent = {"Authorization": f"{scheme} {world.tokens['ann']}"}
        assert (await world.ask("GET", "/v1/whoami", as_="", headers=sent)).status == 200
    said = await world.ask("GET", "/v1/whoami", as_="")
    assert said.headers["WWW-Authenticate"] == "Bearer"

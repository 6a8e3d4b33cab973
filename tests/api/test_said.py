"""What is said about a job's image, for those who may see the job."""

from __future__ import annotations

import json

import pytest

from services.api.context import Context
from shared import attestation, dsse
from shared.image import Record
from tests.api.conftest import World
from tests.keys import Pair, pair

BILL = b'{"bomFormat":"CycloneDX","components":[]}'
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'


async def built(world: World, context: Context, artifacts: dict[str, bytes]) -> str:
    """A job whose image was built, with this said about it."""
    version = await world.version()
    job = str(version["jobs"]["greet"])
    digests = {
        kind: (await context.blobs.put_bytes(body)).digest for kind, body in artifacts.items()
    }
    await world.database.execute(
        "UPDATE versions SET state = 'ready', record = $2 WHERE id = $1",
        version["id"],
        {"greet": Record(artifacts=digests)},
    )
    return job


async def test_the_bill_of_a_jobs_image_is_given_as_it_is(world: World, context: Context) -> None:
    job = await built(world, context, {attestation.SBOM: BILL})
    said = await world.ask("GET", f"/v1/jobs/{job}/sbom")
    assert (said.status, said.body) == (200, json.loads(BILL))


@pytest.fixture
def ours(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("keys"), "ours")


async def test_signed_provenance_comes_in_its_envelope(
    world: World, context: Context, ours: Pair
) -> None:
    envelope = dsse.seal(ours.signer, attestation.STATEMENT, STATEMENT)
    job = await built(world, context, {attestation.PROVENANCE: envelope})
    said = await world.ask("GET", f"/v1/jobs/{job}/provenance")
    assert said.status == 200
    sent = json.dumps(said.body).encode()
    assert dsse.unseal(ours.trusted, attestation.STATEMENT, sent) == STATEMENT


async def test_unsigned_provenance_comes_as_it_is(world: World, context: Context) -> None:
    job = await built(world, context, {attestation.UNSIGNED_PROVENANCE: STATEMENT})
    said = await world.ask("GET", f"/v1/jobs/{job}/provenance")
    assert (said.status, said.body) == (200, json.loads(STATEMENT))


@pytest.mark.parametrize("what", ["sbom", "provenance"])
async def test_nothing_is_said_before_an_image_is_built(world: World, what: str) -> None:
    job = (await world.version())["jobs"]["greet"]
    said = await world.ask("GET", f"/v1/jobs/{job}/{what}")
    assert (said.status, said.problem) == (409, "not-built")
    assert said.body["detail"] == "the job is submitted"


@pytest.mark.parametrize("what", ["sbom", "provenance"])
async def test_what_was_not_kept_is_missing(world: World, context: Context, what: str) -> None:
    job = await built(world, context, {})
    assert (await world.ask("GET", f"/v1/jobs/{job}/{what}")).status == 404
    gone = "sha256:" + "0" * 64
    await world.database.execute(
        "UPDATE versions SET record = $1",
        {"greet": Record(artifacts={attestation.SBOM: gone, attestation.PROVENANCE: gone})},
    )
    assert (await world.ask("GET", f"/v1/jobs/{job}/{what}")).status == 404


@pytest.mark.parametrize("what", ["sbom", "provenance"])
async def test_A01_others_are_told_nothing(world: World, context: Context, what: str) -> None:
    job = await built(world, context, {attestation.SBOM: BILL, attestation.PROVENANCE: STATEMENT})
    said = await world.ask("GET", f"/v1/jobs/{job}/{what}", as_="bob")
    assert (said.status, said.problem) == (404, "not-found")
    nobody = await world.ask("GET", f"/v1/jobs/{'j' * 13}/{what}")
    assert said.body["title"] == nobody.body["title"]

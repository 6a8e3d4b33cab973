"""Only what a trusted key vouches for starts: every kind of image that is not, in a real registry."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from services.builder.artifacts import Artifact
from services.scheduler import trust
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.scheduler import Scheduler
from services.scheduler.trust import Trust
from shared import attestation, dsse
from shared.database.pool import Database
from shared.errors import Invalid, Transient
from shared.registry import Limits, Registries
from shared.registry.credentials import Credentials
from tests.beds.registry import registry
from tests.keys import Pair, pair
from tests.pushed import Yard, yard
from tests.scheduler.stage import Stage


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Yard]:
    async with registry(tmp_path / "registry") as address, Registries.open() as registries:
        yield yard(registries, tmp_path, address)


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return pair(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Pair:
    return pair(tmp_path, "theirs")


async def verdict(place: Yard, keys: Pair, digest: str, repository: str | None = None) -> str:
    """Why the image is refused, without the part that is always the same; "" when it is not."""
    found = await Trust(place.registries, keys.trusted).check(repository or place.into.name, digest)
    if found is None:
        return ""
    assert found.startswith(f"image {digest} is not trusted: ")
    return found.removeprefix(f"image {digest} is not trusted: ")


async def pushed(place: Yard, content: str, said: Sequence[Artifact]) -> str:
    return await place.push(await place.image(content), said)


def only(said: Sequence[Artifact], *kinds: str) -> list[Artifact]:
    return [each for each in said if each.artifact_type in kinds]


async def test_an_image_that_the_builder_signed_may_start(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    await place.push(image, place.said(image.digest, ours.signer))
    assert await verdict(place, ours, image.digest) == ""


async def test_an_image_about_which_nothing_is_said_may_not(place: Yard, ours: Pair) -> None:
    digest = await pushed(place, "a", [])
    assert await verdict(place, ours, digest) == "it is not signed"


async def test_unsigned_provenance_is_not_enough(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    await place.push(image, place.said(image.digest, None))
    assert await verdict(place, ours, image.digest) == "it is not signed"


async def test_a_signature_alone_is_not_enough(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    said = place.said(image.digest, ours.signer)
    await place.push(image, only(said, attestation.SIGNATURE))
    assert await verdict(place, ours, image.digest) == "it has no provenance"


async def test_provenance_alone_is_not_enough(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    said = place.said(image.digest, ours.signer)
    await place.push(image, only(said, attestation.PROVENANCE))
    assert await verdict(place, ours, image.digest) == "it is not signed"


async def test_a_key_that_is_not_trusted_vouches_for_nothing(
    place: Yard, ours: Pair, theirs: Pair
) -> None:
    image = await place.image("a")
    await place.push(image, place.said(image.digest, theirs.signer))
    assert await verdict(place, ours, image.digest) == "no trusted key signed it"
    mixed = await place.image("b")
    await place.push(
        mixed,
        [
            *only(place.said(mixed.digest, ours.signer), attestation.SIGNATURE),
            *only(place.said(mixed.digest, theirs.signer), attestation.PROVENANCE),
        ],
    )
    said = "no trusted key signed its provenance as it is"
    assert await verdict(place, ours, mixed.digest) == said


async def test_altered_provenance_is_refused(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    sbom, provenance, signature = place.said(image.digest, ours.signer)
    envelope = json.loads(provenance.body)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["buildDefinition"]["resolvedDependencies"] = []
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    altered = msgspec.structs.replace(provenance, body=json.dumps(envelope).encode())
    await place.push(image, [sbom, altered, signature])
    said = "no trusted key signed its provenance as it is"
    assert await verdict(place, ours, image.digest) == said


async def test_provenance_of_another_image_is_refused(place: Yard, ours: Pair) -> None:
    image, other = await place.image("a"), await place.image("b")
    mine, others = (place.said(each.digest, ours.signer) for each in (image, other))
    await place.push(
        image, [*only(mine, attestation.SIGNATURE), *only(others, attestation.PROVENANCE)]
    )
    assert await verdict(place, ours, image.digest) == "its provenance is another image's"


async def test_a_signature_of_another_image_is_refused(place: Yard, ours: Pair) -> None:
    image, other = await place.image("a"), await place.image("b")
    await place.push(image, place.said(other.digest, ours.signer))
    assert await verdict(place, ours, image.digest) == "its signature is another image's"


async def test_a_statement_of_another_kind_is_no_provenance(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    sbom, provenance, signature = place.said(image.digest, ours.signer)
    payload = dsse.unseal(ours.trusted, attestation.STATEMENT, provenance.body)
    assert payload is not None
    statement = json.loads(payload) | {"predicateType": "https://spdx.dev/Document"}
    body = dsse.seal(ours.signer, attestation.STATEMENT, json.dumps(statement).encode())
    await place.push(image, [sbom, msgspec.structs.replace(provenance, body=body), signature])
    assert await verdict(place, ours, image.digest) == "its provenance is of another kind"


async def test_what_was_signed_for_one_project_does_not_start_in_another(
    place: Yard, ours: Pair, tmp_path: Path
) -> None:
    image = await place.image("a")
    said = place.said(image.digest, ours.signer)
    elsewhere = yard(place.registries, tmp_path, place.into.registry, "mallory/web")
    await elsewhere.push(image, said)  # copied with all that was said about it
    assert await verdict(elsewhere, ours, image.digest) == "it was signed for another repository"


async def test_what_others_hang_on_an_image_changes_nothing(
    place: Yard, ours: Pair, theirs: Pair
) -> None:
    image, other = await place.image("a"), await place.image("b")
    await place.push(image, place.said(image.digest, theirs.signer))
    await place.push(image, place.said(other.digest, ours.signer))
    rubbish = [
        Artifact(artifact_type=kind, media_type="text/plain", body=body)
        for kind in (attestation.SIGNATURE, attestation.PROVENANCE)
        for body in (b"", b"\xff" * 100)
    ]
    await place.push(image, rubbish)
    assert await verdict(place, ours, image.digest) != ""
    await place.push(image, place.said(image.digest, ours.signer))
    assert await verdict(place, ours, image.digest) == ""


async def test_something_huge_is_not_read(place: Yard, ours: Pair) -> None:
    image = await place.image("a")
    huge = Artifact(
        artifact_type=attestation.SIGNATURE, media_type="text/plain", body=bytes(trust.LARGEST + 1)
    )
    await place.push(image, [huge])
    said = await verdict(place, ours, image.digest)
    assert said.startswith("what is said about it can't be read: ")


async def test_an_image_in_no_registry_is_refused(place: Yard, ours: Pair) -> None:
    check = Trust(place.registries, ours.trusted).check
    assert await check("", "sha256:" + "a" * 64) == (
        f"image sha256:{'a' * 64} is not trusted: it is in no registry, where it could be signed"
    )


@pytest.mark.parametrize("repository", ["no registry/x", "..", "127.0.0.1:1/UPPER"])
async def test_a_place_that_can_not_be_is_refused(place: Yard, ours: Pair, repository: str) -> None:
    said = await verdict(place, ours, "sha256:" + "a" * 64, repository)
    assert said.startswith("what is said about it can't be read: ")


async def test_a_registry_that_is_away_is_asked_again_later(tmp_path: Path, ours: Pair) -> None:
    quick = Limits(operation=0.5, request=0.2, attempts=1)
    async with Registries.open(limits=quick) as registries:
        check = Trust(registries, ours.trusted).check
        with pytest.raises(Transient):
            await check("127.0.0.1:1/acme/web", "sha256:" + "a" * 64)


async def test_a_good_image_is_looked_at_once(tmp_path: Path, ours: Pair) -> None:
    quick = Limits(operation=0.5, request=0.2, attempts=1)
    async with Registries.open(limits=quick) as registries:
        async with registry(tmp_path / "registry") as address:
            place = yard(registries, tmp_path, address)
            good, bad = await place.image("a"), await place.image("b")
            await place.push(good, place.said(good.digest, ours.signer))
            await place.push(bad)
            trusting = Trust(registries, ours.trusted)
            assert await trusting.check(place.into.name, good.digest) is None
            assert await trusting.check(place.into.name, bad.digest) is not None
        assert await trusting.check(place.into.name, good.digest) is None
        with pytest.raises(Transient):  # what is refused may be signed later
            await trusting.check(place.into.name, bad.digest)


async def test_any_of_several_trusted_keys_is_enough(place: Yard, ours: Pair, theirs: Pair) -> None:
    image = await place.image("a")
    await place.push(image, place.said(image.digest, theirs.signer))
    both = Trust(place.registries, [*ours.trusted, *theirs.trusted])
    assert await both.check(place.into.name, image.digest) is None


async def test_a_job_whose_image_is_not_signed_fails_and_says_why(
    place: Yard, ours: Pair, database: Database
) -> None:
    stage, driver = Stage(database), FakeDriver()
    await stage.prepare()
    unsigned, signed = await place.image("a"), await place.image("b")
    await place.push(unsigned)
    await place.push(signed, place.said(signed.digest, ours.signer))
    jobs = [await stage.job(image=each.digest) for each in (unsigned, signed)]
    await database.execute("UPDATE versions SET repository = $1", place.into.name)
    scheduler = Scheduler(
        database,
        driver,
        target="process",
        options=Options(again_after=0.0),
        vet=Trust(place.registries, ours.trusted).vet,
    )
    for _ in range(4):
        await scheduler.turn()
        await scheduler.settle()
    assert await stage.state(jobs[0]) == "failed"
    assert await stage.state(jobs[1]) == "running"
    assert [replica.job for replica in driver.starts] == [jobs[1]]
    reason = await database.value("SELECT reason FROM jobs WHERE id = $1", jobs[0])
    assert reason == f"image {unsigned.digest} is not trusted: it is not signed"


async def test_without_keys_nothing_is_looked_at() -> None:
    async with trust.vetting((), Credentials()) as vet:
        assert vet is None


async def test_with_keys_everything_is(ours: Pair) -> None:
    async with trust.vetting(ours.trusted, Credentials()) as vet:
        assert vet is not None


def test_keys_are_read_where_images_come_from_a_registry(ours: Pair) -> None:
    assert trust.keys("", "process") == ()
    assert [key.id for key in trust.keys(str(ours.public), "container")] == [ours.trusted[0].id]
    with pytest.raises(Invalid, match=r"TRUSTED_KEYS: can't be kept on target process"):
        trust.keys(str(ours.public), "process")
    with pytest.raises(Invalid, match=r"TRUSTED_KEYS: .* can't be read: No such file"):
        trust.keys(str(ours.public) + "x", "container")

"""Artifacts as they are pushed: few, about one image, and the same each time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from services.builder.artifacts import Artifact, artifacts_of, bill, manifest_of
from services.builder.artifacts.artifact import EMPTY
from shared import attestation
from tests.builder.artifacts.made import CANARY, HERE, IMAGE, PYTHON, SUBJECT, definition, made
from tests.keys import Pair, pair

BILL = bill({}, PYTHON)
HEX = IMAGE.removeprefix("sha256:")


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return pair(tmp_path, "ours")


def test_without_a_key_provenance_is_told_and_nothing_is_signed() -> None:
    sbom, provenance = artifacts_of(made(), BILL, None)
    assert (sbom.artifact_type, sbom.body) == ("application/vnd.cyclonedx+json", BILL)
    assert provenance.artifact_type == "application/vnd.in-toto+json"
    assert json.loads(provenance.body)["subject"][0]["digest"] == {"sha256": HEX}
    assert not sbom.tag
    assert not provenance.tag


def test_with_a_key_what_is_said_speaks_for_the_image(ours: Pair) -> None:
    _, provenance, signature = artifacts_of(made(), BILL, ours.signer)
    keys = ours.trusted
    assert attestation.provenance_fault(keys, HERE, IMAGE, provenance.body) is None
    signed = signature.content["dev.cosignproject.cosign/signature"]
    assert attestation.signature_fault(keys, HERE, IMAGE, signature.body, signed) is None


def test_the_provenance_vouches_for_the_bill(ours: Pair) -> None:
    statement = json.loads(artifacts_of(made(), BILL, None)[1].body)
    [byproduct] = statement["predicate"]["runDetails"]["byproducts"]
    assert byproduct["digest"] == {"sha256": hashlib.sha256(BILL).hexdigest()}


def test_cosign_finds_what_is_signed_under_its_tags(ours: Pair) -> None:
    artifacts = artifacts_of(made(), BILL, ours.signer)
    assert [each.tag for each in artifacts] == ["", f"sha256-{HEX}.att", f"sha256-{HEX}.sig"]


def test_artifacts_are_the_same_each_time(ours: Pair) -> None:
    def manifests() -> list[bytes]:
        made_of = artifacts_of(made(), BILL, ours.signer)
        return [manifest_of(each, SUBJECT)[1] for each in made_of]

    assert manifests() == manifests()


def test_where_the_code_came_from_is_said_of_the_provenance(ours: Pair) -> None:
    for signer in (None, ours.signer):
        assert artifacts_of(made(), BILL, signer)[1].annotations == {
            "org.opencontainers.image.source": "https://git.example/acme/web",
            "org.opencontainers.image.revision": "9" * 40,
        }
    assert artifacts_of(made(definition=definition()), BILL, None)[1].annotations == {}


def test_a_manifest_names_its_body_and_its_subject() -> None:
    artifact = Artifact(
        artifact_type="application/x.thing",
        media_type="text/plain",
        body=b"hello",
        content={"a": "b"},
    )
    config, manifest = manifest_of(artifact, SUBJECT)
    assert config == EMPTY == b"{}"
    assert json.loads(manifest) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/x.thing",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        "layers": [
            {
                "mediaType": "text/plain",
                "digest": f"sha256:{hashlib.sha256(b'hello').hexdigest()}",
                "size": 5,
                "annotations": {"a": "b"},
            }
        ],
        "subject": {"mediaType": SUBJECT.media_type, "digest": IMAGE, "size": 1234},
    }


def test_nothing_that_the_owner_keeps_secret_is_in_an_artifact(ours: Pair) -> None:
    for signer in (None, ours.signer):
        for artifact in artifacts_of(made(), BILL, signer):
            assert CANARY.encode() not in artifact.body
            assert CANARY not in str(artifact.annotations)

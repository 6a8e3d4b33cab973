"""What speaks for an image, and all that seems to and does not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from shared import attestation, dsse
from shared.attestation import provenance_fault, signature_fault
from tests.keys import Pair, pair

HERE = "127.0.0.1:5000/slipway/acme/web"
IMAGE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return pair(tmp_path, "ours")


def sealed(ours: Pair, **fields: Any) -> bytes:
    statement = {
        "_type": attestation.STATEMENT_TYPE,
        "subject": [{"name": HERE, "digest": {"sha256": "a" * 64}}],
        "predicateType": attestation.PREDICATE_TYPE,
        "predicate": {},
    }
    body = json.dumps(statement | fields).encode()
    return dsse.seal(ours.signer, attestation.STATEMENT, body)


def test_a_signed_claim_speaks_for_its_image_in_its_repository_alone(
    ours: Pair, tmp_path: Path
) -> None:
    claim = attestation.claim(HERE, IMAGE)
    signature = attestation.sign(ours.signer, claim)
    others = pair(tmp_path, "other").trusted

    def fault(
        digest: str = IMAGE, where: str = HERE, body: bytes = claim, signed: str = signature
    ) -> str | None:
        return signature_fault(ours.trusted, where, digest, body, signed)

    assert fault() is None
    assert fault(digest=OTHER) == "its signature is another image's"
    assert fault(where=HERE + "2") == "it was signed for another repository"
    assert fault(body=claim + b" ") == "no trusted key signed it"
    assert fault(signed="") == "no trusted key signed it"
    assert fault(signed="?") == "its signature can't be read"
    assert signature_fault(others, HERE, IMAGE, claim, signature) == "no trusted key signed it"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", attestation.claim(HERE, IMAGE).replace(b"cosign", b"atomic")]
)
def test_a_signature_of_something_else_is_none(ours: Pair, body: bytes) -> None:
    signature = base64.b64encode(ours.signer.sign(body)).decode()
    fault = signature_fault(ours.trusted, HERE, IMAGE, body, signature)
    assert fault == "its signature is of something else"


def test_signed_provenance_speaks_for_its_image_alone(ours: Pair, tmp_path: Path) -> None:
    body = sealed(ours)
    assert provenance_fault(ours.trusted, HERE, IMAGE, body) is None
    assert provenance_fault(ours.trusted, HERE, OTHER, body) == "its provenance is another image's"
    elsewhere = provenance_fault(ours.trusted, HERE + "2", IMAGE, body)
    assert elsewhere == "its provenance is another image's"
    others = pair(tmp_path, "other").trusted
    unknown = provenance_fault(others, HERE, IMAGE, body)
    assert unknown == "no trusted key signed its provenance as it is"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"predicateType": "https://spdx.dev/Document"}, "its provenance is of another kind"),
        ({"_type": "https://in-toto.io/Statement/v9"}, "its provenance is of another kind"),
        ({"subject": []}, "its provenance is another image's"),
        ({"subject": [{"name": HERE, "digest": {}}]}, "its provenance is another image's"),
        (
            {"subject": [{"name": HERE, "digest": {"sha512": "a" * 64}}]},
            "its provenance is another image's",
        ),
        ({"subject": "all"}, "its provenance can't be read"),
    ],
)
def test_a_signed_statement_of_something_else_is_no_provenance(
    ours: Pair, fields: dict[str, Any], said: str
) -> None:
    assert provenance_fault(ours.trusted, HERE, IMAGE, sealed(ours, **fields)) == said


def test_altered_provenance_is_refused(ours: Pair) -> None:
    envelope = json.loads(sealed(ours))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["subject"][0]["digest"]["sha256"] = "b" * 64
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    body = json.dumps(envelope).encode()
    fault = provenance_fault(ours.trusted, HERE, OTHER, body)
    assert fault == "no trusted key signed its provenance as it is"

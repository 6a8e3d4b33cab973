"""Envelopes: what is changed in any way, or was signed as something else, does not open."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from shared import dsse
from tests.keys import Pair, openssl, pair

KIND = "application/vnd.in-toto+json"


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return pair(tmp_path, "ours")


def changed(envelope: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(envelope) | fields).encode()


def test_what_was_sealed_opens_with_the_key_that_belongs_to_it(ours: Pair, tmp_path: Path) -> None:
    envelope = dsse.seal(ours.signer, KIND, b"{}")
    other = pair(tmp_path, "other")
    assert dsse.unseal(ours.trusted, KIND, envelope) == b"{}"
    assert dsse.unseal(other.trusted + ours.trusted, KIND, envelope) == b"{}"
    assert dsse.unseal(other.trusted, KIND, envelope) is None
    assert dsse.unseal([], KIND, envelope) is None


def test_an_envelope_is_the_same_each_time(ours: Pair) -> None:
    assert dsse.seal(ours.signer, KIND, b"{}") == dsse.seal(ours.signer, KIND, b"{}")


def test_openssl_verifies_an_envelope(ours: Pair, tmp_path: Path) -> None:
    envelope = json.loads(dsse.seal(ours.signer, KIND, b'{"a":1}'))
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "body").write_bytes(b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}')
    said = openssl(
        *("dgst", "-sha256", "-verify", ours.public),
        *("-signature", tmp_path / "signature", tmp_path / "body"),
    )
    assert said == b"Verified OK\n"


def test_a_changed_envelope_does_not_open(ours: Pair) -> None:
    envelope = dsse.seal(ours.signer, KIND, b"{}")
    signature = json.loads(envelope)["signatures"][0]["sig"]
    for other in (
        changed(envelope, payload=base64.b64encode(b'{"a":1}').decode()),
        changed(envelope, payload="e30"),
        changed(envelope, payload="é"),
        changed(envelope, payloadType="text/plain"),
        changed(envelope, signatures=[]),
        changed(envelope, signatures=[{"sig": "AAAA"}]),
        changed(envelope, signatures=[{"sig": "no base64!"}]),
        changed(envelope, signatures=[{"sig": "AAAA"}] * 8 + [{"sig": signature}]),
        envelope[:-1],
        b"null",
        b"\xff",
    ):
        assert dsse.unseal(ours.trusted, KIND, other) is None, other


def test_what_was_signed_as_another_kind_does_not_open(ours: Pair) -> None:
    assert dsse.unseal(ours.trusted, KIND, dsse.seal(ours.signer, "text/plain", b"{}")) is None
    # nor does a bare signature of the payload serve as one
    bare = base64.b64encode(ours.signer.sign(b"{}")).decode()
    envelope = dsse.seal(ours.signer, KIND, b"{}")
    assert dsse.unseal(ours.trusted, KIND, changed(envelope, signatures=[{"sig": bare}])) is None

"""Keys as people make them with openssl, and files that hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import Invalid
from shared.signing import read_signer, read_verifiers
from tests.keys import openssl, pair


def test_what_a_key_signed_its_public_half_verifies(tmp_path: Path) -> None:
    ours, other = pair(tmp_path, "ours"), pair(tmp_path, "other")
    signature = ours.signer.sign(b"hello")
    assert ours.trusted[0].verify(b"hello", signature)
    assert not ours.trusted[0].verify(b"hullo", signature)
    assert not other.trusted[0].verify(b"hello", signature)
    assert not ours.trusted[0].verify(b"hello", b"")


def test_the_same_bytes_have_the_same_signature(tmp_path: Path) -> None:
    signer = pair(tmp_path, "ours").signer
    assert signer.sign(b"hello") == signer.sign(b"hello")


def test_openssl_verifies_a_signature(tmp_path: Path) -> None:
    ours = pair(tmp_path, "ours")
    (tmp_path / "body").write_bytes(b"hello")
    (tmp_path / "signature").write_bytes(ours.signer.sign(b"hello"))
    said = openssl(
        *("dgst", "-sha256", "-verify", ours.public),
        *("-signature", tmp_path / "signature", tmp_path / "body"),
    )
    assert said == b"Verified OK\n"


def test_a_file_may_hold_several_trusted_keys(tmp_path: Path) -> None:
    ours, other = pair(tmp_path, "ours"), pair(tmp_path, "other")
    both = tmp_path / "both.pem"
    both.write_bytes(b"# old\n" + ours.public.read_bytes() + b"# new\n" + other.public.read_bytes())
    assert [key.id for key in read_verifiers(both)] == [ours.trusted[0].id, other.trusted[0].id]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "holds no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private key"),
        (b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "is encrypted"),
        (b"x" * 70_000, "is larger than"),
    ],
)
def test_a_file_that_holds_no_private_key_is_refused(
    tmp_path: Path, body: bytes, said: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(body)
    with pytest.raises(Invalid, match=said) as caught:
        read_signer(path)
    assert caught.value.field == "SIGNING_KEY"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="can't be read: No such file"):
        read_signer(tmp_path / "none")
    with pytest.raises(Invalid, match="can't be read: Is a directory"):
        read_verifiers(tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    rsa = tmp_path / "rsa.key"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa)
    openssl("pkey", "-in", rsa, "-pubout", "-out", tmp_path / "rsa.pem")
    larger = pair(tmp_path, "larger", curve="P-384")
    for private in (rsa, larger.private):
        with pytest.raises(Invalid, match="must hold an elliptic curve key on P-256"):
            read_signer(private)
    for public in (tmp_path / "rsa.pem", larger.public):
        with pytest.raises(Invalid, match="every key must be an elliptic curve key on P-256"):
            read_verifiers(public)


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    ours = pair(tmp_path, "ours")
    openssl(
        *("pkcs8", "-topk8", "-in", ours.private, "-passout", "pass:secret"),
        *("-out", tmp_path / "encrypted"),
    )
    with pytest.raises(Invalid, match="is encrypted"):
        read_signer(tmp_path / "encrypted")


def test_a_private_key_is_not_taken_for_a_trusted_one(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="holds a private key; give the public one"):
        read_verifiers(pair(tmp_path, "ours").private)


def test_a_file_without_public_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    for body in (b"", b"hello", b"-----END PUBLIC KEY-----"):
        path.write_bytes(body)
        with pytest.raises(Invalid) as caught:
            read_verifiers(path)
        assert caught.value.field == "TRUSTED_KEYS"


def test_too_many_trusted_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(pair(tmp_path, "ours").public.read_bytes() * 33)
    with pytest.raises(Invalid, match="must hold 1 to 32 public keys"):
        read_verifiers(path)

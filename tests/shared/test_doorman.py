"""Who can prove what to whom."""

from __future__ import annotations

import pytest

from shared.address import at_doorman, has_doorman
from shared.doorman import NONCE, PROOF, keys, proof, proven, secret

OLD, NEW = "o" * 32, "n" * 32
WHAT = bytes(range(NONCE))
WHERE = ("10.1.2.3", 7200)


def test_a_proof_is_good_for_its_replica_nonce_and_address_alone() -> None:
    mine = secret(NEW, "j1", 1)
    given = proof(mine, WHAT, *WHERE)
    assert len(given) == PROOF
    assert proven(given, [mine], WHAT, *WHERE)
    for other in (secret(NEW, "j1", 2), secret(NEW, "j2", 1), secret(OLD, "j1", 1)):
        assert not proven(given, [other], WHAT, *WHERE)
    assert not proven(given, [mine], bytes(NONCE), *WHERE)
    assert not proven(given, [mine], WHAT, "10.1.2.4", 7200)
    assert not proven(given, [mine], WHAT, "10.1.2.3", 7201)
    assert not proven(given[:-1], [mine], WHAT, *WHERE)
    assert not proven(given, [], WHAT, *WHERE)


def test_any_key_is_good_for_what_exists_and_the_first_makes_new_secrets() -> None:
    found = keys(f"{NEW}, {OLD},")
    assert found == (NEW, OLD)
    given = proof(secret(OLD, "j1", 1), WHAT, *WHERE)
    assert proven(given, [secret(key, "j1", 1) for key in found], WHAT, *WHERE)


def test_a_key_that_could_be_guessed_is_refused() -> None:
    assert keys("") == ()
    with pytest.raises(ValueError, match="32 characters"):
        keys(f"{NEW},short")


def test_addresses_of_both_families_can_be_written() -> None:
    assert at_doorman("10.1.2.3", 7200) == "doorman://10.1.2.3:7200"
    assert at_doorman("fd00::7", 7200) == "doorman://[fd00::7]:7200"
    assert has_doorman(at_doorman("fd00::7", 7200))
    assert not has_doorman("http://10.1.2.3:7200")
    assert proof(secret(NEW, "j1", 1), WHAT, "fd00::7", 7200) == proof(
        secret(NEW, "j1", 1), WHAT, "fd00:0::7%eth0", 7200
    )

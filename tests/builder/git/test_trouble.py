"""What git complains, in its own words, and what we make of it."""

from __future__ import annotations

import pytest

from services.builder import warden
from services.builder.git import trouble
from shared.errors import Invalid, PlatformError, Transient

ACCESS = "fatal: unable to access 'https://git.example/redirect-fsck-error-certificate.git/': "

SAID: dict[str, tuple[str, type[PlatformError], str, str]] = {
    "no such ref": ("fatal: couldn't find remote ref v9", Invalid, "ref", "names no branch"),
    "no such commit": (
        "fatal: remote error: upload-pack: not our ref abababab",
        Invalid,
        "ref",
        "names no branch",
    ),
    "a login": (
        "fatal: could not read Username for 'https://git.example': terminal prompts disabled",
        Invalid,
        "url",
        "asks for a login",
    ),
    "forbidden": (ACCESS + "The requested URL returned error: 403", Invalid, "url", "a login"),
    "not there": (
        "fatal: repository 'https://git.example/redirect.git/' not found",
        Invalid,
        "url",
        "leads to no repository",
    ),
    "moved": (ACCESS + "The requested URL returned error: 301", Invalid, "url", "redirects"),
    "unsound": (
        "error: object ab12: hasDotgit: contains '.git'\nfatal: fsck error in packed object\n"
        "fatal: fetch-pack: invalid index-pack output",
        Invalid,
        "url",
        "hasDotgit",
    ),
    "old": (
        "fatal: dumb http transport does not support shallow capabilities",
        Invalid,
        "url",
        "single commits",
    ),
    "no memory": (
        "fatal: Out of memory, malloc failed (tried to allocate 9 bytes)",
        Invalid,
        "url",
        "larger than allowed",
    ),
    "a bad certificate": (
        ACCESS + "server certificate verification failed. CAfile: none CRLfile: none",
        Invalid,
        "url",
        "without a valid certificate",
    ),
    "nobody there": (
        ACCESS + "Failed to connect to git.example port 443: Connection refused",
        Transient,
        "",
        "could not be reached",
    ),
    "broken": (ACCESS + "The requested URL returned error: 502", Transient, "", "be reached"),
    "slow down": (ACCESS + "The requested URL returned error: 429", Transient, "", "be reached"),
    "slow": (
        "error: RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec",
        Transient,
        "",
        "be reached",
    ),
    "cut": ("fatal: the remote end hung up unexpectedly", Transient, "", "be reached"),
    "a broken handshake": (
        ACCESS + "gnutls_handshake() failed: Handshake failed",
        Transient,
        "",
        "be reached",
    ),
    "something new": ("fatal: the moon is full", Invalid, "url", "the moon is full"),
    "nothing": ("", Invalid, "url", "without saying why"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_git_says_is_sorted_by_who_can_change_it(name: str) -> None:
    said, kind, field, message = SAID[name]
    error = trouble.of_fetch(128, said, 60)
    assert type(error) is kind
    assert getattr(error, "field", "") == field
    assert message in str(error)
    assert len(str(error)) < 450


def test_a_host_can_not_write_to_a_terminal_or_tell_a_password() -> None:
    said = "fatal: \x1b[31mremote\x1b[0m: https://ann:secret@git.example/x\x07" + "y" * 10_000
    text = str(trouble.of_fetch(128, said, 60))
    assert text.isprintable()
    assert "secret" not in text
    assert len(text) < 450


def test_time_that_is_over_is_told() -> None:
    assert "longer than 60 s" in str(trouble.of_fetch(warden.OVER, "whatever", 60))

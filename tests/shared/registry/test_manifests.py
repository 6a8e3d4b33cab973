"""What answers are made of, told apart without a network."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared import image
from shared.errors import Permanent, Transient
from shared.registry import Damaged, Limits, MissingBlobs
from shared.registry.attempts import pause
from shared.registry.challenge import Challenge, preferred
from shared.registry.errors import codes, failure, missing, retry_after
from shared.registry.manifests import choose, index, manifest
from tests.shared.registry.made import described, manifest_of

LIMITS = Limits()
BODY = msgspec.json.encode(manifest_of(b"layer"))

json = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(
            some.sampled_from(
                ["config", "layers", "manifests", "digest", "size", "mediaType", "errors", "code"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json)
def test_whatever_is_answered_is_an_image_or_damaged(document: object) -> None:
    plain = {"schemaVersion": 2}
    body = msgspec.json.encode(document | plain if isinstance(document, dict) else document)
    for read, kind in ((manifest, image.MANIFEST_TYPE), (index, image.INDEX_TYPE)):
        try:
            found = read("app", kind, body, LIMITS)
        except Damaged:
            continue
        assert found.media_type == kind


@given(some.binary(max_size=64) | some.builds(msgspec.json.encode, json))
def test_whatever_is_said_with_an_error_it_is_an_error(body: bytes) -> None:
    assert all(code.isascii() for code in codes(body))
    assert missing("app", body) is None or isinstance(missing("app", body), MissingBlobs)
    for status in (300, 400, 401, 404, 418, 429, 500, 503, 599):
        assert isinstance(failure("app", status, {}, body), Permanent | Transient)


def test_the_blobs_that_are_missing_are_named() -> None:
    named = described(b"x", "").digest
    body = (
        b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","detail":{"digest":"%s"}}]}' % named.encode()
    )
    found = missing("app", body)
    assert found is not None
    assert found.digests == {named}
    assert missing("app", b'{"errors":[{"code":"MANIFEST_INVALID"}]}') is None


VARIANTS = image.Index(
    schema_version=2,
    media_type=image.INDEX_TYPE,
    manifests=tuple(
        msgspec.structs.replace(
            described(name.encode(), image.MANIFEST_TYPE),
            platform=image.Platform(architecture=architecture, os=os, variant=variant),
        )
        for name, os, architecture, variant in (
            ("attestation", "unknown", "unknown", ""),
            ("windows", "windows", "amd64", ""),
            ("v3", "linux", "amd64", "v3"),
            ("plain", "linux", "amd64", ""),
            ("again", "linux", "amd64", ""),
            ("arm v6", "linux", "arm", "v6"),
            ("arm v7", "linux", "arm", "v7"),
        )
    ),
)


@pytest.mark.parametrize(
    ("architecture", "variant", "expected"),
    [("amd64", "", "plain"), ("amd64", "v3", "v3"), ("arm", "", "arm v6"), ("arm", "v7", "arm v7")],
)
def test_the_plainest_image_for_a_platform_is_chosen(
    architecture: str, variant: str, expected: str
) -> None:
    platform = image.Platform(architecture=architecture, os="linux", variant=variant)
    found = choose("app", VARIANTS, platform)
    assert found.digest == described(expected.encode(), "").digest


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        (["Negotiate"], None),
        (["Basic"], Challenge(scheme="basic")),
        (["basic realm=x"], Challenge(scheme="basic", realm="x")),
        (
            ['Bearer realm="https://auth.example/token",service="a, b",scope="x"'],
            Challenge(scheme="bearer", realm="https://auth.example/token", service="a, b"),
        ),
        (
            ['Basic realm="x", BEARER Realm = "y" , service=z'],
            Challenge(scheme="bearer", realm="y", service="z"),
        ),
        (['Basic realm="x"', 'Bearer realm="y"'], Challenge(scheme="bearer", realm="y")),
        ([r'Bearer realm="a\"b\\c"'], Challenge(scheme="bearer", realm=r'a"b\c')),
        (['Bearer realm="first",realm="second"'], Challenge(scheme="bearer", realm="first")),
    ],
)
def test_what_a_registry_asks_for_is_read(headers: list[str], expected: Challenge | None) -> None:
    assert preferred(headers) == expected


@given(some.lists(some.text(alphabet='Bbearsic ="\\,x\t', max_size=200), max_size=3))
def test_whatever_is_asked_for_is_read_or_ignored(headers: list[str]) -> None:
    found = preferred(headers)
    assert found is None or found.scheme in ("basic", "bearer")


def test_a_header_made_to_be_slow_is_read_at_once() -> None:
    for part in ('a="', "a=", " ", ",", 'a="\\', "Basic ", "Basic realm=x,"):
        preferred([part * 100_000])


@given(some.text(max_size=40), some.integers(1, 10))
def test_no_pause_is_longer_than_we_want(said: str, count: int) -> None:
    asked = retry_after(said)
    assert asked is None or asked >= 0
    assert 0 <= pause(LIMITS, count, asked) <= LIMITS.longest_pause

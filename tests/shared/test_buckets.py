"""Files in buckets: which are read, for whom, and from where alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from aiohttp import web

from shared.buckets import Buckets, place
from shared.errors import Invalid, Transient

CONTENT = b"age,plan\n31,gold\n" * 100_000
ALLOWED = {"training": ("ann/house",), "open": ("*",)}


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    """What speaks as much of S3 as reading takes; it keeps who asked for what."""

    async def get(request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if key == "broken":
            return web.Response(status=400)
        if key == "forbidden":
            return web.Response(status=403)
        if key != "data/claims.csv":
            return web.Response(status=404)
        headers = {"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 12:00:00 GMT"}
        return web.Response(body=CONTENT, headers=headers)

    app = web.Application()
    app.router.add_get("/{bucket}/{key:.*}", get)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def read(
    endpoint: str,
    uri: str,
    project: str = "ann/house",
    allowed: Mapping[str, Sequence[str]] = ALLOWED,
) -> bytes:
    buckets = Buckets(endpoint, "", "key", "secret", allowed)
    return b"".join([chunk async for chunk in buckets.stream(uri, project)])


async def test_a_file_is_read_whole(endpoint: str) -> None:
    assert await read(endpoint, "s3://training/data/claims.csv") == CONTENT


async def test_a_bucket_is_read_for_its_projects_alone(endpoint: str) -> None:
    with pytest.raises(Invalid, match="not open to bob/shop"):
        await read(endpoint, "s3://training/data/claims.csv", "bob/shop")
    with pytest.raises(Invalid, match="S3_BUCKETS"):
        await read(endpoint, "s3://other/data/claims.csv")
    assert await read(endpoint, "s3://open/data/claims.csv", "bob/shop") == CONTENT


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://training/none.csv", "is not there"),
        ("s3://training/forbidden", "may not be read"),
        ("http://training/x", "not of the form"),
        ("s3:///x", "not of the form"),
        ("s3://training", "not of the form"),
        ("s3://training/x?versionId=1", "not of the form"),
    ],
)
async def test_what_can_not_be_read_says_why(endpoint: str, uri: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        await read(endpoint, uri)


async def test_trouble_may_pass(endpoint: str) -> None:
    with pytest.raises(Transient):
        await read(endpoint, "s3://training/broken")


async def test_a_platform_without_buckets_says_so() -> None:
    with pytest.raises(Invalid, match="S3_ENDPOINT"):
        await read("", "s3://training/x")


def test_an_address_has_a_bucket_and_a_key() -> None:
    assert place("s3://training/a/b.csv") == ("training", "a/b.csv")

"""Where a registry tells us to go on: for content, and for the rest of a list."""

from __future__ import annotations

import msgspec
import pytest
from aiohttp import web

from shared import image
from shared.errors import Permanent
from shared.registry import Damaged, Registries
from tests.shared.registry.made import (
    QUICK,
    opened,
)
from tests.shared.registry.scripted import (
    BLOB,
    LAYER,
    Uploads,
    list_tags,
    mount,
    name,
    refer,
    remove,
    scripted,
)

ELSEWHERE = [
    "http://127.0.0.1:1/x",
    "http://registry.example/x",
    "https://10.0.0.1/x",
    "https://169.254.169.254/latest",
    "https://[fd00::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://[64:ff9b::a00:1]/x",
    "https://100.64.0.1/x",
    "https://2130706433/x",
    "https://localhost/x",
    "https://user:password@127.0.0.1/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1/x",
    "",
    "http://[",
]


@pytest.mark.parametrize("location", ELSEWHERE)
async def test_a_registry_can_not_send_us_into_the_network_that_we_run_in(
    hasty: Registries, location: str
) -> None:
    async def sent_on(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": location})

    async with scripted(sent_on) as server:
        with pytest.raises(Permanent):
            await hasty.read(server.reference, BLOB)
        assert len(server.asked) == 1
    uploads = Uploads()
    uploads.location = location
    async with scripted(uploads.answer) as server:
        with pytest.raises(Permanent):
            await hasty.push_blob(server.reference, BLOB, opened(LAYER))
        assert not [asked for asked in server.asked if asked.startswith("PUT")]


async def test_content_may_be_elsewhere_in_the_registry(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/storage/x":
            return web.Response(body=LAYER)
        return web.Response(status=307, headers={"Location": "/storage/x?sig=a%2Fb"})

    async with scripted(answer) as server:
        assert await hasty.read(server.reference, BLOB) == LAYER
        assert server.requests[1].raw_path == "/storage/x?sig=a%2Fb"


async def test_a_circle_is_left(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": request.path + "x"})

    async with scripted(answer) as server:
        with pytest.raises(Permanent, match="without end"):
            await hasty.read(server.reference, BLOB)
        assert len(server.asked) < 8


async def test_only_content_is_fetched_elsewhere(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/there"})

    async with scripted(answer) as server:
        for call in (mount, name, remove):
            with pytest.raises(Permanent):
                await call(hasty, server.reference)
        assert {line for line in server.asked if "/there" in line} <= {"GET /there"}


async def test_a_place_that_should_speak_tls_and_does_not_is_refused(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=307, headers={"Location": f"https://{request.headers['Host']}/x"}
        )

    async with scripted(answer) as server:
        with pytest.raises(Permanent, match="does not speak TLS"):
            await hasty.read(server.reference, BLOB)


EMPTY_INDEX = msgspec.json.encode(
    image.Index(schema_version=2, media_type=image.INDEX_TYPE, manifests=())
)


async def test_lists_without_end_are_left(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        page = int(request.query.get("page", "0")) + 1
        link = {"Link": f'<{request.path}?page={page}>; rel="next"'}
        if "referrers" in request.path:
            return web.Response(body=EMPTY_INDEX, headers=link | {"Content-Type": image.INDEX_TYPE})
        return web.json_response({"tags": [f"tag{page}", "bad tag", "-x"]}, headers=link)

    async with scripted(answer) as server:
        for call in (list_tags, refer):
            with pytest.raises(Damaged, match="no end"):
                await call(hasty, server.reference)
        assert len(server.asked) == 2 * QUICK.pages


@pytest.mark.parametrize(
    "link", ["https://10.0.0.1/x", "http://127.0.0.1:1/x", "//other.example/x", "http://["]
)
async def test_the_rest_of_a_list_is_at_the_same_registry(hasty: Registries, link: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"tags": ["1"]}, headers={"Link": f'<{link}>; rel="next"'})

    async with scripted(answer) as server:
        with pytest.raises(Damaged, match="elsewhere"):
            await hasty.tags(server.reference)


async def test_tags_come_in_pages_and_those_that_are_none_are_left_out(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "last" in request.query:
            return web.json_response({"tags": ["b", "../c", "d e", "f\n"]})
        link = {"Link": '</v2/team/app/tags/list?n=1000&last=a>; rel="next"'}
        return web.json_response({"tags": ["a"]}, headers=link)

    async with scripted(answer) as server:
        assert await hasty.tags(server.reference) == ("a", "b")

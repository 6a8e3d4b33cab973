"""How often a registry is asked: what everybody waits for on every build."""

from __future__ import annotations

import msgspec
from aiohttp import web

from shared import image
from shared.registry import Registries
from tests.shared.registry.made import blob_of, manifest_of, opened
from tests.shared.registry.scripted import manifest_answer, scripted

LAYER = b"layer" * 100
BODY = msgspec.json.encode(manifest_of(LAYER))


class Kind:
    """A registry that has what was pushed before, and takes the rest."""

    def __init__(self) -> None:
        self.has: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        digest = request.query.get("digest") or request.query.get("mount")
        if request.method == "PUT":
            self.has.add(digest or "")
            return web.Response(
                status=201, headers={"Docker-Content-Digest": digest or blob_of(BODY).digest}
            )
        if request.method == "POST":
            status = 201 if request.query.get("from") else 202
            return web.Response(status=status, headers={"Location": "/v2/team/app/blobs/uploads/1"})
        if "/blobs/" in request.path:
            has = request.path.split("/")[-1] in self.has
            return web.Response(status=200 if has else 404, headers={"Content-Length": "500"})
        return manifest_answer(BODY)


async def test_nothing_is_asked_that_need_not_be(hasty: Registries) -> None:
    async with scripted(Kind().answer) as server:

        async def asked(*expected: str) -> None:
            found = [line.replace("/v2/team/app/", "") for line in server.asked]
            assert found == list(expected)
            server.asked.clear()

        layer = blob_of(LAYER)
        await hasty.push_blob(server.reference, layer, opened(LAYER))
        await asked(f"HEAD blobs/{layer.digest}", "POST blobs/uploads/", "PUT blobs/uploads/1")
        await hasty.push_blob(server.reference, layer, opened(LAYER))
        await asked(f"HEAD blobs/{layer.digest}")
        await hasty.push_blob(server.reference, layer, opened(LAYER), mount_from="team/base")
        await asked("POST blobs/uploads/")
        await hasty.push_manifest(server.reference, BODY, image.MANIFEST_TYPE, "1")
        await asked("PUT manifests/1")
        await hasty.resolve(server.reference)
        await asked("GET manifests/1")
        assert len(server.peers) == 1

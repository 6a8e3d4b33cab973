"""`slipway test`: one request through the router."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.client.conftest import ROUTE
from tests.client.fake import Fake
from tests.client.harness import Run, deployed


async def echo(request: web.Request) -> web.Response:
    if request.content_type == "multipart/form-data":
        parts = await request.post()
        told = {
            name: part.file.read().decode() if isinstance(part, web.FileField) else part
            for name, part in parts.items()
        }
        return web.json_response({"form": told})
    if request.path.endswith("/text"):
        return web.Response(text="plain words", status=503)
    if request.path.endswith("/bytes"):
        return web.Response(body=b"\x00\xff", content_type="application/octet-stream")
    text = await request.text()
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "body": text,
            "token": request.headers.get("Authorization"),
        }
    )


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_an_endpoint_is_tried_through_the_router(
    run: Run, fake: Fake, code: Path, tmp_path: Path
) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    async with TestServer(app) as router:
        fake.router = str(router.make_url("")).rstrip("/")
        await deployed(run, code, "--version", "v1")
        await fake.run("v0")
        await run("alias", "set", "iris-model", "production", "v1")
        await run("endpoint", "create", "churn", "--path", code, "--route", json.dumps(ROUTE))
        (churn,) = (job for job in fake.jobs.values() if job["name"] == "churn")
        await fake.run(churn["version"])
        picture = tmp_path / "cat.jpg"
        picture.write_text("meow")

        plain_get = await run("test", "iris-model/v1/predict", "--query", "top=3")
        assert plain_get.err.startswith("200 OK  ")
        said = json.loads(plain_get.out)
        assert said["path"] == "/admin/default/iris-model/v1/predict?top=3"
        assert said["token"] is None  # ours stays here
        by_alias = await run("test", "iris-model/production/predict", "--json", "--path", "/x")
        assert by_alias.json["body"]["path"] == "/admin/default/iris-model/production/predict/x"
        form = await run(
            "test", "iris-model/v1/predict", "--file", f"image={picture}", "--field", "top=3"
        )
        assert json.loads(form.out) == {"form": {"image": "meow", "top": "3"}}
        typed = await run("test", "churn", "--field", "x=1", "--field", "label=1", "--json")
        assert typed.json["body"]["path"] == f"/endpoints/{churn['id']}/predict"
        assert json.loads(typed.json["body"]["body"]) == {"x": 1, "label": "1"}
        assert (await run("test", "churn", "--field", "x=one")).code == 2
        text = await run("test", "iris-model/v1/predict", "--path", "/text")
        assert (text.code, text.out) == (1, "plain words")
        raw = await run("test", "iris-model/v1/predict", "--path", "/bytes", "--json")
        assert raw.json["body"] == {"base64": "AP8="}
        missing = await run("test", "iris-model/v1/other")
        assert (missing.code, "it has: predict" in missing.err) == (1, True)
        no_file = await run("test", "iris-model/v1/predict", "--file", "image=nothing.jpg")
        assert (no_file.code, "cannot read nothing.jpg" in no_file.err) == (2, True)
    gone = await run("test", "iris-model/v1/predict")
    assert (gone.code, "is the router up?" in gone.err) == (1, True)

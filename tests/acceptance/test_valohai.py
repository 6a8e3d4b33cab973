"""Deployments as Valohai's users know them, end to end."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from slipway import Failed, SlipwayError

SEED_GREETER = """\
- endpoint:
    name: greet-me
    description: Responds with a big hello!
    image: python:3.6
    port: 8000
    server-command: python -m wsgiref.simple_server
"""

SEED_SERVER = """\
- endpoint:
    name: server-endpoint
    image: python:3.6
    port: 1453
    server-command: python run_server.py
    files:
      - name: model
        description: Model output file from TensorFlow
        path: model.pb
"""

SEED_WSGI = """\
- endpoint:
    name: wsgi-endpoint
    description: predict digits from image inputs
    image: tensorflow/tensorflow:1.3.0-py3
    wsgi: predict_wsgi:predict_wsgi
    files:
      - name: model
        description: Model output file from TensorFlow
        path: model.pb
"""

RUN_SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = "|".join([open("model.pb").read(), self.path, self.headers.get("X-VH-Prefix", "-"),
            os.environ["VH_DEFAULT_PREFIX"], os.getcwd(), str(os.path.exists("valohai-metadata.json"))])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())
http.server.HTTPServer(("0.0.0.0", 1453), Handler).serve_forever()
"""

PREDICT = """
model = open("model.pb").read()
def predict_wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [model.encode(), environ["wsgi.input"].read()]
"""


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def source(tmp_path):
    def write(config, **files):
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        (folder / "valohai.yaml").write_text(config)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    return write


@pytest.fixture
def model(tmp_path):
    def write(text):
        path = tmp_path / f"{uuid.uuid4().hex}.pb"
        path.write_text(text)
        return path

    return write


async def test_a_one_request_server_answers_again_and_again(slipway, http, source):
    version = await slipway.deploy(source(SEED_GREETER), deployment=unique("greeter"), wait=True)
    for _ in range(4):
        async with http.get(version.urls["greet-me"] + "/") as answer:
            assert (answer.status, "Hello world!" in await answer.text()) == (200, True)


async def test_a_server_command_gets_its_file_the_whole_path_and_its_prefixes(
    slipway, http, source, model
):
    deployment = unique("server")
    version = await slipway.deploy(
        source(SEED_SERVER, run_server=RUN_SERVER),
        deployment=deployment,
        files={"server-endpoint": {"model": model("weights")}},
        alias="production",
    )
    by_version = f"/local/default/{deployment}/{version.name}/server-endpoint"
    by_alias = f"/local/default/{deployment}/production/server-endpoint"
    base = version.urls["server-endpoint"].removesuffix(by_version)
    for prefix in (by_version, by_alias):
        async with http.get(f"{base}{prefix}/a%2Fb?q=1") as answer:
            said = (await answer.text()).split("|")
        assert said == [
            "weights",
            f"{prefix}/a%2Fb?q=1",
            prefix,
            by_version,
            "/valohai/code",
            "True",
        ]


async def test_a_wsgi_callable_is_served_and_versions_live_side_by_side(
    slipway, http, source, model
):
    deployment, code = unique("wsgi"), source(SEED_WSGI, predict_wsgi=PREDICT)
    first, second = [
        await slipway.deploy(
            code, deployment=deployment, files={"wsgi-endpoint": {"model": model(text)}}, wait=True
        )
        for text in ("one", "two")
    ]
    assert first.name != second.name
    for version, text in ((first, "one"), (second, "two")):
        async with http.post(version.urls["wsgi-endpoint"], data=b"!") as answer:
            assert await answer.text() == f"{text}!"


async def test_an_alias_moves_and_rolls_back_without_a_failed_request(slipway, http, source, model):
    deployment, code = unique("alias"), source(SEED_WSGI, predict_wsgi=PREDICT)
    first, second = [
        await slipway.deploy(
            code, deployment=deployment, files={"wsgi-endpoint": {"model": model(text)}}, wait=True
        )
        for text in ("one", "two")
    ]
    alias = await slipway.set_alias(deployment, "production", first.name)
    url, seen, over = alias.urls["wsgi-endpoint"], [], asyncio.Event()

    async def call_until_over():
        while not over.is_set():
            async with http.get(url) as answer:
                seen.append((answer.status, await answer.text()))

    async def until(text):
        async with asyncio.timeout(10):
            while not seen or seen[-1] != (200, text):
                await asyncio.sleep(0.01)

    callers = [asyncio.create_task(call_until_over()) for _ in range(3)]
    await until("one")
    seen.clear()  # a moment ago the alias was new
    await slipway.set_alias(deployment, "production", second.name)
    await until("two")
    back = await slipway.rollback_alias(deployment, "production")
    await until("one")
    over.set()
    await asyncio.gather(*callers)
    assert back.version == first.name
    assert [move.version for move in back.history] == [first.name, second.name, first.name]
    assert {status for status, _ in seen} == {200}


async def test_an_alias_is_not_moved_to_what_does_not_run(slipway, source, model):
    deployment, code = unique("guard"), source(SEED_WSGI, predict_wsgi=PREDICT)
    version = await slipway.deploy(
        code, deployment=deployment, files={"wsgi-endpoint": {"model": model("x")}}, wait=True
    )
    job = version.jobs["wsgi-endpoint"]
    await slipway.stop(job)
    await slipway.wait_for_job(job, "stopped", timeout=30)
    with pytest.raises(SlipwayError, match="wsgi-endpoint: its job is stopped"):
        await slipway.set_alias(deployment, "production", version.name)


async def test_the_same_inputs_are_the_same_image(slipway, source, model):
    deployment, code = unique("digest"), source(SEED_WSGI, predict_wsgi=PREDICT)
    files = {"wsgi-endpoint": {"model": model("same")}}
    first, second = [
        await slipway.deploy(code, deployment=deployment, files=files, wait=True) for _ in range(2)
    ]
    assert first.images == second.images
    other = await slipway.deploy(
        code, deployment=deployment, files={"wsgi-endpoint": {"model": model("else")}}, wait=True
    )
    assert other.images != first.images


async def test_the_version_says_what_became_of_its_base_image(slipway, platform, source):
    version = await slipway.deploy(source(SEED_GREETER), deployment=unique("base"), wait=True)
    if platform.environ.get("TARGET", "process") != "process":  # which has no images
        assert version.record["greet-me"]["base"]["name"] == "python:3.6"
        assert "/python@sha256:" in version.record["greet-me"]["base"]["reference"]
    else:
        assert any("python:3.6" in note for note in version.notes)


async def test_an_install_that_fails_names_the_line_that_matters(slipway, source):
    folder = source(SEED_GREETER)
    (folder / "requirements.txt").write_text("slipway-no-such-package==9.9.9\n")
    with pytest.raises(Failed, match="slipway-no-such-package"):
        await slipway.deploy(folder, deployment=unique("broken"), wait=True, timeout=120)


async def test_a_wsgi_module_that_is_not_there_fails_the_job_with_that_reason(
    slipway, source, model
):
    with pytest.raises(Failed, match=r"there is no file predict_wsgi\.py"):
        await slipway.deploy(
            source(SEED_WSGI),
            deployment=unique("nowhere"),
            files={"wsgi-endpoint": {"model": model("x")}},
            wait=True,
            timeout=60,
        )

"""Endpoints as proxiML's users know them: GPUs, routes, and the whole life of a job.

What stands in quotes is a sentence of their guide; more of them are in test_life.py.
"""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest

from slipway import Failed, SlipwayError

PREDICT = """
import os, time, pathlib
print("model loaded", flush=True)
def add(a, b): return {"sum": a + b}
def subtract(from_, what): return {"left": from_ - what}
def types(s, i, f, b, l, d): return [type(each).__name__ for each in (s, i, f, b, l, d)]
def greet(name, loud=False): return {"said": name.upper() if loud else name}
def slow(seconds): time.sleep(seconds); return "done"
def where(): return {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "cwd": os.getcwd()}
def remember(text):
    path = pathlib.Path("memory.txt")
    before = path.read_text() if path.exists() else ""
    path.write_text(text)
    return {"before": before}
"""


def route(function, *body, positional=True):
    parameters = [dict(zip(("name", "type"), item.split(":"), strict=True)) for item in body]
    return {
        "path": f"/{function}",
        "verb": "POST",
        "file": "predict",
        "function": function,
        "positional": positional,
        "body": parameters,
    }


ROUTES = [
    route("add", "a:int", "b:float"),
    {**route("subtract", "from_:int", "what:int"), "file": "predict.py"},
    route("types", "s:str", "i:int", "f:float", "b:bool", "l:list", "d:dict", positional=False),
    route("greet", "name:str", "loud:bool", positional=False),
    route("slow", "seconds:float"),
    route("where"),
    route("remember", "text:str"),
]


@pytest.fixture
def code(tmp_path):
    (tmp_path / "predict.py").write_text(PREDICT)
    return tmp_path


@pytest.fixture
def create(slipway, code):
    async def submit(**options):
        options = {"routes": ROUTES, "gpu_type": "cpu", **options}
        return await slipway.create_endpoint(f"e-{uuid.uuid4().hex[:8]}", code, **options)

    return submit


@pytest.fixture
def post(http):
    async def send(job, path, body):
        async with http.post(job.url + path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    return send


async def test_routes_direct_requests_to_model_code(slipway, create, post, http):
    """ "Routes allow you to direct HTTP requests to your model code." A call for each sentence."""
    job = await slipway.wait_for_job((await create()).id, timeout=60)
    # "Keep POST as the HTTP Verb and specify /predict as the Path."
    assert (await post(job, "/add", {"a": 1, "b": 2}))[0] == 200
    async with http.get(job.url + "/add") as answer:
        assert answer.status == 405
    # "Specify the file within the model code to use as the File Name (e.g. predict.py) and the
    # method to call as the Function Name (e.g. predict_file)."
    assert await post(job, "/subtract", {"from_": 5, "what": 3}) == (200, {"left": 2})
    # "If the function is expecting positional arguments, ensure the Function Uses Positional
    # Arguments box is checked. Ensure that the parameters are ordered within the template based on
    # the order they should be supplied to the function."
    assert await post(job, "/subtract", {"what": 3, "from_": 5}) == (200, {"left": 2})
    # "If the function expects keyword arguments, the parameter name of the request body must match
    # the argument name of the function."
    assert await post(job, "/greet", {"loud": True, "name": "x"}) == (200, {"said": "X"})
    # "Specify the expected Data Type for each parameter."
    typed = {"s": "a", "i": 1, "f": 1.5, "b": True, "l": [1], "d": {"a": 1}}
    assert await post(job, "/types", typed) == (
        200,
        ["str", "int", "float", "bool", "list", "dict"],
    )


MISMATCHES = [
    ({"a": 1}, {"b"}),
    ({"a": 1, "b": 2, "c": 3}, {"c"}),  # one that no argument takes
    ({"a": "1", "b": 2}, {"a"}),
    ({"a": 1.5, "c": 3}, {"a", "b", "c"}),
]


async def test_a_request_that_does_not_match_the_template_is_rejected(slipway, create, post):
    """ "These parameters must exactly match the arguments the specified function is expecting. If a
    request's body does not match the template, the request will be rejected."
    """
    job = await slipway.wait_for_job((await create()).id, timeout=60)
    for sent, wrong in MISMATCHES:
        status, body = await post(job, "/add", sent)
        assert status == 422, sent
        told = {tuple(each["loc"]) for each in body["detail"]}
        assert told == {("body", name) for name in wrong}, sent


async def test_a_job_waits_for_its_gpus_says_why_and_starts_when_another_stops(
    slipway, create, post, gpus
):
    job = await create(gpu_type=gpus.type, gpu_count=gpus.count)
    first = await slipway.wait_for_job(job.id, timeout=60)
    assert (await post(first, "/where", {}))[1] == {"gpus": gpus.visible, "cwd": "/opt/ml/models"}
    second = await create(gpu_type=gpus.type)
    other = await create(gpu_type=gpus.other)
    await slipway.wait_for_job(other.id, timeout=60)
    second = await slipway.wait_for_job(second.id, "queued", timeout=60)
    async with asyncio.timeout(10):
        while gpus.type not in second.reason:
            second = await slipway.job(second.id)
            await asyncio.sleep(0.05)
    assert second.state == "queued"
    await slipway.stop(first.id)
    second = await slipway.wait_for_job(second.id, timeout=60)
    assert len(second.gpus) == 1
    stopped = await slipway.job(first.id)
    assert (stopped.state, stopped.gpus, stopped.url) == ("stopped", [], None)


async def test_a_cpu_job_sees_no_gpu(slipway, create, post):
    job = await slipway.wait_for_job((await create()).id, timeout=60)
    assert (await post(job, "/where", {}))[1]["gpus"] == ""


async def test_a_restart_begins_from_the_original_image(slipway, create, post):
    job = await slipway.wait_for_job((await create()).id, timeout=60)
    assert (await post(job, "/remember", {"text": "one"}))[1] == {"before": ""}
    assert (await post(job, "/remember", {"text": "two"}))[1] == {"before": "one"}
    await slipway.stop(job.id)
    await slipway.wait_for_job(job.id, "stopped", timeout=30)
    await slipway.restart(job.id)
    again = await slipway.wait_for_job(job.id, timeout=60)
    assert again.attempt == 2
    assert (await post(again, "/remember", {"text": "three"}))[1] == {"before": ""}


async def test_overload_is_503_with_retry_after_and_ping_still_answers(slipway, create, http, post):
    job = await slipway.wait_for_job((await create(concurrency=1, waiting=1)).id, timeout=60)
    calls = [asyncio.create_task(post(job, "/slow", {"seconds": 0.5})) for _ in range(6)]
    await asyncio.sleep(0.2)
    async with http.get(job.url + "/ping") as answer:
        assert (answer.status, await answer.json()) == (200, {"message": "pong"})
    async with http.post(job.url + "/slow", json={"seconds": 0}) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await answer.json(content_type=None))["type"].endswith("overloaded")
    told = [status for status, _ in await asyncio.gather(*calls)]
    assert sorted(set(told)) == [200, 503]


async def test_a_stopped_job_has_no_route_and_can_be_terminated(slipway, create, http):
    job = await slipway.wait_for_job((await create()).id, timeout=60)
    with pytest.raises(SlipwayError, match="stop"):
        await slipway.terminate(job.id)
    await slipway.stop(job.id)
    await slipway.stop(job.id)
    await slipway.wait_for_job(job.id, "stopped", timeout=30)
    async with asyncio.timeout(10), http.get(job.url + "/ping") as answer:
        assert answer.status in (404, 503)
    assert (await slipway.terminate(job.id)).state == "terminated"
    with pytest.raises(SlipwayError):
        await slipway.restart(job.id)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"file": "nowhere"}, "there is no file nowhere.py"),
        ({"function": "nothing"}, "predict.py has no function nothing"),
    ],
)
async def test_a_route_that_names_nothing_fails_the_start_and_can_only_be_terminated(
    slipway, create, broken, reason
):
    job = await create(routes=[{**ROUTES[0], **broken}])
    with pytest.raises(Failed, match=reason.replace(".", r"\.")):
        await slipway.wait_for_job(job.id, timeout=60)
    failed = await slipway.job(job.id)
    assert (failed.restarts, failed.gpus) == (0, [])
    with pytest.raises(SlipwayError, match="terminated"):
        await slipway.restart(job.id)
    assert (await slipway.terminate(job.id)).state == "terminated"


async def test_a_crash_loop_fails_with_the_last_lines(slipway, create):
    job = await create(routes=None, start_command="echo no such luck; exit 3")
    with pytest.raises(Failed, match="no such luck"):
        await slipway.wait_for_job(job.id, "failed-is-an-error", timeout=90)


async def test_a_start_command_on_port_80_streams_what_it_sends(slipway, create, http, code):
    (code / "stream.py").write_text(
        "import http.server, time\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.send_header('Content-Type', 'text/event-stream')\n"
        "        self.end_headers()\n"
        "        for n in range(3):\n"
        "            self.wfile.write(f'data: {n}\\n\\n'.encode()); self.wfile.flush(); time.sleep(0.3)\n"
        "http.server.ThreadingHTTPServer(('0.0.0.0', 80), H).serve_forever()\n"
    )
    job = await create(routes=None, start_command="python stream.py")
    job = await slipway.wait_for_job(job.id, timeout=60)
    loop, came = asyncio.get_running_loop(), []
    async with http.get(job.url + "/") as answer:
        async for line in answer.content:
            if line.startswith(b"data"):
                came.append(loop.time())
    assert len(came) == 3
    assert came[-1] - came[0] > 0.4  # one by one, not all at the end


async def test_logs_are_kept_newest_first_and_followed(slipway, create, post):
    job = await slipway.wait_for_job((await create()).id, timeout=60)
    async with asyncio.timeout(10):
        while not (lines := await slipway.logs(job.id)):
            await asyncio.sleep(0.1)
        async for line in slipway.follow_logs(job.id):
            if line.text == "model loaded":
                break
    assert [line.line for line in lines] == sorted((line.line for line in lines), reverse=True)


async def test_a_review_tells_what_would_happen_and_submits_nothing(slipway, code):
    options = {"routes": ROUTES, "gpu_type": "rtx3090"}
    fine = await slipway.review_endpoint("r", code, gpu_count=2, **options)
    assert (fine.ok, fine.would_queue, fine.price_per_hour) == (True, False, 1.0)
    broken = await slipway.review_endpoint("r", code, gpu_count=5, **options)
    assert not broken.ok
    assert [wrong.field for wrong in broken.errors] == ["resources.gpu_count"]
    assert not await slipway.jobs(name="r")


async def test_every_change_is_an_event(slipway, create):
    job = await create()
    await slipway.wait_for_job(job.id, timeout=60)
    await slipway.stop(job.id)
    await slipway.wait_for_job(job.id, "stopped", timeout=30)
    told = []
    async with asyncio.timeout(20):
        async for event in slipway.follow_events():
            if event.subject == job.id:
                told.append(event.type)
            if event.type == "slipway.job.stopped.v1" and event.subject == job.id:
                break
    moves = ["submitted", "building", "queued", "placed", "started", "stopping", "stopped"]
    assert told == [f"slipway.job.{move}.v1" for move in moves]
    assert json.dumps(told)

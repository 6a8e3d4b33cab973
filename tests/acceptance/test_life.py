"""The life of an endpoint as proxiML's users know it, sentence by sentence of their guide.

What its routes are called with is in test_proximl.py. Here each test quotes what it holds the platform to, on
this machine's processes and in containers. What the guide says of forms, cards and buttons is done by calls.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest

from slipway import Failed, SlipwayError
from tests.acceptance.remains import Remains
from tests.beds.git import Repository, git_server

pytestmark = pytest.mark.parametrize(
    "platform", ["distributed", "container"], indirect=True, scope="module"
)

PREDICT = """
import os, pathlib, time
print("model loaded", flush=True)
def predict(name, times): return {"said": [name] * times}
def slow(seconds): time.sleep(seconds); return "done"
def say(text): print(text, flush=True); return text
def spoil(text):
    pathlib.Path("left.txt").write_text(text)
    pathlib.Path("predict.py").write_text("this is no python")
    return sorted(os.listdir())
def files(): return sorted(os.listdir())
def write(name): pathlib.Path(name).write_text(name)
"""


def route(function, *body):
    parameters = [dict(zip(("name", "type"), item.split(":"), strict=True)) for item in body]
    named = {"path": f"/{function}", "verb": "POST", "file": "predict.py", "function": function}
    return {**named, "positional": True, "body": parameters}


ROUTES = [
    route("predict", "name:str", "times:int"),
    route("slow", "seconds:float"),
    route("say", "text:str"),
    route("spoil", "text:str"),
    route("files"),
    route("write", "name:str"),
]
PROJECT = "local/default"
TOO_MUCH = 503


@pytest.fixture
def code(tmp_path):
    (tmp_path / "predict.py").write_text(PREDICT)
    return tmp_path


@pytest.fixture
def create(slipway, code):
    """Submits an endpoint of its own, and waits for it unless told otherwise."""

    async def submit(wait=True, **options):
        options = {"routes": ROUTES, "gpu_type": "cpu", **options}
        name = options.pop("name", f"life-{uuid.uuid4().hex[:8]}")
        job = await slipway.create_endpoint(name, code, **options)
        return await slipway.wait_for_job(job.id, timeout=60) if wait else job

    return submit


@pytest.fixture
def post(http):
    async def send(job, path, **body):
        async with http.post(job.url + path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    return send


@pytest.fixture
def ask(http, platform):
    """The API, as anybody may use it."""

    async def send(method, path, body=None):
        headers = {"Authorization": f"Bearer {platform.token}"}
        url = f"{platform.api_url}/v1{path}"
        async with http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    return send


async def stop(slipway, job):
    await slipway.stop(job.id)
    return await slipway.wait_for_job(job.id, "stopped", timeout=30)


async def test_a_name_identifies_one_endpoint(slipway, create):
    """Enter a name that will uniquely identify this endpoint for you."""
    job = await create(wait=False)
    with pytest.raises(SlipwayError, match="job of that name") as taken:
        await create(wait=False, name=job.name)
    assert taken.value.status == 409
    assert (await slipway.find_job(job.name)).id == job.id


async def test_a_maximum_of_4_gpus_per_endpoint_is_allowed(slipway, create, code):
    """Select the type of GPU you would like to use by clicking an available GPU card. Select how
    many GPUs you want attached to the endpoint in the GPU Count field. A maximum of 4 GPUs per
    endpoint is allowed. If any options in these fields are disabled, there are not enough GPUs of
    that type available to satisfy your request."""

    async def available():
        return {each.type: (each.free, each.total) for each in await slipway.gpus()}

    before = await available()
    assert before["v100"] == (4, 4)
    job = await create(gpu_type="v100", gpu_count=4)
    assert (len(job.gpus), job.gpu_types, job.gpu_count) == (4, ["v100"], 4)
    assert await available() == {**before, "v100": (0, 4)}
    review = await slipway.review_endpoint("life", code, routes=ROUTES, gpu_type="v100")
    assert (review.ok, review.would_queue) == (True, True)
    for count, told in ((5, "1 to 4"), (3, "at most 2")):
        with pytest.raises(SlipwayError, match=told) as refused:
            await create(gpu_type="rtx3090", gpu_count=count)
        assert [wrong.field for wrong in refused.value.errors] == ["resources.gpu_count"]


async def test_the_allocation_of_disk_can_not_be_changed_once_it_is_created(slipway, create, ask):
    """Specify the amount of disk space you want allocated for this endpoint's working directory in
    the Disk Size field. Be sure to allocate enough space to run the endpoint, as this allocation cannot be changed
    once it is created."""
    with pytest.raises(SlipwayError, match="disk"):
        await create(disk=0)
    job = await create(wait=False, disk=12)
    for method in ("PATCH", "PUT"):
        status, _ = await ask(method, f"/jobs/{job.id}", {"resources": {"disk_size": 20}})
        assert status == 405
    with pytest.raises(SlipwayError) as taken:
        await create(name=job.name, disk=20)
    assert taken.value.status == 409
    assert (job.disk_size, (await slipway.job(job.id)).disk_size) == (12, 12)


async def test_a_model_comes_from_the_clone_url_of_a_git_repository(slipway, ask, post, tmp_path):
    """Otherwise, select Git and specify the git clone URL of the repository. Specify the file
    within the model code to use as the File Name and the method to call as the Function Name."""
    repository = Repository(tmp_path / "repositories" / "model.git")
    repository.files({"predict.py": PREDICT})
    name = f"life-{uuid.uuid4().hex[:8]}"
    wanted = {"name": name, "resources": {"gpu_types": ["cpu"]}, "endpoint": {"routes": ROUTES}}
    async with git_server(tmp_path / "repositories") as url:
        model = {"source_type": "git", "source_uri": f"{url}/model.git"}
        status, made = await ask(
            "POST", f"/projects/{PROJECT}/endpoints", {**wanted, "model": model}
        )
    assert status == 201, made
    job = await slipway.wait_for_job(made["id"], timeout=60)
    assert await post(job, "/predict", name="a", times=2) == (200, {"said": ["a", "a"]})


async def test_a_model_that_proximl_stores_is_refused_and_named(ask):
    """If you created a proxiML model in the previous step, select proxiML as the Model Type and
    select it from the list. (It is not on this platform: docs/api.md says what to do instead.)"""
    model = {"source_type": "proximl", "source_uri": str(uuid.uuid4())}
    wanted = {"name": "life", "model": model, "endpoint": {"routes": ROUTES}}
    wanted["resources"] = {"gpu_types": ["cpu"]}
    status, said = await ask("POST", f"/projects/{PROJECT}/endpoints", wanted)
    assert (status, [wrong["field"] for wrong in said["errors"]]) == (422, ["model.source_type"])


async def test_you_are_given_the_opportunity_to_review_your_configuration_for_errors(slipway, code):
    """Once you click Next on the job form, you are given the opportunity to review your endpoint
    configuration for errors."""
    wrong = [{**ROUTES[0], "path": "predict", "body": [{"name": "name", "type": "string?"}]}]
    review = await slipway.review_endpoint("life", code, routes=wrong, gpu_type="rtx9999")
    assert not review.ok
    assert {each.field for each in review.errors} == {
        "resources.gpu_types",
        "endpoint.routes[0].path",
        "endpoint.routes[0].body[0].type",
    }
    assert not await slipway.jobs(name="life")


async def test_settings_can_not_be_changed_once_a_job_is_started(slipway, create, ask, post):
    """Review these settings carefully. They cannot be changed once a job is started."""
    job = await create()
    status, _ = await ask("PATCH", f"/jobs/{job.id}", {"endpoint": {"routes": []}})
    assert status == 405
    await stop(slipway, job)
    status, said = await ask("POST", f"/jobs/{job.id}/restart", {"gpu_count": 2})
    assert (status, [wrong["field"] for wrong in said["errors"]]) == (422, ["gpu_count"])
    assert (await slipway.job(job.id)).state == "stopped"


async def test_the_review_says_that_the_job_will_queue_and_it_waits_free_of_charge(
    slipway, create, code, gpus
):
    """If the number of GPUs requested exceeds the current available GPUs of that type, you will
    receive a message on the review form stating that job will queue until GPUs become available.
    When this occurs, the job will wait until GPUs of the type you selected become available. You
    are not billed for waiting jobs."""
    holder = await create(gpu_type=gpus.type, gpu_count=gpus.count)
    asked = {"routes": ROUTES, "gpu_type": gpus.type}
    review = await slipway.review_endpoint("life", code, **asked)
    assert (review.ok, review.would_queue) == (True, True)
    assert "This job will queue until GPUs become available." in review.message
    assert "Waiting jobs are not billed" in review.message
    waiting = await create(wait=False, gpu_type=gpus.type)
    waiting = await slipway.wait_for_job(waiting.id, "queued", timeout=60)
    assert (waiting.gpus, waiting.price_per_hour) == ([], 0)
    assert waiting.status == "waiting for resources"
    await stop(slipway, holder)
    started = await slipway.wait_for_job(waiting.id, timeout=60)
    used = await slipway.usage(job=started.id)
    events = [event async for event in _events_of(slipway, started.id, until="started")]
    placed = next(event for event in events if event.type == "slipway.job.placed.v1")
    held = float(used.gpu_seconds)
    assert 0 < held <= (used.until - placed.time).total_seconds() + 1, "nothing for the waiting"
    assert (len(started.gpus), started.price_per_hour) == (1, 0.5)


async def _events_of(slipway, job, until):
    async with asyncio.timeout(20):
        async for event in slipway.follow_events():
            if event.subject == job:
                yield event
                if event.type == f"slipway.job.{until}.v1":
                    return


async def test_the_dashboard_indicates_running_and_connect_shows_the_url_and_an_example(
    slipway, create, http, code
):
    """Once the endpoint successfully starts, the dashboard should indicate that the endpoint is in
    the running state. Click the Connect button to view public URL of the endpoint as well as an
    example command to query one of it's routes. To view detailed information about the endpoint,
    click on the endpoint name from the Endpoint dashboard."""
    job = await create()
    (shown,) = await slipway.jobs(state="running", name=job.name)
    found = await slipway.find_job(job.name)
    assert (shown.id, found.id, found.state, found.attempt) == (job.id, job.id, "running", 1)
    assert (shown.status, found.status) == ("running", "running")
    connection = await slipway.connection(job.id)
    assert connection.url == found.url
    curl, *words = shlex.split(connection.example)
    said = dict(zip(words[::2], words[1::2], strict=True)) if len(words) % 2 == 0 else {}
    url = next(word for word in words if word.startswith("http"))
    body = json.loads(words[words.index("-d") + 1])
    assert (curl, "-X" in said or "POST" in words) == ("curl", True)
    assert url == f"{connection.url}/predict"
    async with http.post(url, json=body) as answer:
        assert (answer.status, await answer.json()) == (200, {"said": ["text"]})


async def test_log_messages_are_most_recent_on_top_new_ones_appear_and_older_ones_are_below(
    slipway, create, post, ask
):
    """Log messages are sorted in descending order (most recent on top) and new log messages appear
    automatically as they are generated. If there are many log messages, you can scroll down on the
    page to see older logs."""
    job = await create()
    said = [f"line {number}" for number in range(8)]
    async with asyncio.timeout(30):
        following = slipway.follow_logs(job.id)
        for text in said:
            assert (await post(job, "/say", text=text))[0] == 200
            async for line in following:  # each while it is the newest
                if line.text == text:
                    break
        await following.aclose()
    found, after = [], ""
    while True:
        status, page = await ask("GET", f"/jobs/{job.id}/logs?limit=3&after={after}")
        assert status == 200
        found += [line["text"] for line in page["items"]]
        if (after := page["next"]) is None:
            break
    told = [text for text in found if text.startswith("line")]
    assert told == said[::-1]
    assert found.index("model loaded") > found.index("line 0")


async def test_an_overloaded_endpoint_returns_503_and_who_backs_off_gets_through(create, post):
    """If the endpoint begins to be overloaded, it will return HTTP 503 errors. If you are calling
    the endpoint programmatically, be sure to look for this error response and retry the request
    using a backoff algorithm."""
    job = await create(concurrency=1, waiting=0)
    told = []

    async def call(number):
        pause = 0.05
        while True:
            status, _ = await post(job, "/slow", seconds=0.2)
            told.append(status)
            if status != TOO_MUCH:
                return status
            await asyncio.sleep(pause * (1 + number / 10))
            pause = min(pause * 2, 1.0)

    async with asyncio.timeout(60):
        assert await asyncio.gather(*map(call, range(4))) == [200] * 4
    assert TOO_MUCH in told


async def test_all_endpoints_return_200_to_get_requests_on_ping_also_while_they_shed_load(
    create, post, http
):
    """All endpoints are configured to return an HTTP 200 response to GET requests on the route
    /ping. This route can be used for endpoint healthchecks."""
    job = await create(concurrency=1, waiting=0)
    calls = [asyncio.create_task(post(job, "/slow", seconds=2)) for _ in range(3)]
    done, inside = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    assert {call.result()[0] for call in done} == {TOO_MUCH}
    async with http.get(job.url + "/ping") as answer:
        assert (answer.status, await answer.json()) == (200, {"message": "pong"})
    assert inside, "the one that is let in has not ended yet"
    assert sorted([(await call)[0] for call in calls]) == [200, TOO_MUCH, TOO_MUCH]


async def test_stopping_it_stops_billing_and_takes_its_url_away(slipway, create, http, gpus):
    """When you are done actively using the endpoint, you can stop it by clicking Stop from the
    proxiML dashboard. This will stop billing."""
    job = await create(gpu_type=gpus.type)
    running = await slipway.usage(job=job.id)
    assert running.gpu_seconds > 0
    stopped = await stop(slipway, job)
    assert (stopped.gpus, stopped.price_per_hour, stopped.url) == ([], 0, None)
    async with asyncio.timeout(10):
        while True:
            async with http.get(job.url + "/ping") as answer:
                if answer.status != 200:
                    break
    used = await slipway.usage(job=job.id)
    again = await slipway.usage(job=job.id)
    assert used.gpu_seconds > running.gpu_seconds
    assert (again.gpu_seconds, again.amount) == (used.gpu_seconds, used.amount)
    assert float(used.amount) == pytest.approx(float(used.gpu_seconds) * 0.5 / 3600, rel=0.01)


async def test_a_restart_starts_from_the_same_environment_and_code_and_keeps_no_changes(
    slipway, create, post
):
    """Endpoints will always start from the same source environment and model code when they were
    originally created. Any temporary files or changes to the environment that may have occurred
    during a previous endpoint run will not be preserved."""
    job = await create()
    before = (await post(job, "/files"))[1]
    assert "left.txt" in (await post(job, "/spoil", text="mine"))[1]
    await stop(slipway, job)
    await slipway.restart(job.id)
    again = await slipway.wait_for_job(job.id, timeout=60)
    assert (again.attempt, again.url) == (2, job.url)
    assert (await post(again, "/files"))[1] == before
    assert (await post(again, "/predict", name="a", times=2))[1] == {"said": ["a", "a"]}


async def later(platform, job, days):
    """As if so much time had passed for a job, by the one clock that counts."""
    connection = await asyncpg.connect(platform.environ["DATABASE_URL"])
    try:
        await connection.execute(
            "UPDATE jobs SET changed_at = changed_at - $2::interval, purge_at = purge_at - $2,"
            " purge_told_at = purge_told_at - $2 WHERE id = $1",
            job.id,
            timedelta(days=days),
        )
    finally:
        await connection.close()


async def test_stopped_endpoints_are_purged_after_two_weeks_of_non_use_and_told_before(
    slipway, create, platform
):
    """Stopped endpoints may be automatically purged after two weeks of non-use."""
    job = await stop(slipway, await create())
    async with asyncio.timeout(30):
        while (found := await slipway.job(job.id)).purge_at is None:
            await asyncio.sleep(0.2)
    assert abs(found.purge_at - found.changed_at - timedelta(days=14)) < timedelta(minutes=1)
    await later(platform, job, 12)
    events = [event async for event in _events_of(slipway, job.id, until="warned")]
    warned = events[-1].data
    assert warned["what"] == "purge"
    due = (await slipway.job(job.id)).purge_at
    assert datetime.fromisoformat(warned["at"]) == due
    await later(platform, job, 4)
    events = [event async for event in _events_of(slipway, job.id, until="purged")]
    assert [event.type.split(".")[2] for event in events][-3:] == ["stopped", "warned", "purged"]
    with pytest.raises(SlipwayError) as refused:
        await slipway.restart(job.id)
    assert refused.value.status == 409
    assert await slipway.logs(job.id) == []


async def test_terminating_it_purges_its_environment_and_all_its_data(
    slipway, create, post, platform, code
):
    """If you are finished with an endpoint, click the Terminate button. This will purge the
    endpoint's environment and all its data."""
    mark = uuid.uuid4().hex
    (code / f"{mark}.txt").write_text(mark)
    job = await create()
    assert (await post(job, "/write", name=f"{mark}.written"))[0] == 200
    remains = await Remains.of(platform, job, mark)
    assert remains.blobs() == list(remains.digests)
    assert remains.files() or await remains.containers(), "it has to be seen where it is"
    assert await remains.in_registry() == bool(remains.repository)
    with pytest.raises(SlipwayError, match="stop it first"):
        await slipway.terminate(job.id)
    await stop(slipway, job)
    async with asyncio.timeout(30):
        while not await slipway.logs(job.id):
            await asyncio.sleep(0.1)
    ended = await slipway.terminate(job.id)
    assert (ended.state, ended.status) == ("terminated", "removed")
    await remains.age()
    async with asyncio.timeout(60):
        while await slipway.logs(job.id) or remains.blobs() or await remains.in_registry():
            await asyncio.sleep(0.5)
    assert (remains.files(), await remains.containers()) == ([], [])
    with pytest.raises(SlipwayError, match="terminated"):
        await slipway.restart(job.id)
    again = await create(wait=False, name=job.name)
    assert again.id != job.id, "its name is free again"


async def test_if_an_endpoint_fails_it_cannot_be_restarted_only_terminated(slipway, create):
    """If an endpoint fails, it cannot be restarted, only terminated."""
    job = await create(wait=False, routes=[{**ROUTES[0], "function": "nothing"}])
    with pytest.raises(Failed, match="has no function nothing"):
        await slipway.wait_for_job(job.id, timeout=60)
    for refused in (slipway.restart, slipway.stop):
        with pytest.raises(SlipwayError, match="only be terminated") as told:
            await refused(job.id)
        assert told.value.status == 409
    assert (await slipway.terminate(job.id)).state == "terminated"

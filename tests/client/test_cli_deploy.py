"""`slipway deploy` and `slipway endpoint create`, as people and scripts see them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from slipway.calls.jobs import endpoint
from tests.client.conftest import ROUTE, Platform
from tests.client.fake import Fake
from tests.client.harness import Run, until


async def test_deploy_prints_the_urls_and_where_to_look(run: Run, code: Path) -> None:
    ran = await run("deploy", code, "--deployment", "iris", "--version", "v1", "--env", "A=b=c")
    assert ran.code == 0
    assert ran.out.startswith("predict  http://127.0.0.1:1/")
    assert ran.out.endswith("/default/iris/v1/predict\n")
    assert "slipway version iris v1" in ran.err


async def test_deploy_as_json_prints_the_version_and_nothing_else(run: Run, code: Path) -> None:
    ran = await run("deploy", code, "--json")
    assert (ran.json["state"], ran.json["deployment"], ran.err) == ("building", "iris-model", "")


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_deploy_with_an_alias_waits_for_all_of_it(run: Run, fake: Fake, code: Path) -> None:
    going = asyncio.create_task(run("deploy", code, "--alias", "production", "--version", "v1"))
    await until(lambda: bool(fake.versions))
    await fake.print("v0", "collecting \x1b[31mflask\x1b[0m")
    await fake.queue("v0", "all GPUs are held")
    (job,) = fake.jobs.values()
    seen = len(fake.requests)
    await until(lambda: any(job["id"] in r.path for r in fake.requests[seen:]))
    await fake.run("v0")
    ran = await going
    assert ran.code == 0
    assert "  collecting flask\n" in ran.err
    assert "is queued: all GPUs are held" in ran.err
    assert "alias production → v1" in ran.err
    assert ran.out == "predict  http://127.0.0.1:1/admin/default/iris-model/v1/predict\n"


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_a_failed_build_exits_with_1_and_the_lines_that_matter(
    run: Run, fake: Fake, code: Path
) -> None:
    going = asyncio.create_task(run("deploy", code, "--wait"))
    await until(lambda: bool(fake.versions))
    await fake.print("v0", "collecting flaks", "ERROR: no such package: flaks")
    await fake.fail("v0", "no such package: flaks")
    ran = await going
    assert (ran.code, ran.out) == (1, "")
    assert "  ERROR: no such package: flaks\n" in ran.err
    assert "error: the build of iris-model/20261121.0 failed: no such package: flaks" in ran.err
    assert "slipway build-log iris-model" in ran.err


async def test_an_endpoint_is_created_reviewed_and_shown(
    run: Run, code: Path, tmp_path: Path
) -> None:
    routes = tmp_path / "endpoint.json"
    routes.write_text(json.dumps({"routes": [ROUTE]}))
    reviewed = await run(
        "endpoint", "create", "churn", "--path", code, "--file", routes, "--review"
    )
    assert (reviewed.code, reviewed.out.startswith("This job will start")) == (0, True)
    ask = ("endpoint", "create", "churn", "--path", code, "--disk", "12")
    made = await run(*ask, "--route", json.dumps(ROUTE))
    assert made.code == 0
    assert "name     churn\n" in made.out
    assert "\ndisk     12 GiB\n" in made.out
    again = await run("job", "churn", "--json")
    assert (again.json["name"], again.json["disk_size"]) == ("churn", 12)
    assert f"\nstatus   {again.json['status']}\n" in made.out
    refused = await run("endpoint", "create", "x", "--path", code, "--start-command", "x", "--gpu-type", "cpu", "--gpu-count", "5", "--review")  # fmt: skip
    assert refused.code == 1
    assert "resources.gpu_count: " in refused.out


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_an_endpoint_that_cannot_be_built_shows_its_build_and_where_to_look(
    run: Run, fake: Fake, code: Path
) -> None:
    ask = ("endpoint", "create", "web", "--path", code, "--start-command", "./serve", "--wait")
    going = asyncio.create_task(run(*ask))
    await until(lambda: bool(fake.jobs))
    (job,) = fake.jobs.values()
    await fake.print(job["version"], "E: no package figlt", "failed: install: no package figlt")
    await until(lambda: any("build/logs" in r.path for r in fake.requests))
    await fake.fail(job["version"], "install: no package figlt")
    ran = await going
    assert (ran.code, ran.out) == (1, "")
    assert "  E: no package figlt\n" in ran.err
    assert f"is failed: install: no package figlt\nsee `slipway build-log {job['id']}`" in ran.err


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_a_whole_job_document_is_taken_and_options_go_on_top(
    run: Run, fake: Fake, code: Path, tmp_path: Path
) -> None:
    asked = {
        "name": "other",
        "type": "endpoint",
        "resources": {"gpu_types": ["rtx3090"], "gpu_count": 2, "disk_size": 10},
        "endpoint": {"routes": [ROUTE]},
        "environment": {"env": [{"key": "A", "value": "1"}], "packages": {"pip": ["numpy"]}},
    }
    file = tmp_path / "endpoint.json"
    file.write_text(json.dumps(asked))
    ran = await run("endpoint", "create", "x", "--path", code, "--file", file, "--env", "B=2")
    assert ran.code == 0
    (job,) = fake.jobs.values()
    assert (job["name"], job["gpu_types"], job["gpu_count"]) == ("x", ["rtx3090"], 2)
    file.write_text('"routes"')
    ran = await run("endpoint", "create", "x", "--path", code, "--file", file)
    assert (ran.code, "neither a list of routes nor" in ran.err) == (2, True)


def test_options_are_added_to_a_document_not_put_in_its_place() -> None:
    written = {"environment": {"env": [{"key": "A", "value": "1"}], "packages": {"pip": ["numpy"]}}}
    made = endpoint(
        "x", "", {"document": written, "environment": {"B": "2"}, "packages": ["scipy"]}
    )
    assert made["environment"] == {
        "env": [{"key": "A", "value": "1"}, {"key": "B", "value": "2"}],
        "packages": {"pip": ["numpy", "scipy"]},
    }
    assert made["resources"] == {"gpu_types": ["cpu"]}


def test_an_image_takes_the_place_of_a_named_environment() -> None:
    named = {"type": "DEEPLEARNING_PY310", "packages": {"apt": ["jq"], "conda": ["blas"]}}
    options = {"document": {"environment": named}, "image": "python:3.11", "apt_packages": ["tini"]}
    assert endpoint("x", "", options)["environment"] == {
        "type": "CUSTOM",
        "custom_image": "python:3.11",
        "packages": {"apt": ["jq", "tini"], "conda": ["blas"]},
    }


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_what_is_said_of_serving_holds_for_every_endpoint(
    run: Run, fake: Fake, code: Path
) -> None:
    for said in (["--strip-prefix", "--concurrency", "4"], []):
        assert (await run("deploy", code, *said)).code == 0
    assert [made["serving"] for made in fake.versions.values()] == [
        {"*": {"concurrency": 4, "strip_prefix": True}},
        None,
    ]


async def test_a_wait_that_was_too_short_says_where_to_look(
    run: Run, platform: Platform, code: Path
) -> None:
    ran = await run("deploy", code, "--version", "v1", "--wait", "--timeout", "1")
    assert (ran.code, "not running within 1 s" in ran.err) == (1, True)
    assert "it still may be: see `slipway build-log iris-model v1`" in ran.err

"""Models, applications, servables and configurations on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway import AsyncClient
from tests.client.conftest import Platform
from tests.client.fake import Fake
from tests.client.harness import Run

RESOURCES = """
kind: Model
name: double
runtime: hydrosphere/serving-runtime-python-3.7:2.4.0
payload: [src]
metadata: {author: ada}
contract:
  inputs:
    x: {shape: [-1, 3], type: double, profile: numerical}
  outputs:
    y: {shape: scalar, type: int64}
---
kind: DeploymentConfiguration
name: small
container: {env: {LEVEL: debug}}
---
kind: Application
name: doubled
singular: {model: "double:1"}
"""


@pytest.fixture
async def applied(run: Run, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/func_main.py").write_text("")
    (tmp_path / "all.yaml").write_text(RESOURCES)
    ran = await run("apply", "-f", tmp_path, "--no-wait")
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("applied")
async def test_models_and_their_versions_are_shown(run: Run, platform: Platform) -> None:
    assert (await run("models")).out.splitlines()[1].split()[:3] == ["double", "1", "building"]
    await platform.break_down("double", "1", "no wheel")
    versions = (await run("model", "double")).out.splitlines()
    assert versions[0].split() == ["VERSION", "STATE", "CREATED", "REASON"]
    assert versions[1].startswith("1 ")
    assert versions[1].endswith("no wheel")
    for words in (("double:1",), ("double", "--version", "1")):
        shown = (await run("model", *words)).out
        assert "name       double:1\n" in shown
        assert "reason     no wheel\n" in shown
        assert "runtime    hydrosphere/serving-runtime-python-3.7:2.4.0\n" in shown
    assert (await run("model", "double:1", "--json")).json["status"] == "Failed"
    missing = await run("model", "nothing")
    assert (missing.code, missing.out) == (1, "")


@pytest.mark.usefixtures("applied")
async def test_the_log_of_a_build_is_shown(run: Run, platform: Platform) -> None:
    id = (await run("model", "double:1", "--json")).json["id"]
    await platform.print(id, "collecting numpy", "built")
    for words in ((), ("--version", "1")):
        ran = await run("model", "double", "--logs", *words)
        assert ran.out == "collecting numpy\nbuilt\n"
    await platform.release("double", "1")
    assert (await run("model", "double:1", "--logs", "-f")).out == "collecting numpy\nbuilt\n"


@pytest.mark.usefixtures("applied")
async def test_a_model_without_training_data_or_traffic_says_so(run: Run) -> None:
    ran = await run("model", "double", "--profile")
    assert ran.code == 0
    assert "there is no training data to compare with\n" in ran.err
    assert "no traffic of double:1 is known so far\n" in ran.err


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_what_has_drifted_is_shown_by_field(run: Run, fake: Fake) -> None:
    numbers = {"kind": "numerical", "rows": 200, "mean": 3.5, "deviation": 1.25}
    far = {"metric": "psi", "value": 0.41, "threshold": 0.25, "drifted": True}
    near = {"metric": "ks", "value": 0.05, "threshold": 0.2, "drifted": False}
    kinds = [
        {"kind": "categorical", "rows": 3, "distinct": 2},
        {"kind": "text", "rows": 4, "length": {"kind": "numerical", "rows": 4, "mean": 12.0}},
        {"kind": "image", "rows": 5, "brightness": {"kind": "numerical", "rows": 5}},
    ]
    fake.models.profiles["vdouble1"] = {
        "training": {"state": "ready", "rows": 200, "notes": ["no column is named z"]},
        "drifted": True,
        "fields": [
            {"field": "inputs.x", "training": numbers, "traffic": numbers, "distances": [far, near]},
            *({"field": f"inputs.{n}", "training": kind, "traffic": None, "distances": []} for n, kind in enumerate(kinds)),
        ],
    }  # fmt: skip
    ran = await run("model", "double:1", "--profile")
    shown = [[cell for cell in line.split("  ") if cell] for line in ran.out.splitlines()]
    told = "200 rows, mean 3.5 ± 1.25"
    assert shown[1] == ["inputs.x", told, told, "psi 0.41 > 0.25 drifted, ks 0.05"]
    assert [" ".join(line[1:]) for line in shown[2:]] == [
        "3 rows, 2 values",
        "4 rows, length 12",
        "5 rows",
    ]
    assert "training data: 200 rows\n  note: no column is named z\n" in ran.err
    assert "double:1 has drifted\n" in ran.err
    for state, said in (("waiting", "still to be read"), ("failed", "can't be read: no csv")):
        told = {"state": state, "reason": "no csv"}
        fake.models.profiles["vdouble1"]["training"] = told
        assert said in (await run("model", "double:1", "--profile")).err


@pytest.mark.usefixtures("applied")
async def test_applications_are_shown_and_removed(run: Run, platform: Platform) -> None:
    listed = (await run("applications")).out.splitlines()[1].split()
    assert listed[:3] == ["doubled", "assembling", "double:1"]
    await platform.release("double", "1")
    await platform.settle("doubled")
    shown = (await run("application", "doubled")).out
    assert "state     ready\n" in shown
    assert "url       http://127.0.0.1:1/gateway/application/doubled\n" in shown
    assert "stage 1   100 % double:1 double-1-" in shown
    removed = await run("application", "rm", "doubled")
    assert (removed.code, removed.out) == (0, "doubled is removed\n")
    assert (await run("application", "doubled")).code == 1
    assert (await run("application", "rm", "doubled")).code == 1
    assert (await run("application", "doubled", "twice")).code == 2
    assert (await run("applications", "--json")).json == []


@pytest.mark.usefixtures("applied")
async def test_a_version_is_served_on_its_own(run: Run, platform: Platform) -> None:
    await platform.release("double", "1")
    made = await run("servable", "create", "double:1", "--json")
    assert made.json["name"].startswith("double-1-")
    listed = (await run("servables")).out
    assert made.json["name"] in listed
    assert "double:1" in listed
    wrong = await run("servable", "create", "double:7")
    assert (wrong.code, "model: " in wrong.err) == (1, True)


@pytest.mark.usefixtures("applied")
async def test_configurations_are_listed_and_removed(run: Run, platform: Platform) -> None:
    assert (await run("configurations")).out.splitlines()[1].startswith("small ")
    shown = (await run("configuration", "small")).out
    assert '"LEVEL": "debug"' in shown
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        assert (await client.configuration("small")).document["name"] == "small"
        await client.remove_configuration("small")
        assert await client.configurations() == []


@pytest.mark.usefixtures("applied")
async def test_a_configuration_is_removed_by_name(run: Run, platform: Platform) -> None:
    removed = await run("configuration", "rm", "small")
    assert (removed.code, removed.out) == (0, "small is removed\n")
    assert (await run("configurations", "--json")).json == []
    gone = await run("configuration", "rm", "small")
    assert (gone.code, gone.out) == (1, "")
    assert (await run("configuration", "small", "twice")).code == 2


@pytest.mark.usefixtures("applied")
async def test_who_asks_for_the_job_of_an_application_is_told_its_jobs(run: Run) -> None:
    for words in (("why", "doubled"), ("logs", "doubled")):
        ran = await run(*words)
        assert ran.code == 1
        assert "doubled is an application\nits jobs are: double-1-" in ran.err


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_where_there_is_nothing_it_says_how_to_begin(run: Run, fake: Fake) -> None:
    for words in ("models", "applications", "configurations"):
        ran = await run(words)
        assert (ran.code, "`slipway apply -f FILE` makes some" in ran.err) == (0, True)
    assert "no servables" in (await run("servables")).err

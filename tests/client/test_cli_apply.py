"""`slipway apply`, as people and scripts see it."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from slipway import AsyncClient, BadDocument, Failed, SlipwayError
from tests.client.conftest import Platform
from tests.client.fake import Fake
from tests.client.harness import Run, until

MODEL = """
kind: Model
name: {name}
runtime: hydrosphere/serving-runtime-python-3.7:2.4.0
payload: [src/, requirements.txt]
contract:
  name: infer
  inputs: {{x: {{shape: scalar, type: int64}}}}
  outputs: {{x: {{shape: scalar, type: int64}}}}
"""
APPLICATION = """
kind: Application
name: claims
pipeline:
  - - model: preprocessing:1
  - - {model: claims-model:1, weight: 80}
    - {model: claims-model:1, weight: 20}
"""


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """A folder with two models and an application of them."""
    folder = tmp_path / "claims"
    (folder / "src").mkdir(parents=True)
    (folder / "src/func_main.py").write_text("def infer(x):\n    return {'x': x}\n")
    (folder / "requirements.txt").write_text("")
    models = "---".join(MODEL.format(name=name) for name in ("preprocessing", "claims-model"))
    (folder / "models.yaml").write_text(models + "training-data: claims.csv\n")
    (folder / "claims.csv").write_text("x\n1\n")
    (folder / "application.yml").write_text(APPLICATION)
    return folder


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


async def test_a_folder_is_applied_in_order_and_again_changes_nothing(
    run: Run, platform: Platform, claims: Path
) -> None:
    dry = await run("apply", "-f", claims, "--dry-run")
    assert dry.code == 0
    assert rows(dry.out) == [
        ["KIND", "NAME", "VERSION", "ACTION", "SOURCE"],
        ["Application", "claims", "1", "create", f"{claims}/application.yml#1"],
        ["Model", "preprocessing", "1", "create", f"{claims}/models.yaml#1"],
        ["Model", "claims-model", "1", "create", f"{claims}/models.yaml#2"],
    ]
    assert "nothing was changed" in dry.err
    assert (await run("models", "--json")).json == []
    going = await run("apply", "-f", claims, "--no-wait", "--json")
    assert [change["action"] for change in going.json["changes"]] == ["create"] * 3
    for model in ("preprocessing", "claims-model"):
        await platform.release(model, "1")
    await platform.settle("claims")
    again = await run("apply", "-f", claims / "models.yaml", "-f", claims / "application.yml")
    assert again.code == 0
    assert [row[3] for row in rows(again.out)[1:4]] == ["unchanged"] * 3
    assert again.out.splitlines()[-1] == "claims  http://127.0.0.1:1/gateway/application/claims"
    (claims / "src/func_main.py").write_text("def infer(x):\n    return {'x': x + 1}\n")
    changed = await run("apply", "-f", claims, "--dry-run", "--json")
    assert [(c["action"], c["version"]) for c in changed.json["changes"]] == [
        ("unchanged", "1"),
        ("update", "2"),
        ("update", "2"),
    ]


async def test_all_that_the_platform_finds_wrong_is_told_with_file_path_and_line(
    run: Run, claims: Path
) -> None:
    wrong = APPLICATION.replace("20}", "30}")
    (claims / "application.yml").write_text(f"---\n# nothing\n---{wrong}")
    (claims / "models.yaml").write_text(MODEL.format(name="a").replace("runtime: ", "rantime: "))
    ran = await run("apply", "-f", claims)
    assert (ran.code, ran.out) == (1, "")
    said = f"  {claims}/application.yml#2: pipeline[1]: Sum of weights must equal 100. Current sum: 110 (line 8)\n"
    assert said in ran.err
    assert f"  {claims}/models.yaml#1: runtime: is missing; " in ran.err


async def test_what_is_wrong_here_is_told_before_anything_is_sent(
    run: Run, platform: Platform, claims: Path
) -> None:
    (claims / "models.yaml").write_text(MODEL.format(name="a").replace("src/", "sources/"))
    ran = await run("apply", "-f", claims, "-f", claims / "none.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert f"  {claims}/none.yaml: cannot be read: No such file or directory\n" in ran.err
    ran = await run("apply", "-f", claims)
    assert ran.code == 2
    assert f"  {claims}/models.yaml#1: payload[0]: nothing is at sources/ (line 5)\n" in ran.err
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        with pytest.raises(BadDocument) as caught:
            await client.apply(claims)
    assert [wrong.field for wrong in caught.value.errors] == [f"{claims}/models.yaml#1: payload[0]"]


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_files_go_as_archives_that_are_sent_once(run: Run, fake: Fake, claims: Path) -> None:
    for _ in range(2):
        assert (await run("apply", "-f", claims, "--no-wait")).code == 0
    sent = [r for r in fake.requests if r.method == "POST" and r.path.endswith("/uploads")]
    assert len(sent) == 2  # one archive for both models, and the training data
    (_, one, two) = fake.models.asked[0]["documents"]
    assert (one["payload"], one["training"]) == (two["payload"], None)
    assert fake.uploads[two["training"]] == b"x\n1\n"
    with tarfile.open(fileobj=io.BytesIO(fake.uploads[one["payload"]])) as archive:
        assert archive.getnames() == ["requirements.txt", "src/func_main.py"]


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_waiting_shows_builds_and_ends_when_all_is_ready(
    run: Run, fake: Fake, claims: Path
) -> None:
    going = asyncio.create_task(run("apply", "-f", claims))
    await until(lambda: bool(fake.models.applications))
    await fake.print("vpreprocessing1", "collecting \x1b[31mnumpy\x1b[0m")
    await until(lambda: any("preprocessing/versions/1/logs" in r.path for r in fake.requests))
    await fake.release("preprocessing", "1")
    await fake.release("claims-model", "1")
    await until(lambda: any(r.path.endswith("/applications/claims") for r in fake.requests))
    await fake.settle("claims")
    ran = await going
    assert ran.code == 0
    assert "  preprocessing:1 | collecting numpy\n" in ran.err
    assert "claims-model:1 is released\n" in ran.err
    assert "claims is assembling\nclaims is ready\n" in ran.err
    assert ran.out.endswith("claims  http://127.0.0.1:1/gateway/application/claims\n")


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_waiting_shows_at_once_why_a_servable_does_not_serve(
    run: Run, fake: Fake, claims: Path
) -> None:
    going = asyncio.create_task(run("apply", "-f", claims))
    await until(lambda: bool(fake.models.applications))
    await fake.hold("claims", "NOT_SERVING: no module named 'numpi'")
    await fake.release("preprocessing", "1")
    await fake.release("claims-model", "1")
    await until(lambda: any(r.path.endswith("/applications/claims") for r in fake.requests))
    await fake.settle("claims")
    ran = await going
    said = "claims is assembling: preprocessing:1: NOT_SERVING: no module named 'numpi'\n"
    assert f"{said}claims is ready\n" in ran.err


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_every_build_that_failed_is_told_with_its_log(
    run: Run, fake: Fake, claims: Path
) -> None:
    going = asyncio.create_task(run("apply", "-f", claims))
    await until(lambda: len(fake.models.versions) == 2)
    await fake.print("vclaims-model1", "ERROR: no such package: numpi")
    for model in ("claims-model", "preprocessing"):
        await until(lambda model=model: any(f"{model}/versions/1/logs" in r.path for r in fake.requests))  # fmt: skip
        await fake.break_down(model, "1", "no such package: numpi")
    ran = await going
    assert ran.code == 1
    assert "  claims-model:1 | ERROR: no such package: numpi\n" in ran.err
    assert "the build of claims-model:1 failed: no such package: numpi" in ran.err
    assert "the build of preprocessing:1 failed: no such package: numpi" in ran.err
    assert "slipway model claims-model --version 1 --logs" in ran.err


async def test_a_wait_that_was_too_short_says_where_to_look(
    run: Run, platform: Platform, claims: Path
) -> None:
    ran = await run("apply", "-f", claims / "models.yaml", "--timeout", "1")
    assert (ran.code, "not all of it was ready within 1 s" in ran.err) == (1, True)
    assert "slipway models" in ran.err


async def test_python_applies_waits_and_is_told_why_not(platform: Platform, claims: Path) -> None:
    async with AsyncClient(platform.url, platform.token, platform.project) as client:
        changes = await client.apply(claims / "models.yaml", dry_run=True)
        assert [(c.kind, c.name, c.action) for c in changes] == [
            ("Model", "preprocessing", "create"),
            ("Model", "claims-model", "create"),
        ]
        assert await client.models() == []
        changes = await client.apply(claims / "models.yaml")
        await platform.break_down("claims-model", "1", "no such package")
        await platform.release("preprocessing", "1")
        with pytest.raises(Failed, match="claims-model:1 failed: no such package"):
            await client.wait_for_resources(changes)
        with pytest.raises(SlipwayError) as caught:
            await client.apply(claims / "application.yml")
        (wrong, *_) = caught.value.errors
        assert wrong.field.startswith(f"{claims}/application.yml#1: pipeline[1][0]")


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_too_many_definitions_are_not_sent(run: Run, fake: Fake, tmp_path: Path) -> None:
    one = "---\nkind: DeploymentConfiguration\nname: a{}\n"
    (tmp_path / "a.yaml").write_text("".join(one.format(n) for n in range(101)))
    ran = await run("apply", "-f", tmp_path)
    assert (ran.code, "101 definitions of " in ran.err, fake.requests) == (2, True, [])


async def test_notes_are_shown(run: Run, claims: Path) -> None:
    (claims / "models.yaml").write_text(MODEL.format(name="a") + "colour: red\n")
    ran = await run("apply", "-f", claims / "models.yaml", "--dry-run")
    assert f"note: {claims}/models.yaml#1: colour: is not known and is ignored" in ran.err


async def test_apply_needs_a_file(run: Run, tmp_path: Path) -> None:
    assert (await run("apply")).code == 2
    ran = await run("apply", "-f", tmp_path)
    assert (ran.code, "no resource definition in" in ran.err) == (2, True)
    ran = await run("apply", "-f", "-", "-f", "-")
    assert (ran.code, "standard input can be read once" in ran.err) == (2, True)

"""Models and applications as Hydrosphere's users know them: their definitions, and the gateway."""

from __future__ import annotations

import asyncio
import json
import random
import runpy
import sys
import uuid
from collections import Counter
from pathlib import Path

import grpc
import grpc.aio
import pytest
import yaml

from shared.protos import inference_pb2 as oip
from shared.protos.hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.protos.hydro_serving_grpc.tf.tensor_shape_pb2 import TensorShapeProto
from slipway import SlipwayError
from tests.acceptance.platform import ROOT
from tests.beds import runtimes

CLAIMS = Path(__file__).parents[2] / "examples" / "claims"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
KINDS = ("motor", "home", "travel", "else")
AT_ONCE = 16

NUMBER = {"shape": "scalar", "type": "float64"}


def claim(at: random.Random) -> dict[str, object]:
    return {
        "age": at.randint(18, 90),
        "amount": round(at.lognormvariate(7, 1), 2),
        "days": round(at.expovariate(0.1), 1),
        "kind": at.choice(KINDS),
    }


def answers(given: dict[str, object]) -> list[dict[str, object]]:
    """What each version of the example's model says, by its own code."""
    prepare = runpy.run_path(str(CLAIMS / "preprocessing" / "src" / "func_main.py"))["prepare"]
    profile = prepare(**given)["client_profile"]
    return [
        runpy.run_path(str(CLAIMS / f"model-{n}" / "src" / "func_main.py"))["predict"](profile)
        for n in (1, 2)
    ]


def renamed(name: str, tmp_path: Path, **weights: int) -> Path:
    """The example's application under a name of its own, since names are the platform's."""
    document = yaml.safe_load((CLAIMS / "application.yaml").read_text())
    document["name"] = name
    for variant in document["pipeline"][1]:
        version = variant["model"].partition(":")[2]
        variant["weight"] = weights.get(f"v{version}", variant["weight"])
    path = tmp_path / f"{uuid.uuid4().hex}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


MODELS = [CLAIMS / folder for folder in ("preprocessing", "model-1", "model-2")]


@pytest.fixture
def name():
    return f"app-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def predict(http, platform):
    async def ask(name, body, kind="application"):
        url = f"{platform.router_url}/gateway/{kind}/{name}"
        async with http.post(url, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    return ask


@pytest.fixture
def apply(slipway, platform):
    async def submit(*files, wait=True):
        return await slipway.apply(*files, wait=wait, timeout=120 * platform.patience)

    return submit


async def test_the_claims_example_works_as_written(slipway, apply, predict, name, tmp_path):
    changes = await apply(*MODELS, renamed(name, tmp_path))
    assert [change.kind for change in changes] == ["Model", "Model", "Model", "Application"]
    again = await apply(*MODELS, renamed(name, tmp_path))
    assert {change.action for change in again} == {"unchanged"}
    application = await slipway.application(name)
    assert application.state == "ready"
    given = json.loads((CLAIMS / "sample.json").read_text())
    expected = [pytest.approx(answer["risk"], rel=1e-9) for answer in answers(given)]
    for _ in range(20):
        status, body = await predict(name, given)
        assert status == 200
        assert body["risk"] in expected
        assert body["decision"] in ("pay", "review")
    sample = await slipway.sample_inputs(name)
    assert set(sample) == {"age", "amount", "days", "kind"}
    assert (await predict(name, sample))[0] == 200


async def test_ten_thousand_requests_are_split_as_written(request, apply, predict, name, tmp_path):
    # who chooses is the same everywhere; elsewhere than on the first it has only to be there
    many = 10_000 if "[distributed]" in request.node.name else 1_600
    await apply(*MODELS, renamed(name, tmp_path))
    given = json.loads((CLAIMS / "sample.json").read_text())
    first, second = (answer["risk"] for answer in answers(given))
    told: Counter[int] = Counter()

    async def ask(times):
        for _ in range(times):
            status, body = await predict(name, given)
            assert status == 200, body
            nearer = abs(body["risk"] - first) < abs(body["risk"] - second)
            told[1 if nearer else 2] += 1

    await asyncio.gather(*(ask(many // AT_ONCE) for _ in range(AT_ONCE)))
    assert told.total() == many
    # a binomial with p = 0.2 of 10,000 has a deviation of 40; five of them are one in two million
    assert abs(told[2] - many / 5) < 2 * many**0.5, told


async def test_applying_again_switches_without_a_lost_request(
    slipway, apply, predict, name, tmp_path
):
    await apply(*MODELS, renamed(name, tmp_path, v1=100, v2=0))
    given = json.loads((CLAIMS / "sample.json").read_text())
    first, second = (answer["risk"] for answer in answers(given))
    stop, seen = asyncio.Event(), []

    async def ask():
        while not stop.is_set():
            seen.append(await predict(name, given))

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    try:
        await apply(renamed(name, tmp_path, v1=0, v2=100))
        single = tmp_path / "single.yaml"
        single.write_text(
            f"kind: Application\nname: {name}\nsingular:\n  model: claims-preprocessing:1\n"
        )
        await apply(single)
        async with asyncio.timeout(30):  # until the news of it is where requests are answered
            while "client_profile" not in (await predict(name, given))[1]:
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.gather(*asking)
    assert {status for status, _ in seen} == {200}, [body for status, body in seen if status != 200]
    assert seen[0][1]["risk"] == pytest.approx(first)
    assert any(body.get("risk") == pytest.approx(second) for _, body in seen)
    assert len((await slipway.application(name)).live.stages) == 1


async def test_it_is_asked_over_grpc_too(slipway, platform, apply, name, tmp_path):
    await apply(*MODELS, renamed(name, tmp_path))
    given = claim(random.Random(1))
    tensors = {
        "age": TensorProto(dtype=3, int_val=[given["age"]]),
        "amount": TensorProto(dtype=2, double_val=[given["amount"]]),
        "days": TensorProto(dtype=2, double_val=[given["days"]]),
        "kind": TensorProto(dtype=7, string_val=[given["kind"].encode()]),
    }
    for tensor in tensors.values():
        tensor.tensor_shape.CopyFrom(TensorShapeProto())
    expected = [pytest.approx(answer["risk"]) for answer in answers(given)]
    async with grpc.aio.insecure_channel(platform.grpc) as channel:
        call = channel.unary_unary(
            PREDICT,
            request_serializer=PredictRequest.SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )
        asked = PredictRequest(model_spec=ModelSpec(name=name), inputs=tensors)
        answer = await call(asked, timeout=30)
        assert answer.outputs["risk"].double_val[0] in expected
        servable = next(
            variant.servable for variant in (await slipway.application(name)).live.stages[0]
        )
        asked = PredictRequest(model_spec=ModelSpec(name=servable), inputs=tensors)
        assert len((await call(asked, timeout=30)).outputs["client_profile"].double_val) == 6
        del asked.inputs["age"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(asked, timeout=30)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        inputs = [
            oip.ModelInferRequest.InferInputTensor(
                name="age", datatype="INT32", shape=[], contents={"int_contents": [given["age"]]}
            ),
            oip.ModelInferRequest.InferInputTensor(
                name="amount",
                datatype="FP64",
                shape=[],
                contents={"fp64_contents": [given["amount"]]},
            ),
            oip.ModelInferRequest.InferInputTensor(
                name="days", datatype="FP64", shape=[], contents={"fp64_contents": [given["days"]]}
            ),
            oip.ModelInferRequest.InferInputTensor(
                name="kind",
                datatype="BYTES",
                shape=[],
                contents={"bytes_contents": [given["kind"].encode()]},
            ),
        ]
        told = await infer(oip.ModelInferRequest(model_name=name, inputs=inputs), timeout=30)
        assert {output.name for output in told.outputs} == {"risk", "decision"}


async def test_what_breaks_the_contract_is_the_callers_fault(apply, predict, name, tmp_path):
    await apply(*MODELS, renamed(name, tmp_path))
    given = json.loads((CLAIMS / "sample.json").read_text())
    for wrong, said in [
        ({"age": None}, "age"),
        ({"age": "old"}, "age"),
        ({"amount": [1, 2]}, "amount"),
        ({"kind": 3}, "kind"),
        ({"days": {"x": 1}}, "days"),
    ]:
        status, body = await predict(name, given | wrong)
        assert (status, set(body)) == (400, {"error", "information"}), body
        assert said in body["information"]
    status, body = await predict(name, {key: given[key] for key in given if key != "kind"})
    assert (status, body["information"]) == (400, "Missing 'kind' field")
    assert (await predict(name, given | {"more": 1}))[0] == 200
    assert (await predict(f"{name}-x", given))[0] == 404


FAULTY = """
import os, time
import numpy as np

def predict(mode):
    mode = str(mode)
    if mode == "die":
        os.kill(os.getpid(), 9)
    if mode == "hang":
        time.sleep(1000)
    if mode == "raise":
        raise ValueError("no such claim")
    if mode == "missing":
        return {}
    if mode == "lie":
        return {"y": np.array(["no", "number"])}
    if mode == "huge":
        return {"y": 1.0, "more": np.zeros(300 << 17)}
    return {"y": 1.0}
"""


@pytest.fixture
async def faulty(apply, tmp_path):
    """A model that does what it is told, also the worst."""
    name = f"faulty-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "faulty"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "func_main.py").write_text(FAULTY)
    documents = [
        {
            "kind": "Model",
            "name": name,
            "runtime": "hydrosphere/serving-runtime-python-3.7:2.4.0",
            "payload": ["src"],
            "contract": {
                "name": "predict",
                "inputs": {"mode": {"shape": "scalar", "type": "string"}},
                "outputs": {"y": NUMBER},
            },
        },
        {"kind": "Application", "name": name, "singular": {"model": f"{name}:1"}},
    ]
    (folder / "model.yaml").write_text(yaml.safe_dump_all(documents))
    await apply(folder / "model.yaml")
    return name


async def test_a_model_that_misbehaves_fails_alone(apply, predict, name, faulty, tmp_path):
    await apply(*MODELS, renamed(name, tmp_path))
    given = json.loads((CLAIMS / "sample.json").read_text())
    stop, seen = asyncio.Event(), []

    async def ask():
        while not stop.is_set():
            seen.append((await predict(name, given))[0])
            await asyncio.sleep(0.01)

    asking = asyncio.create_task(ask())
    try:
        assert await predict(faulty, {"mode": "well"}) == (200, {"y": 1.0})
        for mode, statuses, said in [
            ("raise", {500}, "no such claim"),
            ("missing", {500, 502}, "y"),
            ("lie", {500, 502}, ""),
            ("hang", {504}, "DEADLINE_EXCEEDED"),
        ]:
            status, body = await predict(faulty, {"mode": mode})
            assert status in statuses, (mode, status, body)
            assert said in body["information"]
        status, body = await predict(faulty, {"mode": "die"})
        assert status in (500, 502, 503), body
        async with asyncio.timeout(120):
            while (await predict(faulty, {"mode": "well"}))[0] != 200:
                await asyncio.sleep(0.2)
    finally:
        stop.set()
        await asking
    assert set(seen) == {200}
    assert len(seen) > 50


CONFIGURED = """
import os

def predict(x):
    return {"said": os.environ.get("GREETING", "nothing")}
"""


async def test_a_deployment_configuration_says_how_a_model_runs(
    slipway, apply, predict, name, tmp_path
):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "func_main.py").write_text(CONFIGURED)

    def documents(greeting):
        container = {"env": {"GREETING": greeting}, "resources": {"limits": {"memory": "512Mi"}}}
        variant = {"model": f"{name}:1", "weight": 100, "deployment-configuration": name}
        return [
            {"kind": "DeploymentConfiguration", "name": name, "container": container},
            {
                "kind": "Model",
                "name": name,
                "runtime": "hydrosphere/serving-runtime-python-3.7:2.4.0",
                "payload": ["src"],
                "contract": {
                    "name": "predict",
                    "inputs": {"x": NUMBER},
                    "outputs": {"said": {"shape": "scalar", "type": "string"}},
                },
            },
            {"kind": "Application", "name": name, "pipeline": [[variant]]},
        ]

    path = tmp_path / "all.yaml"
    for greeting in ("hello", "goodbye"):
        path.write_text(yaml.safe_dump_all(documents(greeting)))
        await apply(path)
        async with asyncio.timeout(30):
            while await predict(name, {"x": 1.0}) != (200, {"said": greeting}):
                await asyncio.sleep(0.1)
    found = await slipway.configuration(name)
    assert found.name == name


async def test_a_runtime_made_after_the_tutorial_serves_where_images_are_run(
    slipway, platform, apply, predict, name, tmp_path
):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "func_main.py").write_text(runtimes.FUNCTION)
    documents = [
        {
            "kind": "Model",
            "name": name,
            "runtime": f"{runtimes.NAME}:1",
            "payload": ["src"],
            "contract": {"name": "infer", "inputs": {"x": NUMBER}, "outputs": {"y": NUMBER}},
        },
        {"kind": "Application", "name": name, "singular": {"model": f"{name}:1"}},
    ]
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    if not platform.registry:
        with pytest.raises(SlipwayError, match="runs no images of others"):
            await slipway.apply(path)
        return
    pushing = (sys.executable, "-m", "tests.beds.runtimes", platform.registry)
    process = await asyncio.create_subprocess_exec(*pushing, env=platform.environ, cwd=ROOT)
    assert await process.wait() == 0
    await apply(path)
    assert await predict(name, {"x": 41.0}) == (200, {"y": 42.0})


async def test_what_it_is_asked_is_compared_with_what_it_was_trained_on(
    slipway, platform, apply, predict, name, tmp_path
):
    await apply(*MODELS, renamed(name, tmp_path))
    at = random.Random(3)
    for _ in range(300):
        status, _ = await predict(name, claim(at) | {"days": 500.0})
        assert status == 200
    async with asyncio.timeout(60 * platform.patience):
        while True:
            found = await slipway.model_profile("claims-preprocessing", 1)
            told = {field.field: field for field in found.fields}
            days = told.get("inputs.days")
            if days and days.traffic and days.traffic["rows"] >= 100 and days.distances:
                break
            await asyncio.sleep(0.3)
    assert (found.training.state, found.training.rows) == ("ready", 2000)
    assert days.training["mean"] == pytest.approx(9.29, abs=0.01)
    assert found.drifted
    assert {each.metric for each in days.distances if each.drifted} == {"ks", "psi"}
    assert told["outputs.client_profile"].traffic["rows"] >= 600
    events = await slipway.events(limit=100_000)
    facts = [event.data for event in events if "drifted" in event.type]
    assert {("inputs.days", "ks"), ("inputs.days", "psi")} <= {
        (fact["field"], fact["metric"]) for fact in facts
    }


async def test_an_application_that_cannot_be_is_refused_before_anything_changes(
    slipway, name, tmp_path
):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        f"kind: Application\nname: {name}\npipeline:\n  - - model: nobody:1\n"
        "      weight: 60\n    - model: nobody:2\n      weight: 60\n"
    )
    with pytest.raises(SlipwayError) as refused:
        await slipway.apply(path)
    assert "Current sum: 120" in str(refused.value)
    assert name not in [each.name for each in await slipway.applications()]


async def test_an_application_that_is_removed_leaves_nothing_running(
    slipway, platform, apply, predict, name, tmp_path
):
    await apply(*MODELS, renamed(name, tmp_path))
    jobs = {
        variant.job for stage in (await slipway.application(name)).live.stages for variant in stage
    }
    await slipway.remove_application(name)
    async with asyncio.timeout(60 * platform.patience):
        while {(await slipway.job(job)).state for job in jobs} != {"terminated"}:
            await asyncio.sleep(0.1)
    assert (await predict(name, {}))[0] == 404

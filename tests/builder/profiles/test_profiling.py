"""Samples are counted once, training data is read once, and a drift is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.builder.profiles.meter import DriftMeter
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.profiling import Profiling, counted
from shared import ids
from shared.blobs import Blobs
from shared.buckets import Buckets
from shared.contract import Contract, Field
from shared.database.pool import Database
from shared.endpoint import Definition, Endpoint, Model, Training
from shared.events import ModelDrifted
from shared.hydrosphere.contracts import shape_message
from shared.hydrosphere.dtypes import LAYOUTS
from shared.ids import VersionId
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.sample import Taken
from shared.telemetry import Telemetry

CONTRACT = Contract(
    inputs=(
        Field(name="age", dtype="float64", shape=(-1,), profile="numerical"),
        Field(name="plan", dtype="string", shape=(), profile="categorical"),
    ),
    outputs=(Field(name="score", dtype="float32", shape=(), profile="numerical"),),
)


async def version(database: Database, **training: str) -> VersionId:
    made = VersionId(ids.new("v"))
    endpoint = Endpoint(
        name="model",
        format="hydrosphere",
        entry=Model(contract=CONTRACT),
        port=9091,
        readiness="listening",
    )
    definition = Definition(
        source="sha256:" + "0" * 64,
        endpoints=(endpoint,),
        training=Training(**training) if training else None,
    )
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO owners (name) VALUES ('ada') ON CONFLICT DO NOTHING")
        project = await connection.fetchval(
            "INSERT INTO projects (owner, name) VALUES ('ada', $1) RETURNING seq", made
        )
        await connection.execute(
            "INSERT INTO deployments (id, project, name, target, kind) VALUES ($1, $2, 'claims', 'fake', 'model')",
            f"d{made}",
            project,
        )
        await connection.execute(
            "INSERT INTO versions (id, project, deployment, name, state, definition) VALUES ($1, $2, $3, '1', 'ready', $4)",
            made,
            project,
            f"d{made}",
            definition,
        )
    return made


def tensor(name: str, values: Any) -> bytes:
    field = next(each for each in (*CONTRACT.inputs, *CONTRACT.outputs) if each.name == name)
    assert field.dtype is not None
    layout = LAYOUTS[field.dtype]
    shape = () if field.shape == () else (len(values),)
    made = TensorProto(dtype=layout.number, tensor_shape=shape_message(shape))  # type: ignore[arg-type]
    getattr(made, layout.field).extend(values)
    return made.SerializeToString()


def sample(version: VersionId, ages: Any, plan: str = "gold", score: float = 0.5) -> Taken:
    inputs = {"age": tensor("age", ages), "plan": tensor("plan", [plan.encode()])}
    return Taken.of(version, inputs, {"score": tensor("score", [score])})


async def put(database: Database, *samples: Taken) -> None:
    for each in samples:
        await database.execute(
            "INSERT INTO samples (version, body) VALUES ($1, $2)", each.version, each.body
        )


@pytest.fixture
def profiling(database: Database, blobs: Blobs, tmp_path: Path) -> Profiling:
    return Profiling(database, blobs, Buckets(""), tmp_path)


async def summaries(database: Database, version: VersionId, source: str) -> Mapping[str, Any]:
    rows = await database.fetch(
        "SELECT field, summary FROM profiles WHERE version = $1 AND source = $2", version, source
    )
    return {row["field"]: row["summary"] for row in rows}


async def training(blobs: Blobs) -> str:
    random = np.random.default_rng(3)
    rows = [f"{age:.3f},{'gold' if age > 40 else 'iron'}" for age in random.normal(40, 5, 2000)]
    return (await blobs.put_bytes("\n".join(["age,plan", *rows]).encode())).digest


async def test_samples_are_counted_once_and_are_gone(
    database: Database, profiling: Profiling
) -> None:
    made = await version(database)
    await put(database, *(sample(made, [20.0, 30.0], score=n / 4) for n in range(4)))
    assert await profiling.count() is False
    await profiling.count()
    found = await summaries(database, made, "traffic")
    assert found["inputs.age"]["rows"] == 8
    assert found["inputs.age"]["mean"] == 25
    assert found["inputs.plan"]["common"] == {"gold": 4}
    assert found["outputs.score"]["most"] == 0.75
    assert await database.value("SELECT count(*) FROM samples") == 0


async def test_several_builders_count_each_sample_once(
    database: Database, profiling: Profiling
) -> None:
    made = await version(database)
    await put(database, *(sample(made, [float(n)]) for n in range(250)))
    for _ in range(4):
        await asyncio.gather(*(profiling.count() for _ in range(3)))
    found = await summaries(database, made, "traffic")
    assert found["inputs.age"]["rows"] == 250


async def test_what_is_no_sample_is_left_out(database: Database, profiling: Profiling) -> None:
    made = await version(database)
    await put(
        database,
        Taken(made, b"\xff\x00 no sample"),
        Taken.of(made, {"age": b"\xff\xff no tensor", "other": b""}, {}),
        Taken.of(made, {"age": tensor("plan", [b"a text"])}, {}),
        sample(made, [1.0]),
    )
    await profiling.count()
    found = await summaries(database, made, "traffic")
    assert found["inputs.age"]["rows"] == 1


async def odd(database: Database, profiling: Profiling, *samples: Taken) -> Mapping[str, Any]:
    await put(database, *samples)
    await profiling.count()
    assert await database.value("SELECT count(*) FROM samples") == 0
    return await summaries(database, samples[0].version, "traffic")


async def test_no_value_that_strangers_send_stops_the_counting(
    database: Database, profiling: Profiling
) -> None:
    made = await version(database)
    found = await odd(
        database,
        profiling,
        sample(made, [1e-100, 2e-100, -3e-110], "a\0b"),
        sample(made, [1e308, -1e308, float("nan"), float("inf"), 5e-324], "\ud7ff\uffff"),
    )
    assert found["inputs.age"]["rows"] == 4
    assert found["inputs.plan"]["common"] == {"a\ufffdb": 1, "\ud7ff\uffff": 1}


HOSTILE = Contract(
    inputs=(
        Field(name="half", dtype="float16", shape=(-1,), profile="numerical"),
        Field(name="picture", dtype="int32", shape=(-1, -1), profile="image"),
    ),
    outputs=(),
)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("half", TensorProto(dtype=LAYOUTS["float16"].number, half_val=[-1, 1 << 20])),
        (
            "picture",
            TensorProto(
                dtype=LAYOUTS["int32"].number,
                int_val=range(6),
                tensor_shape=shape_message((-2, -3)),
            ),
        ),
    ],
)
def test_tensors_that_lie_are_counted_as_far_as_they_go(name: str, tensor: TensorProto) -> None:
    taken = Taken.of(VersionId("v1"), {name: tensor.SerializeToString()}, {})
    counted(HOSTILE, [taken.body])


def test_fields_in_maps_are_counted_whatever_their_names_are() -> None:
    width = Field(name="width.m", dtype="float64", shape=(), profile="numerical")
    box = Field(name="a.box", fields=(Field(name="inner", fields=(width,)),))
    inner = TensorProto(dtype=27, map_val={"width.m": TensorProto(dtype=2, double_val=[2.5])})
    outer = TensorProto(dtype=27, map_val={"inner": inner}).SerializeToString()
    contract = Contract(inputs=(box,), outputs=())
    body = Taken.of(VersionId("v1"), {"a.box": outer, "a": b"\xff"}, {}).body
    found = counted(contract, [body, body])["inputs.a.box.inner.width.m"]
    assert isinstance(found, Numbers)
    assert (found.rows, found.mean) == (2, 2.5)


async def test_samples_that_cannot_be_counted_are_left_out_and_others_are_not(
    database: Database, profiling: Profiling
) -> None:
    broken, made = await version(database), await version(database)
    await put(database, sample(broken, [1.0]))
    await profiling.count()
    await database.execute("UPDATE profiles SET sketch = '\\x00' WHERE version = $1", broken)
    await odd(database, profiling, sample(broken, [2.0]), sample(made, [3.0]))
    found = await summaries(database, made, "traffic")
    assert found["inputs.age"]["mean"] == 3


async def test_large_samples_are_counted_few_at_a_time(
    database: Database, profiling: Profiling
) -> None:
    made = await version(database)
    await put(database, *(sample(made, [float(n)] * 300_000) for n in range(6)))
    assert await profiling.count() is True
    assert await database.value("SELECT count(*) FROM samples") == 2
    assert await profiling.count() is False
    found = await summaries(database, made, "traffic")
    assert found["inputs.age"]["rows"] == 6 * 300_000


async def test_a_sample_of_an_hour_that_was_over_is_counted_in_that_hour_alone(
    database: Database, profiling: Profiling
) -> None:
    made = await version(database)
    await odd(database, profiling, sample(made, [1.0]))
    await put(database, sample(made, [2.0]))
    await database.execute("UPDATE samples SET at = at - interval '1 hour'")
    await profiling.count()
    rows = await database.fetch(
        "SELECT summary FROM profiles WHERE source = 'traffic' AND field = 'inputs.age' ORDER BY hour"
    )
    assert [row["summary"]["mean"] for row in rows] == [2, 1]


async def test_training_data_that_ends_its_builders_is_given_up(
    database: Database, blobs: Blobs, profiling: Profiling
) -> None:
    made = await version(database, digest=await training(blobs))
    await database.execute(
        "INSERT INTO trainings (version, tries) VALUES ($1, 5)",
        made,
    )
    await profiling.train()
    row = await database.row("SELECT state, reason FROM trainings WHERE version = $1", made)
    assert row is not None
    assert (row["state"], row["reason"]) == (
        "failed",
        "reading it was begun 5 times and never ended",
    )


async def test_training_data_is_read_once(
    database: Database, blobs: Blobs, profiling: Profiling
) -> None:
    made = await version(database, digest=await training(blobs))
    assert await profiling.train() is True
    assert await profiling.train() is False
    row = await database.row("SELECT state, rows, notes FROM trainings WHERE version = $1", made)
    assert row is not None
    assert (row["state"], row["rows"]) == ("ready", 2000)
    assert row["notes"] == ["no column is named score, so nothing is known of outputs.score"]
    found = await summaries(database, made, "training")
    assert found["inputs.age"]["mean"] == pytest.approx(40, abs=1)
    assert set(found) == {"inputs.age", "inputs.plan"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"uri": "s3://bucket/training.csv"}, "this platform reads no buckets"),
        ({"digest": "sha256:" + "1" * 64}, "1111"),
    ],
)
async def test_training_data_that_cannot_be_had_says_so(
    database: Database, profiling: Profiling, given: dict[str, str], said: str
) -> None:
    made = await version(database, **given)
    await profiling.train()
    row = await database.row("SELECT state, reason FROM trainings WHERE version = $1", made)
    assert row is not None
    assert row["state"] == "failed"
    assert said in row["reason"]


async def test_a_drift_is_told_once_and_ends_when_it_is_over(
    database: Database, blobs: Blobs, profiling: Profiling
) -> None:
    made = await version(database, digest=await training(blobs))
    await profiling.train()

    async def told() -> list[tuple[str, str]]:
        rows = await database.fetch(
            "SELECT data FROM events WHERE type = $1 ORDER BY seq", ModelDrifted.type
        )
        return sorted((row["data"]["field"], row["data"]["metric"]) for row in rows)

    random = np.random.default_rng(4)
    await put(database, *(sample(made, random.normal(40, 5, 10), "gold") for _ in range(10)))
    await profiling.count()
    assert ("inputs.age", "ks") not in await told()
    far = [sample(made, random.normal(60, 5, 30), "gold") for _ in range(20)]
    telemetry = Telemetry()
    meter = DriftMeter(database, telemetry)
    for _ in range(2):
        await put(database, *far)
        await profiling.count()
    assert [each for each in await told() if each[0] == "inputs.age"] == [
        ("inputs.age", "ks"),
        ("inputs.age", "psi"),
    ]
    await meter.look()
    labels = {"version": "1", "model": "claims", "field": "inputs.age", "metric": "ks"}
    labels["project"] = f"ada/{made}"
    value = telemetry.registry.get_sample_value
    distance = value("slipway_model_distance", labels)
    assert distance is not None
    assert distance > (value("slipway_model_distance_threshold", labels) or 1)
    await database.execute(
        "UPDATE profiles SET hour = hour - interval '30 hours' WHERE source = 'traffic'"
    )
    await put(database, *(sample(made, random.normal(40, 5, 10)) for _ in range(20)))
    await profiling.count()
    row = await database.row(
        "SELECT drifted FROM drifts WHERE version = $1 AND field = 'inputs.age' AND metric = 'ks'",
        made,
    )
    assert row is not None
    assert row["drifted"] is False

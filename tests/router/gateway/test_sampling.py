"""Some requests are kept, no more than there is room for, and nobody waits for it."""

from __future__ import annotations

import msgspec

from services.router.gateway.sampling import WAIT, Rates, Sampling
from services.router.gateway.targets import Stage, Target, Variant
from shared.contract import Contract, Field
from shared.database.pool import Database
from shared.errors import Transient
from shared.ids import JobId, VersionId
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.sample import Sample
from shared.telemetry import Telemetry
from tests.builder.profiles.test_profiling import version

X = Field(name="x", dtype="float64", shape=(), profile="numerical")
TENSOR = TensorProto(dtype=2, double_val=[1.5])


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Away(Database):
    def __init__(self) -> None:
        self.given: list[tuple[list[str], list[bytes]]] = []
        self.away = False

    async def value(self, query: str, *values: object) -> int:
        if self.away:
            raise Transient("PostgreSQL is away")
        versions, bodies, _ = values
        self.given.append((versions, bodies))  # type: ignore[arg-type]
        return len(versions)  # type: ignore[arg-type]


def target(version: str = "v1", field: Field = X) -> tuple[Target, Variant]:
    contract = Contract(inputs=(field,), outputs=(field,))
    variant = Variant(
        job=JobId("j1"),
        weight=100,
        model="claims",
        version=VersionId(version),
        version_name="1",
        contract=contract,
    )
    made = Target(
        kind="servable",
        name="claims-1-brave-otter",
        id="j1",
        signature="Predict",
        inputs=contract.inputs,
        outputs=contract.outputs,
        stages=(Stage(variants=(variant,), inputs=contract.inputs),),
        version="1",
    )
    return made, variant


def ask(sampling: Sampling, times: int = 1, version: str = "v1", field: Field = X) -> None:
    for _ in range(times):
        sampling(*target(version, field), {"x": TENSOR}, {"x": TENSOR})


def outcomes(telemetry: Telemetry) -> dict[str, float]:
    return {
        name: telemetry.registry.get_sample_value(
            "slipway_gateway_samples_total", {"outcome": name}
        )
        or 0.0
        for name in ("kept", "dropped")
    }


async def test_a_request_is_kept_with_its_answer() -> None:
    database, telemetry = Away(), Telemetry()
    sampling = Sampling(database, telemetry)
    ask(sampling)
    await sampling.hand_over()
    await sampling.hand_over()
    ((versions, bodies),) = database.given
    sample = msgspec.msgpack.decode(bodies[0], type=Sample)
    assert versions == ["v1"]
    assert TensorProto.FromString(sample.inputs["x"]) == TENSOR
    assert TensorProto.FromString(sample.outputs["x"]) == TENSOR
    assert outcomes(telemetry) == {"kept": 1, "dropped": 0}


async def test_each_version_has_its_share_of_a_second() -> None:
    database, clock = Away(), Clock()
    sampling = Sampling(database, Telemetry(), Rates(each=5.0), clock)
    ask(sampling, 100)
    ask(sampling, 3, "v2")
    clock.now += 1
    ask(sampling, 100)
    await sampling.hand_over()
    kept = [version for versions, _ in database.given for version in versions]
    assert (kept.count("v1"), kept.count("v2")) == (15, 3)


async def test_what_is_large_is_dropped_when_there_is_no_room() -> None:
    database, telemetry = Away(), Telemetry()
    sampling = Sampling(database, telemetry, Rates(bytes=100), Clock())
    large = {"x": TensorProto(dtype=2, double_val=[0.0] * 1000)}
    sampling(*target(), large, large)
    ask(sampling)
    await sampling.hand_over()
    assert outcomes(telemetry) == {"kept": 1, "dropped": 1}


async def test_what_nobody_profiles_is_not_kept() -> None:
    database = Away()
    sampling = Sampling(database, Telemetry())
    ask(sampling, field=msgspec.structs.replace(X, profile="none"))
    await sampling.hand_over()
    assert database.given == []


async def test_nothing_is_held_for_a_database_that_is_away() -> None:
    database, telemetry = Away(), Telemetry()
    sampling = Sampling(database, telemetry)
    database.away = True
    ask(sampling, 3)
    await sampling.hand_over()
    database.away = False
    await sampling.hand_over()
    assert database.given == []
    assert outcomes(telemetry) == {"kept": 0, "dropped": 3}


async def test_samples_of_a_version_that_is_gone_go_nowhere(database: Database) -> None:
    sampling = Sampling(database, Telemetry())
    ask(sampling, 2, "gone")
    await sampling.hand_over()
    assert await database.value("SELECT count(*) FROM samples") == 0


async def test_while_nobody_counts_samples_do_not_pile_up(database: Database) -> None:
    telemetry = Telemetry()
    sampling = Sampling(database, telemetry)
    made = await version(database)
    ask(sampling, 2, made)
    await sampling.hand_over()
    ask(sampling, 2, made)
    await sampling.hand_over()
    assert await database.value("SELECT count(*) FROM samples") == 4
    await database.execute("UPDATE samples SET at = at - make_interval(secs => $1)", WAIT)
    ask(sampling, 5, made)
    await sampling.hand_over()
    assert await database.value("SELECT count(*) FROM samples") == 4
    assert outcomes(telemetry) == {"kept": 4, "dropped": 5}
    await database.execute("DELETE FROM samples")  # as who counts does
    ask(sampling, 1, made)
    await sampling.hand_over()
    assert await database.value("SELECT count(*) FROM samples") == 1

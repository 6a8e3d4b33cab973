"""Models that the builder made run on the real drivers, and answer as runtimes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import msgspec
import pytest

from services.builder import machine, place
from services.builder.base.bases import Bases
from services.builder.build import Build, Workshop
from services.builder.cache import Cache
from services.builder.depot import Depot
from services.builder.logbook import Stream
from services.builder.parts import Tools
from services.builder.python import indexes
from services.scheduler.driver import Phase, Replica, Workload
from shared.address import unix_path
from shared.database.pool import Database
from shared.endpoint import Definition, Endpoint
from shared.ids import JobId
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.registry import Registries
from tests.beds import runtimes
from tests.builder import made
from tests.ports import free_port
from tests.scheduler.container.bed import Bed
from tests.scheduler.targets import PATIENCE, Target, target

NUMPY = "import tiny, helped\ndef Predict(x):\n    return {'y': x * helped.FACTOR}\n"
MESSAGES = """
import os
import hydro_serving_grpc as hs

def Predict(x):
    with open(os.path.join(os.environ["MODEL_DIR"], "files", "weights.txt")) as file:
        y = x.double_val[0] + float(file.read())
    return hs.PredictResponse(outputs={"y": hs.TensorProto(
        dtype=hs.DT_DOUBLE, double_val=[y], tensor_shape=hs.TensorShapeProto())})
"""
MODELS: Mapping[str, tuple[Endpoint, Mapping[str, str]]] = {
    "doubles": (
        made.model("pip install -r requirements.txt"),
        {
            "src/func_main.py": NUMPY,
            "src/helped.py": "FACTOR = 2.0\n",
            "requirements.txt": "tiny\n",
        },
    ),
    "adds": (
        made.model("echo 0.5 > weights.txt", calls="tensors"),
        {"src/func_main.py": MESSAGES},
    ),
}
PLAIN = {"adds": (made.model(calls="tensors"), {**MODELS["adds"][1], "weights.txt": "0.5\n"})}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    made.repacked(folder, "grpcio", "protobuf", "numpy")
    made.wheel(folder, "tiny", "1.0", {"tiny/__init__.py": "def main() -> None: ...\n"})
    return folder


class Works:
    """Builds models for one target and runs them there."""

    def __init__(self, shop: Workshop, target: Target) -> None:
        self.shop, self.target = shop, target
        self.count = 0

    async def build(self, endpoint: Endpoint, files: Mapping[str, str]) -> Workload:
        self.count += 1
        blobs, folder = self.shop.tools.blobs, self.target.home / f"build{self.count}"
        folder.mkdir()
        source = await made.put(blobs, made.tar(files))
        definition = Definition(source=source, endpoints=(endpoint,))
        kind = "container" if self.target.bed else "process"
        held = made.claim(definition, target=kind, deployment=f"model-{self.count}")
        said: list[str] = []

        def write(text: str, stream: Stream = "platform") -> None:
            said.append(text)

        built = await Build(self.shop, held, folder, write).run()
        return Workload(
            replica=Replica(JobId(f"j{self.count}"), 1),
            image=built.images["model"],
            endpoint=endpoint,
            environment={},
            devices=(),
            files={},
            repository=built.repository,
            project="acme/web",
        )

    async def answer(self, work: Workload, x: float) -> float:
        seen = await self.target.until(work.replica, Phase.READY)
        path = unix_path(seen.addresses[0])
        where = f"unix:{path}" if path else seen.addresses[0].removeprefix("http://")
        request = PredictRequest(inputs={"x": TensorProto(dtype=2, double_val=[x])})
        request.inputs["x"].tensor_shape.SetInParent()
        async with grpc.aio.insecure_channel(where) as channel:
            call = channel.unary_unary(
                "/tensorflow.serving.PredictionService/Predict",
                request_serializer=PredictRequest.SerializeToString,
                response_deserializer=PredictResponse.FromString,
            )
            answer = await call(request, timeout=PATIENCE)
        return float(answer.outputs["y"].double_val[0])

    async def seen(self, work: Workload) -> list[str]:
        return [line.text for line in await self.target.driver.logs(work.replica, 0)]


def workshop(database: Database, target: Target, wheels: Path, registries: Registries) -> Workshop:
    environ = {
        "PATH": "/usr/bin:/bin",
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_NO_INDEX": "1",
    }
    installer = machine.installer(target.home / "cache", 300.0, environ)
    cache = Cache(database, target.blobs)
    tools = Tools(
        blobs=target.blobs,
        cache=cache,
        installer=installer,
        indexes=indexes.identity(installer.environment),
        runtime=machine.runtime_files(),
    )
    shop = Workshop(
        tools=tools, host=machine.host(), bases=Bases(registries, cache, target.blobs, named={})
    )
    if target.bed is None:
        return shop
    address = target.bed.registry
    return msgspec.structs.replace(
        shop,
        bases=Bases(
            registries,
            cache,
            target.blobs,
            named={},
            registry=address,
            place=place.read(f"{address}/slipway"),
        ),
        depot=Depot(registries, target.blobs, f"{address}/slipway"),
    )


@asynccontextmanager
async def works(database: Database, target: Target, wheels: Path) -> AsyncIterator[Works]:
    async with Registries.open() as registries:
        yield Works(workshop(database, target, wheels, registries), target)


async def both_answer(
    here: Works, models: Mapping[str, tuple[Endpoint, Mapping[str, str]]]
) -> None:
    """Two at a time, each with what is its own, though both are at /model and on one port."""
    doubles, adds = [await here.build(*models[name]) for name in ("doubles", "adds")]
    await asyncio.gather(*map(here.target.driver.start, (doubles, adds)))
    for x in (1.0, 2.5):
        assert await here.answer(doubles, x) == 2 * x, await here.seen(doubles)
        assert await here.answer(adds, x) == x + 0.5, await here.seen(adds)


async def test_two_models_answer_at_once_as_processes(
    database: Database, wheels: Path, tmp_path: Path
) -> None:
    async with target("namespaces", tmp_path) as on, works(database, on, wheels) as here:
        await both_answer(here, MODELS)


async def test_a_model_answers_where_no_namespaces_are_permitted(
    database: Database, wheels: Path, tmp_path: Path
) -> None:
    async with target("plain", tmp_path) as on, works(database, on, wheels) as here:
        endpoint, files = PLAIN["adds"]
        free = msgspec.structs.replace(endpoint, port=free_port())
        work = await here.build(free, files)
        await on.driver.start(work)
        assert await here.answer(work, 1.0) == 1.5


async def test_two_models_answer_at_once_in_containers(
    database: Database, wheels: Path, tmp_path: Path, bed: Bed
) -> None:
    async with target("container", tmp_path, bed) as on, works(database, on, wheels) as here:
        await both_answer(here, {**MODELS, **PLAIN})


async def test_a_runtime_of_the_tutorial_serves_in_a_container_of_its_own(
    database: Database, wheels: Path, tmp_path: Path, bed: Bed
) -> None:
    generated = tmp_path / "generated"
    generated.mkdir()
    name = await runtimes.tutorial(bed.registry, generated)
    contract = msgspec.structs.replace(made.CONTRACT, signature="infer")
    endpoint = made.model(
        "pip install -r requirements.txt", server="runtime", image=name, contract=contract
    )
    files = {"src/func_main.py": f"import tiny\n{runtimes.FUNCTION}", "requirements.txt": "tiny\n"}
    async with target("container", tmp_path, bed) as on, works(database, on, wheels) as here:
        work = await here.build(endpoint, files)
        await on.driver.start(work)
        assert await here.answer(work, 2.0) == 3.0, await here.seen(work)

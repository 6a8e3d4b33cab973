"""A runtime as Hydrosphere's tutorial has people build one, as an image in a registry.

It is a gRPC server with code generated from our .proto files. It reads contract.protobin, calls the
function that the contract names with TensorProto messages, and knows no `Status`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from services.builder import layers
from shared import image, protos
from shared.blobs import digest_of
from shared.registry import Reference, Registries, parse

NAME: Final = "acme/tutorial-runtime"
PROTOS: Final = Path(protos.__file__).parent
PACKAGES: Final = "/usr/local/lib/python3.11/dist-packages"

MAIN: Final = """
import os
import time

from runtime import RuntimeManager

if __name__ == "__main__":
    runtime = RuntimeManager("/model", port=int(os.getenv("APP_PORT", "9090")))
    runtime.start()
    try:
        while True:
            time.sleep(60 * 60 * 24)
    except KeyboardInterrupt:
        runtime.stop()
"""
RUNTIME: Final = """
import importlib
import os
from concurrent import futures

import grpc
from hydro_serving_grpc.contract import model_contract_pb2
from hydro_serving_grpc.tf.api import prediction_service_pb2_grpc as service


class RuntimeService(service.PredictionServiceServicer):
    def __init__(self, model_path, contract):
        os.chdir(os.path.join(model_path, "files"))
        module = importlib.import_module("func_main")
        self.executable = getattr(module, contract.predict.signature_name)

    def Predict(self, request, context):
        return self.executable(**request.inputs)


class RuntimeManager:
    def __init__(self, model_path, port):
        with open(os.path.join(model_path, "contract.protobin"), "rb") as file:
            contract = model_contract_pb2.ModelContract.FromString(file.read())
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
        servicer = RuntimeService(model_path, contract)
        service.add_PredictionServiceServicer_to_server(servicer, self.server)
        self.server.add_insecure_port("[::]:%d" % port)

    def start(self):
        self.server.start()

    def stop(self):
        self.server.stop(0)
"""
FUNCTION: Final = """
from hydro_serving_grpc.tf import tensor_pb2, tensor_shape_pb2, types_pb2
from hydro_serving_grpc.tf.api import predict_pb2


def infer(x):
    y = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_DOUBLE,
        double_val=[value + 1 for value in x.double_val],
        tensor_shape=tensor_shape_pb2.TensorShapeProto(),
    )
    return predict_pb2.PredictResponse(outputs={"y": y})
"""
"""A model for it, whose contract has the signature `infer`: y is x + 1, both scalars of float64."""

CONFIG: Final = {
    "Cmd": ["python", "main.py"],
    "WorkingDir": "/app",
    "Volumes": {"/model": {}},
    "User": "",
}


async def tutorial(registry: str, folder: Path, base: str = "python:3.11") -> str:
    """Push it to the registry at this address, on a base that is there; the name to write.

    `folder` is an empty one.
    """
    name = f"{NAME}:1"
    into = parse(name, registry)
    layer = b"".join(layers.small(files(folder)))
    async with Registries.open() as registries:
        found = await registries.resolve(parse(base, registry))
        told = json.loads(await registries.read(found.reference, found.manifest.config))
        own = await _push(registries, into, layer, image.LAYER_TYPE)
        told["rootfs"]["diff_ids"].append(own.digest)
        told.pop("history", None)
        told["config"] |= {**CONFIG, "Env": [*(told["config"]["Env"] or ()), "APP_PORT=9090"]}
        config = await _push(registries, into, json.dumps(told).encode(), image.CONFIG_TYPE)
        for part in found.manifest.layers:
            body = await registries.read(found.reference, part, limit=1 << 30)
            await _push(registries, into, body, part.media_type)
        manifest = msgspec.structs.replace(
            found.manifest, config=config, layers=(*found.manifest.layers, own)
        )
        body = msgspec.json.encode(manifest)
        await registries.push_manifest(into, body, image.MANIFEST_TYPE, into.tag)
    return name


def files(folder: Path) -> dict[str, bytes]:
    """What its Dockerfile would copy and install, by absolute path."""
    found = {"/app/main.py": MAIN.encode(), "/app/runtime.py": RUNTIME.encode()}
    names = [str(path.relative_to(PROTOS)) for path in PROTOS.glob("hydro_serving_grpc/**/*.proto")]
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTOS}"),
            *(f"--python_out={folder}", f"--grpc_python_out={folder}", *sorted(names)),
        ],
        check=True,
    )
    for path in folder.rglob("*.py"):
        found[f"/app/{path.relative_to(folder)}"] = path.read_bytes()
    return found | installed(folder / "packages", "grpcio", "protobuf")


def installed(folder: Path, *names: str) -> dict[str, bytes]:
    """For the base's Python, whichever runs here."""
    subprocess.run(
        [
            *(str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet"),
            *("--python-version", "3.11", "--only-binary", ":all:", "--target", str(folder)),
            *names,
        ],
        check=True,
    )
    return {
        f"{PACKAGES}/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


async def _push(
    registries: Registries, into: Reference, body: bytes, kind: str
) -> image.Descriptor:
    part = image.Descriptor(media_type=kind, digest=digest_of(body), size=len(body))

    async def opened() -> AsyncIterator[bytes]:
        yield body

    await registries.push_blob(into, part, opened)
    return part


if __name__ == "__main__":
    # a process of its own where authorities matter, which are read when a process starts
    with tempfile.TemporaryDirectory() as scratch:
        print(asyncio.run(tutorial(sys.argv[1], Path(scratch))))

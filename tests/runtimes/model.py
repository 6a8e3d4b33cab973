"""A model in a folder as images have it, the server that runs it, and a client of grpcio's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.empty_pb2 import Empty

from shared.contract import Contract, DType
from shared.hydrosphere.contracts import encode
from shared.hydrosphere.dtypes import DTYPE_OF, LAYOUTS
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import (
    PredictRequest,
    PredictResponse,
    StatusResponse,
)
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.runtimes.conftest import RUNTIMES, free_port

SERVICE = "/tensorflow.serving.PredictionService"
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.min_reconnect_backoff_ms", 50),  # it is asked before it listens
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]


def numpy_type(dtype: DType) -> np.dtype[np.generic]:
    return np.dtype(object if dtype == "string" else dtype.removeprefix("q"))


def write(folder: Path, contract: Contract, files: Mapping[str, str]) -> Path:
    """`folder` as /model is inside an image, with `files` as the payload."""
    for name, text in files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "contract.protobin").write_bytes(encode(contract, "sample"))
    return folder


class Served:
    """A running server of the model in `folder`, and calls of it."""

    def __init__(self, program: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, str(program)],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "MODEL_DIR": str(folder),
                "APP_PORT": str(self.port),
                "SLIPWAY_ENDPOINT": str(folder / "endpoint.json"),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=OPTIONS)
        self.calling = self.channel.unary_unary(
            f"{SERVICE}/Predict", PredictRequest.SerializeToString, PredictResponse.FromString
        )
        self.asking = self.channel.unary_unary(
            f"{SERVICE}/Status", Empty.SerializeToString, StatusResponse.FromString
        )

    def predict(self, **inputs: TensorProto) -> Mapping[str, TensorProto]:
        request = PredictRequest(inputs=inputs)
        return self.calling(request, timeout=60, wait_for_ready=True).outputs

    def status(self) -> StatusResponse:
        return self.asking(Empty(), timeout=60, wait_for_ready=True)

    def end(self) -> tuple[int, str]:
        """Exit code and what it wrote, after being asked to stop if it still runs."""
        assert self.process.stderr is not None
        if self.process.stderr.closed:
            return self.process.returncode, ""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        self.channel.close()
        return self.process.returncode, said


def served(folder: Path, **environment: str) -> Served:
    return Served(RUNTIMES / "model_server.py", folder, environment)


def tensor(dtype: DType, value: object, content: bool = False) -> TensorProto:
    """`value` on the wire, written element by element, or as bytes."""
    array = np.asarray(value, dtype=numpy_type(dtype))
    layout = LAYOUTS[dtype]
    found = TensorProto(dtype=layout.number)
    found.tensor_shape.SetInParent()
    for size in array.shape:
        found.tensor_shape.dim.add(size=size)
    flat = array.reshape(-1)
    if content:
        found.tensor_content = flat.tobytes()
    elif dtype == "string":
        found.string_val.extend(text.encode() for text in flat)
    elif dtype == "float16":
        found.half_val.extend(flat.view(np.uint16).tolist())
    elif layout.parts == 2:
        pairs = [part for number in flat.tolist() for part in (number.real, number.imag)]
        getattr(found, layout.field).extend(pairs)
    else:
        getattr(found, layout.field).extend(flat.tolist())
    return found


def value(found: TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The array that a tensor is, read element by element."""
    dtype = DTYPE_OF[found.dtype]
    layout, kind = LAYOUTS[dtype], numpy_type(dtype)
    flat = list(getattr(found, layout.field))
    if dtype == "string":
        flat = [text.decode() for text in flat]
    elif dtype == "float16":
        return np.array(flat, np.uint16).view(np.float16).reshape(sizes(found))
    elif layout.parts == 2:
        flat = [complex(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    return np.array(flat, kind).reshape(sizes(found))


def sizes(found: TensorProto) -> tuple[int, ...]:
    return tuple(dim.size for dim in found.tensor_shape.dim)

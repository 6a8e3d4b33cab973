"""The two models of the benchmark, and what is sent to them."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from services.router.gateway.tensors import make
from shared.contract import Contract, Field
from shared.protos.hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse

PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
SHAPE: Final = (1, 224, 224, 3)
FLOATS: Final = 150_528

A = Field(name="a", dtype="float64", shape=())
B = Field(name="b", dtype="int64", shape=())
Y = Field(name="y", dtype="float64", shape=())
IMAGE = Field(name="image", dtype="float32", shape=(-1, 224, 224, 3))

CONTRACTS: Final = {
    "scalars": Contract(inputs=(A, B), outputs=(Y,)),
    "first": Contract(inputs=(A, B), outputs=(A, B)),
    "image": Contract(inputs=(IMAGE,), outputs=(Y,)),
}
"""By the name of the servable. `pipeline` is an application: `first`, then `scalars`."""

PIXELS: Final = [random.Random(1).random() for _ in range(FLOATS)]

ANSWER: Final = PredictResponse(
    outputs={
        "a": make("float64", [0.5], ()),
        "b": make("int64", [7], ()),
        "y": make("float64", [0.25], ()),
    }
).SerializeToString()


def message(name: str) -> bytes:
    """What is sent over gRPC."""
    if name == "image":
        inputs = {"image": make("float32", PIXELS, SHAPE)}
    else:
        inputs = {"a": make("float64", [0.5], ()), "b": make("int64", [7], ())}
    return PredictRequest(model_spec=ModelSpec(name=name), inputs=inputs).SerializeToString()


def document(name: str) -> bytes:
    """What is sent over HTTP."""
    if name != "image":
        return msgspec.json.encode({"a": 0.5, "b": 7})
    rows = [PIXELS[at : at + 3] for at in range(0, FLOATS, 3)]
    lines = [rows[at : at + 224] for at in range(0, len(rows), 224)]
    return msgspec.json.encode({"image": [lines]})


def address(name: str) -> str:
    kind = "application" if name == "pipeline" else "servable"
    return f"/gateway/{kind}/{name}"

"""A runtime that its owner wrote after the tutorial serves a model, as it is."""

from __future__ import annotations

import grpc
import pytest

from shared.contract import Contract, Field
from tests.runtimes import tutorial
from tests.runtimes.model import Served, tensor, value, write

MODEL = """
from hydro_serving_grpc.tf import types_pb2 as types
from hydro_serving_grpc.tf.api.predict_pb2 import PredictResponse
from hydro_serving_grpc.tf.tensor_pb2 import TensorProto

def infer(x):
    if not x.double_val:
        raise ValueError("nothing came")
    y = TensorProto(dtype=types.DT_DOUBLE, double_val=[2 * each for each in x.double_val])
    y.tensor_shape.CopyFrom(x.tensor_shape)
    return PredictResponse(outputs={"y": y})
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    contract = Contract(
        signature="infer",
        inputs=(Field(name="x", dtype="float64", shape=(-1,)),),
        outputs=(Field(name="y", dtype="float64", shape=(-1,)),),
    )
    write(folder / "model", contract, {"src/func_main.py": MODEL})
    program = tutorial.make(folder / "app") / "main.py"
    server = Served(program, folder / "model", {})
    yield server
    server.end()


def test_it_answers_with_messages_generated_from_our_files(runtime):
    found = runtime.predict(x=tensor("float64", [1, 2.5]))
    assert value(found["y"]).tolist() == [2, 5]


def test_it_knows_no_status(runtime):
    with pytest.raises(grpc.RpcError) as raised:
        runtime.status()
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_its_model_raises_is_its_own_error(runtime):
    with pytest.raises(grpc.RpcError) as raised:
        runtime.predict(x=tensor("float64", []))
    assert raised.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)

"""What models import as hydro_serving_grpc is what they know, and what the platform speaks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from shared.protos import pool
from tests.runtimes.conftest import RUNTIMES

IMPORTS = """
from hydro_serving_grpc.contract.data_profile_types_pb2 import DataProfileType
from hydro_serving_grpc.contract.model_contract_pb2 import ModelContract
from hydro_serving_grpc.contract.model_field_pb2 import ModelField
from hydro_serving_grpc.contract.model_signature_pb2 import ModelSignature
from hydro_serving_grpc.gateway.api_pb2_grpc import GatewayServiceStub
from hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse, StatusResponse
from hydro_serving_grpc.tf.api.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    PredictionServiceStub,
    add_PredictionServiceServicer_to_server,
)
from hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from hydro_serving_grpc.tf.tensor_shape_pb2 import TensorShapeProto
from hydro_serving_grpc.tf.types_pb2 import *
import hydro_serving_grpc.tf.api
import hydro_serving_grpc.contract

assert DT_MAP == 27
"""

EXAMPLE = """
import hydro_serving_grpc as hs

shape = hs.TensorShapeProto(dim=[hs.TensorShapeProto.Dim(size=-1), hs.TensorShapeProto.Dim(size=1)])
tensor = hs.TensorProto(dtype=hs.DT_STRING, string_val=[b"a", b"b"], tensor_shape=shape)
answer = hs.PredictResponse(outputs={"text": tensor})
assert hs.PredictResponse.FromString(answer.SerializeToString()).outputs["text"] == tensor
assert hs.DataType.Name(hs.DT_HALF) == "DT_HALF"
assert hs.StatusResponse.SERVING == hs.StatusResponse.ServiceStatus.Value("SERVING") == 1
field = hs.ModelField(name="x", dtype=hs.DT_DOUBLE, profile=hs.NUMERICAL)
contract = hs.ModelContract(predict=hs.ModelSignature(signature_name="infer", inputs=[field]))
assert contract.predict.inputs[0].WhichOneof("type_or_subfields") == "dtype"
request = hs.PredictRequest(model_spec=hs.ModelSpec(name="m"))
request.model_spec.version.value = 3
assert hs.tf.tensor_pb2.TensorProto is hs.TensorProto is hs.tf.TensorProto
assert hs.tf.api.PredictionServiceStub is hs.PredictionServiceStub
assert not hasattr(hs, "ServablePredictRequest") and hs.gateway.ServablePredictRequest
"""

SERVICE = """
from concurrent.futures import ThreadPoolExecutor
import grpc
from google.protobuf.empty_pb2 import Empty
import hydro_serving_grpc as hs

class Service(hs.PredictionServiceServicer):
    def Predict(self, request, context):
        return hs.PredictResponse(outputs=request.inputs)

server = grpc.server(ThreadPoolExecutor(1))
hs.add_PredictionServiceServicer_to_server(Service(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel("127.0.0.1:%d" % port) as channel:
    stub = hs.PredictionServiceStub(channel)
    tensor = hs.TensorProto(dtype=hs.DT_BOOL, bool_val=[True])
    answer = stub.Predict(hs.PredictRequest(inputs={"x": tensor}), timeout=60)
    assert answer.outputs["x"] == tensor
    try:
        stub.Status(Empty(), timeout=60)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    else:
        raise AssertionError("it has no status")
server.stop(None)
"""

BESIDE = """
import sys
sys.path.insert(0, sys.argv[1])
import services_of_others_pb2
import hydro_serving_grpc
import shared.protos.hydro_serving_grpc.tf.api.prediction_service_pb2
"""


def run(code, *arguments):
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={"PYTHONPATH": f"{RUNTIMES}:{RUNTIMES.parent}"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("code", [IMPORTS, EXAMPLE, SERVICE], ids=["imports", "example", "service"])
def test_code_that_people_have_works(code):
    run(code)


def test_other_definitions_of_the_same_names_may_be_in_the_same_process(tmp_path):
    """In the pool that a process has, the second of them would be an error."""
    text = 'syntax = "proto3";\npackage tensorflow.serving;\nmessage PredictionService {}\n'
    (tmp_path / "services_of_others.proto").write_text(text)
    command = (
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{tmp_path}",
        f"--python_out={tmp_path}",
    )
    subprocess.run((*command, "services_of_others.proto"), check=True)
    run(BESIDE, str(tmp_path))


def test_its_descriptions_are_those_that_the_platform_speaks(monkeypatch):
    monkeypatch.syspath_prepend(RUNTIMES)
    import hydro_serving_grpc as hs

    import shared.protos.hydro_serving_grpc.contract.model_contract_pb2
    import shared.protos.hydro_serving_grpc.gateway.api_pb2
    import shared.protos.hydro_serving_grpc.tf.api.prediction_service_pb2  # noqa: F401

    for module in (hs.tf.types_pb2, hs.tf.tensor_pb2, hs.tf.api.predict_pb2, hs.gateway.api_pb2):
        file = module.DESCRIPTOR
        assert written(file) == written(pool.POOL.FindFileByName(file.name))


def written(file):
    found = FileDescriptorProto()
    file.CopyToProto(found)
    return found

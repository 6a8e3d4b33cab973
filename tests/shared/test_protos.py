"""The messages are what their .proto files say, and what Hydrosphere's and KServe's clients send."""

from __future__ import annotations

import doctest

import pytest
import tritonclient.grpc.service_pb2 as triton  # registers the same names in the process's pool

from shared.protos import __main__ as generator
from shared.protos import inference_pb2
from shared.protos.hydro_serving_grpc.contract.model_contract_pb2 import ModelContract
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, StatusResponse
from shared.protos.hydro_serving_grpc.tf.api.prediction_service_pb2 import DESCRIPTOR as SERVICE
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.protos.hydro_serving_grpc.tf.types_pb2 import DT_HALF, DT_MAP


def test_generating_again_gives_exactly_what_is_committed():
    generated = generator.generated()
    assert len(generated) == 2 * len(generator.protos()) + 1
    assert not [str(path) for path, text in generated.items() if path.read_text() != text]


def test_nothing_that_was_generated_is_left_of_a_file_that_is_gone():
    here = {path for path in generator.HERE.rglob("*_pb2.py*") if "__pycache__" not in path.parts}
    assert here == set(generator.generated()) - {generator.RUNTIME}


def test_the_examples_in_the_generator_are_true():
    assert doctest.testmod(generator).failed == 0


def test_the_service_has_the_name_that_runtimes_answer_to():
    methods = SERVICE.services_by_name["PredictionService"].methods_by_name
    assert methods["Predict"].full_name == "tensorflow.serving.PredictionService.Predict"
    assert methods["Status"].input_type.full_name == "google.protobuf.Empty"
    status = "hydrosphere.tensorflow.serving.StatusResponse"
    assert methods["Status"].output_type.full_name == status


def test_messages_have_the_bytes_that_are_known_from_the_wire():
    """Each line was worked out by hand from the numbers of the fields."""
    tensor = TensorProto(dtype=DT_HALF, half_val=[15360])
    tensor.tensor_shape.dim.add(size=1)
    assert tensor.SerializeToString() == b"\x08\x13\x12\x04\x12\x02\x08\x01\x6a\x02\x80\x78"
    tensor = TensorProto(dtype=DT_MAP, map_val={"a": TensorProto(bool_val=[True])})
    assert tensor.SerializeToString() == b"\x08\x1b\xda\x01\x08\x0a\x01a\x12\x03\x5a\x01\x01"
    request = PredictRequest(inputs={"x": TensorProto(int64_val=[-1])})
    request.model_spec.name = "m"
    request.model_spec.version.value = 2
    wire = b"\x0a\x07\x0a\x01m\x12\x02\x08\x02\x12\x11\x0a\x01x\x12\x0c\x52\x0a" + b"\xff" * 9
    assert request.SerializeToString() == wire + b"\x01"
    assert StatusResponse(status=2, message="no").SerializeToString() == b"\x08\x02\x12\x02no"
    contract = ModelContract(model_name="m")
    field = contract.predict.inputs.add(name="x", dtype=2, profile=11)
    field.shape.SetInParent()
    wire = b"\x0a\x01m\x12\x0b\x12\x09\x0a\x01x\x12\x00\x20\x02\x50\x0b"
    assert contract.SerializeToString() == wire


@pytest.mark.parametrize("name", sorted(inference_pb2.DESCRIPTOR.message_types_by_name))
def test_the_open_inference_protocol_is_the_one_that_its_clients_speak(name):
    ours = inference_pb2.DESCRIPTOR.message_types_by_name[name]
    theirs = triton.DESCRIPTOR.pool.FindMessageTypeByName(ours.full_name)
    assert {field(each) for each in ours.fields} == {field(each) for each in theirs.fields}


def field(described):
    kind = described.message_type or described.enum_type
    return described.number, described.name, described.type, kind and kind.full_name

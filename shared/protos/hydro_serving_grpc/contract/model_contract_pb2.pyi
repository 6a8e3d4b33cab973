from shared.protos.hydro_serving_grpc.contract import model_signature_pb2 as _model_signature_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelContract(_message.Message):
    __slots__ = ("model_name", "predict")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    PREDICT_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    predict: _model_signature_pb2.ModelSignature
    def __init__(self, model_name: _Optional[str] = ..., predict: _Optional[_Union[_model_signature_pb2.ModelSignature, _Mapping]] = ...) -> None: ...

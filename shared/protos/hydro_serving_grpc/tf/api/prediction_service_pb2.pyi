from google.protobuf import empty_pb2 as _empty_pb2
from shared.protos.hydro_serving_grpc.tf.api import predict_pb2 as _predict_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class DataProfileType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NONE: _ClassVar[DataProfileType]
    CATEGORICAL: _ClassVar[DataProfileType]
    NUMERICAL: _ClassVar[DataProfileType]
    IMAGE: _ClassVar[DataProfileType]
    VIDEO: _ClassVar[DataProfileType]
    AUDIO: _ClassVar[DataProfileType]
    TEXT: _ClassVar[DataProfileType]
    NOMINAL: _ClassVar[DataProfileType]
    ORDINAL: _ClassVar[DataProfileType]
    CONTINUOUS: _ClassVar[DataProfileType]
    INTERVAL: _ClassVar[DataProfileType]
    RATIO: _ClassVar[DataProfileType]
NONE: DataProfileType
CATEGORICAL: DataProfileType
NUMERICAL: DataProfileType
IMAGE: DataProfileType
VIDEO: DataProfileType
AUDIO: DataProfileType
TEXT: DataProfileType
NOMINAL: DataProfileType
ORDINAL: DataProfileType
CONTINUOUS: DataProfileType
INTERVAL: DataProfileType
RATIO: DataProfileType

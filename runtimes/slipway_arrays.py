"""Tensors as numpy's arrays: what a model is called with.

A tensor of no dimensions is a numpy scalar, one of strings holds `str`, and a map is a dict. A
shape may leave one dimension open (-1), which is as long as there are elements. A tensor without a
shape is flat. What comes from outside is never trusted to fit: NotATensor says what is wrong.
"""

import numpy as np

STRING, VARIANT, MAP = 7, 21, 27

TYPES = {
    1: ("float_val", np.dtype(np.float32)),
    2: ("double_val", np.dtype(np.float64)),
    3: ("int_val", np.dtype(np.int32)),
    4: ("int_val", np.dtype(np.uint8)),
    5: ("int_val", np.dtype(np.int16)),
    6: ("int_val", np.dtype(np.int8)),
    8: ("scomplex_val", np.dtype(np.complex64)),
    9: ("int64_val", np.dtype(np.int64)),
    10: ("bool_val", np.dtype(np.bool_)),
    11: ("int_val", np.dtype(np.int8)),  # quantized: the numbers, without their scale
    12: ("int_val", np.dtype(np.uint8)),
    13: ("int_val", np.dtype(np.int32)),
    15: ("int_val", np.dtype(np.int16)),
    16: ("int_val", np.dtype(np.uint16)),
    17: ("int_val", np.dtype(np.uint16)),
    18: ("dcomplex_val", np.dtype(np.complex128)),
    19: ("half_val", np.dtype(np.float16)),
    22: ("uint32_val", np.dtype(np.uint32)),
    23: ("uint64_val", np.dtype(np.uint64)),
}
"""By number of hydrosphere.tensorflow.DataType: the field of the elements, and what they are."""

WIDE = 64 << 20  # bytes of an array of strings, where all take as much as the longest one


class NotATensor(Exception):
    """What came can't be understood as a tensor."""


def array_of(tensor):
    """The value of a TensorProto, writable and independent of it. A VARIANT is given as it is."""
    if tensor.dtype == MAP:
        return {name: array_of(inner) for name, inner in tensor.map_val.items()}
    if tensor.dtype == VARIANT:
        return tensor
    if tensor.dtype == STRING:
        return _shaped(_strings(tensor), tensor)
    if tensor.dtype not in TYPES:
        raise NotATensor("is of the type %d, which is not supported" % tensor.dtype)
    field, dtype = TYPES[tensor.dtype]
    if tensor.tensor_content:
        return _shaped(_from_bytes(tensor.tensor_content, dtype), tensor)
    return _shaped(_from_field(tensor, field, dtype), tensor)


def _from_bytes(content, dtype):
    if len(content) % dtype.itemsize:
        raise NotATensor("has %d bytes, and %s has %d" % (len(content), dtype, dtype.itemsize))
    if dtype.kind == "b":
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)


def _from_field(tensor, field, dtype):
    values = getattr(tensor, field)
    if dtype.kind in "bfc" and field != "half_val":
        number = tensor.DESCRIPTOR.fields_by_name[field].number
        return _from_bytes(packed(tensor, number), dtype)
    if dtype.itemsize >= 4:  # the field can't hold more than the type
        return np.fromiter(values, dtype, len(values))
    whole = np.fromiter(values, np.int32, len(values))
    kept = np.dtype(np.uint16) if field == "half_val" else dtype
    within = np.iinfo(kept)
    if whole.size and not within.min <= whole.min() <= whole.max() <= within.max:
        raise NotATensor("has elements that %s can't be" % dtype)
    return whole.astype(kept).view(dtype)


def packed(message, number):
    """The bytes of a packed field of numbers. To read them one by one takes far longer."""
    data, at = message.SerializeToString(), 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            _, at = _varint(data, at)
        elif key & 7 == 2:
            size, at = _varint(data, at)
            if key >> 3 == number:
                return memoryview(data)[at : at + size]
            at += size
        else:  # 1 and 5 are numbers of 8 and 4 bytes, and these messages have no groups
            at += 8 if key & 7 == 1 else 4
    return b""


def _varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _strings(tensor):
    if tensor.tensor_content:
        raise NotATensor("has strings as `tensor_content`, and they can only be in `string_val`")
    try:
        found = [value.decode("utf-8") for value in tensor.string_val]
    except UnicodeDecodeError as error:
        raise NotATensor("has a string that is not UTF-8") from error
    longest = max(map(len, found), default=0)
    # numpy's own strings lose the zeros at their ends
    if longest * 4 * len(found) <= WIDE and not any(value.endswith("\0") for value in found):
        return np.array(found, dtype=np.str_)
    return np.array(found, dtype=object)


def _shaped(flat, tensor):
    if not tensor.HasField("tensor_shape") or tensor.tensor_shape.unknown_rank:
        return flat
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if not sizes and len(flat) == 1:
        return flat[0]
    if sizes.count(-1) > 1:
        raise NotATensor("has the shape %s, which leaves more than one dimension open" % sizes)
    try:
        if sizes and min(sizes) >= -1:
            return flat.reshape(sizes)
    except ValueError:
        pass
    raise NotATensor("has %d elements, and its shape is %s" % (len(flat), sizes or "scalar"))

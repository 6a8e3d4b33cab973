"""Tensors of what a model returned: numpy's arrays and scalars, Python's, lists, or messages.

A value becomes what the contract says its field is, where that loses nothing: an int where a float
or a wider int is due, a float that is whole where an int is. Floats are rounded to the precision of
their field. NotConvertible says what else came.
"""

from collections.abc import Mapping

import numpy as np
from google.protobuf.message import Message
from slipway_arrays import MAP, STRING, TYPES, VARIANT


class NotConvertible(Exception):
    """A value is not what the contract says its field is."""


def message_of(kind, value):
    """`value` as a message of the class `kind`, if it is one of that name; else None.

    A model may bring classes of its own for the same messages; the bytes are the same.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Message) or value.DESCRIPTOR.name != kind.DESCRIPTOR.name:
        return None
    return kind.FromString(value.SerializeToString())


def tensor_of(hs, value, field):
    """The TensorProto of `hs` for `value`, which is to be the ModelField `field`."""
    message = message_of(hs.TensorProto, value)
    if message is not None:
        return message
    if field.WhichOneof("type_or_subfields") == "subfields":
        return _map(hs, value, field)
    if field.dtype == STRING:
        return _strings(hs, value)
    if field.dtype == VARIANT:
        raise NotConvertible("is %s, and only a TensorProto is a variant" % _called(value))
    if field.dtype not in TYPES:
        raise NotConvertible("is of the type %d, which is not supported" % field.dtype)
    return _numbers(hs, cast(_array(value), TYPES[field.dtype][1]), field.dtype)


def cast(array, dtype):
    """The same numbers as `dtype`, or NotConvertible.

    >>> cast(np.array([1.0, 2.0]), np.dtype("int8"))
    array([1, 2], dtype=int8)
    """
    if array.dtype == dtype:
        return array
    have, want = array.dtype.kind, dtype.kind
    if want == "c" or (want == "f" and have != "c"):
        with np.errstate(over="ignore", invalid="ignore"):
            found = array.astype(dtype)
        if np.any(np.isfinite(array) & ~np.isfinite(found)):
            raise NotConvertible("is too large for %s" % dtype)
        return found
    if have == "c":
        raise NotConvertible("is complex, and %s is due" % dtype)
    if want == "b" and have != "b":
        if not np.all((array == 0) | (array == 1)):
            raise NotConvertible("has other elements than 0 and 1, and bool is due")
        return array.astype(dtype)
    if have == "f" and not np.all(np.isfinite(array) & (array == np.trunc(array))):
        raise NotConvertible("is not whole, and %s is due" % dtype)
    within = np.iinfo(dtype)
    if array.size and not within.min <= int(array.min()) <= int(array.max()) <= within.max:
        raise NotConvertible("has elements that %s can't be" % dtype)
    return array.astype(dtype)


def _array(value):
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":  # as pandas has a row of several types
            array = np.asarray(array.tolist())
    except Exception as error:  # a list of lists of several lengths, or somebody's own class
        raise NotConvertible("is %s: %s" % (_called(value), error)) from error
    if array.dtype.kind not in "biufc":
        raise NotConvertible("is %s, which is no array of numbers" % _called(value))
    return array


def _numbers(hs, array, number):
    field, dtype = TYPES[number]
    tensor = _shaped(hs, number, array.shape)
    flat = np.ascontiguousarray(array).reshape(-1)
    if dtype.kind in "fc" and field != "half_val":
        described = hs.TensorProto.DESCRIPTOR.fields_by_name[field]
        content = flat.astype(dtype.newbyteorder("<")).tobytes()
        # as a packed field is on the wire; to append one by one takes far longer
        tensor.MergeFromString(_varint(described.number << 3 | 2) + _varint(len(content)) + content)
    else:
        kept = flat.view(np.uint16) if field == "half_val" else flat
        getattr(tensor, field).extend(kept.tolist())
    return tensor


def _varint(value):
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _strings(hs, value):
    # numpy's own strings lose the zeros at their ends, so they aren't made of what isn't theirs
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=object)
    except Exception as error:
        raise NotConvertible("is %s: %s" % (_called(value), error)) from error
    tensor = _shaped(hs, STRING, array.shape)
    tensor.string_val.extend([_bytes(each) for each in array.reshape(-1).tolist()])
    return tensor


def _bytes(value):
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise NotConvertible("holds something %s, and string is due" % _called(value))
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotConvertible("holds a string that can't be UTF-8") from error


def _map(hs, value, field):
    if not isinstance(value, Mapping):
        raise NotConvertible("is %s, and a dict is due" % _called(value))
    return hs.TensorProto(dtype=MAP, map_val=tensors_of(hs, value, field.subfields.data))


def tensors_of(hs, values, fields):
    """By name the tensor of each field. What is there beyond the fields is left out."""
    found = {}
    for field in fields:
        if field.name not in values:
            raise NotConvertible("has no '%s' field" % field.name)
        try:
            found[field.name] = tensor_of(hs, values[field.name], field)
        except NotConvertible as error:
            raise NotConvertible("has the field '%s', which %s" % (field.name, error)) from error
    return found


def _shaped(hs, number, sizes):
    tensor = hs.TensorProto(dtype=number)
    tensor.tensor_shape.SetInParent()  # no dimensions: a scalar
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _called(value):
    return "of the type %s" % type(value).__name__

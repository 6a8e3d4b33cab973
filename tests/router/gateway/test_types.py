"""Every type there and back through a runtime that knows nothing of ours but numpy."""

from __future__ import annotations

from typing import Any

import grpc
import msgspec
import numpy as np
import pytest

from shared.contract import DTYPES, DType, Shape
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.router.gateway.conftest import Bed, contract, field, model, served
from tests.router.gateway.test_mapping import kind, plain

TYPES = [one for one in DTYPES if one not in ("string", "variant")]
SHAPES: tuple[Shape, ...] = ((), (4,), (-1,), (2, 3), (-1, 2, 2))


def some(dtype: DType, shape: Shape) -> np.ndarray[Any, Any]:
    """An array with the ends of its type's range in it, where there is room for them."""
    random = np.random.default_rng(7)
    sizes = [3 if size < 0 else size for size in shape]
    array = (random.standard_normal(sizes) * 100).astype(kind(dtype))
    flat = array.reshape(-1)
    if array.dtype.kind in "iu":
        ends = np.iinfo(array.dtype)
        flat[:2] = [ends.max, ends.min][: flat.size]
    elif array.dtype.kind == "f":
        ends = np.finfo(array.dtype)
        flat[:4] = [ends.max, np.nan, np.inf, -np.inf][: flat.size]
    elif array.dtype.kind == "c":
        flat[:2] = [complex(np.inf, -1.5), complex(0.1, np.nan)][: flat.size]
    return array


def array_of(tensor: TensorProto, dtype: DType) -> np.ndarray[Any, Any]:
    values = getattr(tensor, LAYOUTS[dtype].field)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if dtype == "float16":
        return np.array(values, np.uint16).view(np.float16).reshape(shape)
    if LAYOUTS[dtype].parts == 2:
        found = np.array(values, np.float32 if dtype == "complex64" else np.float64)
        return found.view(kind(dtype)).reshape(shape)
    return np.array(values, kind(dtype)).reshape(shape)


@pytest.mark.parametrize("dtype", TYPES)
async def test_a_number_of_any_type_comes_back_as_it_went(router: Bed, dtype: DType) -> None:
    arrays = {f"x{n}": some(dtype, shape) for n, shape in enumerate(SHAPES)}
    fields = [field(f"x{n}", dtype, shape) for n, shape in enumerate(SHAPES)]

    def answers(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        """As bytes, of what was understood."""
        answer = PredictResponse()
        for name, tensor in request.inputs.items():
            array = array_of(tensor, dtype)
            np.testing.assert_array_equal(array, arrays[name])
            out = answer.outputs[name]
            out.CopyFrom(TensorProto(dtype=LAYOUTS[dtype].number, tensor_content=array.tobytes()))
            out.tensor_shape.SetInParent()
            for size in array.shape:
                out.tensor_shape.dim.add(size=size)
        return answer

    with served(answers) as runtime:
        router.serve(model("j1", contract(*fields), runtime.address))
        given = {name: plain(array) for name, array in arrays.items()}
        got = await router.post("/gateway/servable/s-j1", given)
        assert got.status == 200, got.body
        assert msgspec.json.decode(got.body) == given


async def test_text_comes_back_as_it_went(router: Bed) -> None:
    fields = [field("one", "string"), field("many", "string", (-1, 2))]
    given = {"one": "é\u0000\U0001f980", "many": [["", "[1,2]"], ['"', "\\"]]}
    with served() as runtime:
        router.serve(model("j1", contract(*fields), runtime.address))
        got = await router.post("/gateway/servable/s-j1", given)
        assert runtime.asked[0].inputs["one"].string_val[0].decode() == given["one"]
        assert msgspec.json.decode(got.body) == given

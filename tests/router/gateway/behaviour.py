"""What runtimes of the tests do, and what is counted of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
from prometheus_client.parser import text_string_to_metric_families

from services.router.gateway.tensors import make
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.router.gateway.conftest import Answers, Bed


def number(value: float) -> TensorProto:
    return make("float64", [value], ())


def says(**values: float) -> Answers:
    outputs = {name: number(value) for name, value in values.items()}
    return lambda request, context: PredictResponse(outputs=outputs)


def fails(code: grpc.StatusCode, detail: str) -> Answers:
    def answers(_: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        context.abort(code, detail)
        raise AssertionError

    return answers


def counted(router: Bed, name: str) -> dict[str, float]:
    """Samples of a metric, by the labels beside the target."""
    text = router.telemetry.render().decode()
    return {
        next(value for key, value in sample.labels.items() if key != "target"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"slipway_gateway_{name}_total"
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)

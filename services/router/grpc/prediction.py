"""`tensorflow.serving.PredictionService`, as Hydrosphere's clients know it: for servables and
applications, by `model_spec.name`.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.empty_pb2 import Empty

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.gateway import Gateway
from services.router.gateway.received import received
from services.router.grpc.call import Calls, Service, service
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import (
    PredictRequest,
    PredictResponse,
    StatusResponse,
)

SERVICE: Final = "tensorflow.serving.PredictionService"


def prediction(gateway: Gateway, calls: Calls) -> Service:
    async def predict(data: bytes, deadline: float | None) -> bytes:
        try:
            name, inputs = received(data)
        except ValueError as error:
            raise GatewayError(Kind.BAD_REQUEST, str(error)) from error
        if not name:
            raise GatewayError(
                Kind.BAD_REQUEST, "model_spec.name: the name of a servable or an application"
            )
        target = await gateway.found(name)
        if target is None:
            text = f"There is no servable and no application '{name[:100]}'"
            raise GatewayError(Kind.NOT_FOUND, text)
        outputs = await gateway.predict(target, inputs, deadline=deadline)
        return PredictResponse(outputs=outputs).SerializeToString()

    async def status(asked: Empty, deadline: float | None) -> StatusResponse:
        return StatusResponse(status=StatusResponse.SERVING, message="")

    return service(
        SERVICE,
        {"Predict": calls.raw(PredictRequest, predict), "Status": calls.method(Empty, status)},
    )

"""`inference.GRPCInferenceService`: the Open Inference Protocol over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from services.router.gateway.gateway import Gateway
from services.router.gateway.targets import Target
from services.router.gateway.tensors import weight
from services.router.grpc.call import Calls, Service, service
from services.router.inference import models
from services.router.inference.document import MOST
from services.router.inference.errors import bad
from services.router.inference.given import MANY, RANK, Given, messages
from services.router.inference.told import Told, told
from services.router.inference.wanted import answered, named
from shared.protos.inference_pb2 import (
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerLiveRequest,
    ServerLiveResponse,
    ServerMetadataRequest,
    ServerMetadataResponse,
    ServerReadyRequest,
    ServerReadyResponse,
)

SERVICE: Final = "inference.GRPCInferenceService"

CONTENTS: Final = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of InferTensorContents for elements of each datatype; FP16 has none."""


def inference(gateway: Gateway, ready: Callable[[], str | None], calls: Calls) -> Service:
    async def chosen(name: str, version: str) -> Target:
        return models.chosen(await gateway.found(name), name, version)

    async def server_live(asked: ServerLiveRequest, deadline: float | None) -> ServerLiveResponse:
        return ServerLiveResponse(live=True)

    async def server_ready(
        asked: ServerReadyRequest, deadline: float | None
    ) -> ServerReadyResponse:
        return ServerReadyResponse(ready=ready() is None)

    async def server(
        asked: ServerMetadataRequest, deadline: float | None
    ) -> ServerMetadataResponse:
        about = models.Server()
        return ServerMetadataResponse(name=about.name, version=about.version, extensions=())

    async def model_ready(asked: ModelReadyRequest, deadline: float | None) -> ModelReadyResponse:
        target = await chosen(asked.name, asked.version)
        return ModelReadyResponse(ready=models.ready(target, gateway.runs))

    async def model(asked: ModelMetadataRequest, deadline: float | None) -> ModelMetadataResponse:
        about = models.model(await chosen(asked.name, asked.version))
        return ModelMetadataResponse(
            name=about.name,
            versions=about.versions,
            platform=about.platform,
            inputs=_tensors(about.inputs),
            outputs=_tensors(about.outputs),
        )

    async def model_infer(asked: ModelInferRequest, deadline: float | None) -> ModelInferResponse:
        target = await chosen(asked.model_name, asked.model_version)
        wanted = [output.name for output in asked.outputs[: MOST + 1]]
        names = named(target, wanted)
        inputs = messages(given(asked), target.inputs)
        outputs = await gateway.predict(target, inputs, deadline=deadline)
        names = answered(names, wanted, outputs)
        found = [told(name, outputs[name]) for name in names]
        if weight(outputs) > MANY:  # it takes a while, in which others go on
            return await asyncio.to_thread(answer, asked, target, found)
        return answer(asked, target, found)

    return service(
        SERVICE,
        {
            "ServerLive": calls.method(ServerLiveRequest, server_live),
            "ServerReady": calls.method(ServerReadyRequest, server_ready),
            "ServerMetadata": calls.method(ServerMetadataRequest, server),
            "ModelReady": calls.method(ModelReadyRequest, model_ready),
            "ModelMetadata": calls.method(ModelMetadataRequest, model),
            "ModelInfer": calls.method(ModelInferRequest, model_infer),
        },
    )


def given(asked: ModelInferRequest) -> list[Given]:
    """Raises GatewayError."""
    raw = asked.raw_input_contents
    for tensors, what in ((asked.inputs, "inputs"), (asked.outputs, "outputs")):
        if len(tensors) > MOST:
            raise bad(f"{what}: {len(tensors)} tensors; {MOST} are allowed")
    if raw and len(raw) != len(asked.inputs):
        raise bad(f"raw_input_contents: {len(raw)} came for {len(asked.inputs)} inputs")
    found: list[Given] = []
    for index, each in enumerate(asked.inputs):
        at = f"inputs[{index}]"
        if raw:
            if each.HasField("contents"):
                raise bad(f"{at}.contents: is not for a request with raw_input_contents")
            found.append(_given(at, each, raw=raw[index]))
        else:
            found.append(_given(at, each, values=_values(at, each)))
    return found


def _given(at: str, each: ModelInferRequest.InferInputTensor, **elements: Any) -> Given:
    if len(each.shape) > RANK:
        raise bad(f"{at}.shape: there are more than {RANK} dimensions")
    return Given(at=at, name=each.name, datatype=each.datatype, shape=tuple(each.shape), **elements)


def _values(at: str, each: ModelInferRequest.InferInputTensor) -> Sequence[Any]:
    if each.datatype == "FP16":
        raise bad(f"{at}.contents: FP16 is for raw_input_contents alone")
    field = CONTENTS.get(each.datatype)
    for other, _ in each.contents.ListFields():
        if other.name != field:
            raise bad(f"{at}.contents.{other.name}: {each.datatype[:100]} is in {field}")
    found = getattr(each.contents, field) if field else ()
    if len(found) > MANY:
        raise bad(f"{at}.contents: more than {MANY} elements are for raw_input_contents")
    return found


def answer(asked: ModelInferRequest, target: Target, outputs: Sequence[Told]) -> ModelInferResponse:
    """In contents where the request was, unless there is no other way than raw."""
    found = ModelInferResponse(model_name=target.name, model_version=target.version, id=asked.id)
    contents = any(each.HasField("contents") for each in asked.inputs)
    raw = not contents or any(each.datatype.name == "FP16" or each.count > MANY for each in outputs)
    for each in outputs:
        output = found.outputs.add(name=each.name, datatype=each.datatype.name, shape=each.shape)
        if raw:
            found.raw_output_contents.append(each.raw())
        else:
            field = CONTENTS[each.datatype.name]
            output.contents.CopyFrom(InferTensorContents(**{field: each.values()}))
    return found


def _tensors(tensors: Sequence[models.Tensor]) -> list[ModelMetadataResponse.TensorMetadata]:
    return [
        ModelMetadataResponse.TensorMetadata(
            name=each.name, datatype=each.datatype, shape=each.shape
        )
        for each in tensors
    ]

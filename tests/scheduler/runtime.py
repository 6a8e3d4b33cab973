"""A runtime that answers `Status` as it is told: a real gRPC server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from shared.address import Address
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import StatusResponse

SERVICE = "tensorflow.serving.PredictionService"
UNKNOWN, SERVING, NOT_SERVING = 0, 1, 2


class Runtime:
    """`status` None: it does not know the question. `may_answer`: else it hangs."""

    def __init__(self, status: int | None = SERVING, message: str = "") -> None:
        self.status = status
        self.message = message
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.address = Address("")

    def answer(self, request: bytes, context: grpc.ServicerContext) -> Any:
        self.asked += 1
        self.may_answer.wait()
        if self.status is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return StatusResponse(status=self.status, message=self.message)

    @classmethod
    @contextmanager
    def serving(cls, status: int | None = SERVING, message: str = "") -> Iterator[Runtime]:
        runtime = cls(status, message)
        server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            runtime.answer, response_serializer=StatusResponse.SerializeToString
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Status": handler}),)
        )
        runtime.address = Address(f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        server.start()
        try:
            yield runtime
        finally:
            runtime.may_answer.set()
            server.stop(None).wait()

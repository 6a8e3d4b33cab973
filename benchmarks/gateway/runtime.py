"""`python -m benchmarks.gateway.runtime`: a runtime that costs next to nothing. Prints its port."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from benchmarks.gateway.models import ANSWER, PREDICT


async def predict(asked: bytes, context: Any) -> bytes:
    return ANSWER


async def main() -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    _, service, method = PREDICT.split("/")
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(predict)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {method: handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())

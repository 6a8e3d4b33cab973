"""Clients that cost little, one request at a time: grpcio's, and HTTP/1.1 on a bare socket."""

from __future__ import annotations

import socket
import statistics
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import msgspec

from benchmarks.gateway.models import PIXELS, PREDICT, SHAPE, address, document, message

Ask = Callable[[], object]


@contextmanager
def over_grpc(port: int, name: str) -> Iterator[Ask]:
    data = message(name)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)
        yield lambda: call(data)


@contextmanager
def over_http(port: int, name: str) -> Iterator[Ask]:
    with _posted(port, address(name), document(name)) as ask:
        yield ask


@contextmanager
def over_binary(port: int, name: str) -> Iterator[Ask]:
    """In the Open Inference Protocol, with the image as bytes."""
    raw = array("f", PIXELS).tobytes()
    tensor = {
        "name": "image",
        "datatype": "FP32",
        "shape": SHAPE,
        "parameters": {"binary_data_size": len(raw)},
    }
    head = msgspec.json.encode({"inputs": [tensor]})
    header = f"Inference-Header-Content-Length: {len(head)}\r\n"
    with _posted(port, f"/v2/models/{name}/infer", head + raw, header) as ask:
        yield ask


@contextmanager
def _posted(port: int, path: str, body: bytes, header: str = "") -> Iterator[Ask]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask() -> bytes:
            connection.sendall(request)
            answer = connection.recv(1 << 16)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode(errors="replace"))
            return answer

        yield ask


def p50(ask: Ask, times: int) -> float:
    """Seconds."""
    for _ in range(max(3, times // 20)):
        ask()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took)

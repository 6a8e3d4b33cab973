"""Clients that cost little, one request at a time: grpcio's, and HTTP/1.1 on a bare socket."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from benchmarks.gateway.models import PREDICT, address, document, message

Ask = Callable[[], object]


@contextmanager
def over_grpc(port: int, name: str) -> Iterator[Ask]:
    data = message(name)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)
        yield lambda: call(data)


@contextmanager
def over_http(port: int, name: str) -> Iterator[Ask]:
    body = document(name)
    head = (
        f"POST {address(name)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
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

"""What operators see of the API: requests by operation and outcome, their time, and the streams."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import Gauge, Histogram

from services.api import refused
from services.api.guard import answer, operation
from shared.problems import Problem
from shared.telemetry import SECONDS, Telemetry

IN_HAND: Final = 1000  # requests at a time; more are told to come again


class Metrics(Telemetry):
    def __init__(self, *also: Telemetry) -> None:
        super().__init__(*also)
        self.requests = Histogram(
            "slipway_api_request_seconds",
            "Time that requests took, by operation and status",
            ("operation", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_hand = Gauge(
            "slipway_api_requests_in_hand",
            "Requests that are being worked on, streams among them",
            registry=self.registry,
        )
        self._in_hand = 0

        @web.middleware
        async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._measure(request, handler)

        self.measure = measure

    async def _measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._in_hand >= IN_HAND:
            return answer(*_too_many())
        began, status = time.monotonic(), 499  # unless there is an answer, its client is gone
        self._in_hand += 1
        self.in_hand.set(self._in_hand)
        try:
            made = await handler(request)
            status = made.status
            return made
        finally:
            self._in_hand -= 1
            self.in_hand.set(self._in_hand)
            took = time.monotonic() - began
            self.requests.labels(operation(request), str(status)).observe(took)


def _too_many() -> tuple[Problem, dict[str, str]]:
    error = refused.busy("too many requests are in hand")
    return error.problem, error.headers

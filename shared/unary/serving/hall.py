"""What all connections of a server share: methods, limits, and how much is in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.unary.serving.call import Call
from shared.unary.serving.limits import Limits
from shared.unary.serving.method import Methods


class Hall:
    def __init__(self, methods: Methods, limits: Limits) -> None:
        self.methods = methods
        self.limits = limits
        self.calls = 0  # whose head is here, and that are not over
        self.tasks: set[asyncio.Task[None]] = set()  # nobody else may hold them
        self._waiting: dict[Call, Callable[[Call], None]] = {}  # answers that could not be sent

    def wait(self, call: Call, cut: Callable[[Call], None]) -> None:
        """Its answer can't be sent at once. Those that wait longest are `cut` when all together are
        more than we want to hold."""
        self._waiting[call] = cut
        while (
            len(self._waiting) > 1 and sum(one.size for one in self._waiting) > self.limits.unsent
        ):
            first = next(iter(self._waiting))
            self._waiting.pop(first)(first)

    def moves(self, call: Call) -> None:
        """Some of its answer has been taken."""
        if call in self._waiting:
            self._waiting[call] = self._waiting.pop(call)

    def sent(self, call: Call) -> None:
        """Nothing more of its answer is to be sent. May be told of any call."""
        self._waiting.pop(call, None)

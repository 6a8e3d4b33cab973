"""Asking applications and servables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.calls.models import Models
from slipway.config import Settings
from slipway.gateway import DEADLINE, Gateway, address, encode, outputs
from slipway.transport import Transport
from slipway.types import Whoami


class Predictions(Models):
    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        super().__init__(settings, transport)
        self._gateway = Gateway()
        self._router = ""

    async def __aexit__(self, *_: object) -> None:
        await self._gateway.close()
        await super().__aexit__()

    async def predict(
        self,
        name: str,
        inputs: Mapping[str, Any],
        *,
        servable: bool = False,
        timeout: float = DEADLINE,
    ) -> dict[str, Any]:
        """What the application `name` (or the servable of that name) makes of `inputs`.

        Arrays go as nested lists, and come back so. Raises SlipwayError when it is refused; its
        `problem.title` is the gateway's kind of error, such as ContractViolationError.
        """
        url = await self.gateway_url(name, servable=servable)
        reply = await self._gateway.ask(url, encode(inputs), timeout)
        found: dict[str, Any] = outputs(reply)
        return found

    async def gateway_url(self, name: str, *, servable: bool = False) -> str:
        """Where `predict` asks."""
        if not self._router:
            self._router = (await self._transport.get("/whoami", Whoami)).router_url
        return address(self._router, name, servable=servable)

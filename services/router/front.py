"""Pages that the router answers itself, beside those of endpoints: a protocol of its own each."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from services.router.reply import Reply
from services.router.vet import Vetted


class Front(Protocol):
    def has(self, path: bytes) -> bool:
        """Whether a path (without its query) is one of its pages."""

    async def answer(self, request: web.BaseRequest, vetted: Vetted, reply: Reply) -> None: ...

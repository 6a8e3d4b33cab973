"""Answers as the API gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

Thing = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).isoformat()


def answer(value: Any, status: int = 200, **headers: str) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers=headers,
    )


def refuse(status: int, name: str, title: str, detail: str = "", *errors: Thing) -> web.Response:
    told = {
        "type": f"urn:slipway:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": errors,
    }
    return web.Response(
        body=msgspec.json.encode(told), status=status, content_type="application/problem+json"
    )


def page(request: web.Request, items: list[Thing]) -> web.Response:
    start = int(request.query.get("after") or 0)
    end = start + int(request.query.get("limit") or 100)
    return answer({"items": items[start:end], "next": str(end) if end < len(items) else None})

"""What to send to an endpoint, from what a person types: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from slipway.errors import BadUsage
from slipway.types import Parameter, Route

TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
}


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed."""

    method: str | None = None
    path: str | None = None
    query: str | None = None
    fields: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, Path]] = ()
    body: Any = msgspec.UNSET


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is sent as JSON; without one, fields and files are sent as a form."""

    method: str
    url: str
    body: Any = msgspec.UNSET
    fields: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, Path]] = ()


def compose(url: str, typed: Typed, routes: Sequence[Route]) -> Request:
    """`routes` are those of a proxiML endpoint: fields become a JSON body of their types."""
    if typed.body is not msgspec.UNSET and (typed.fields or typed.files):
        raise BadUsage("--body can't be sent together with --field or --file")
    route = _route(typed, routes) if routes else None
    body, fields = typed.body, typed.fields
    if route is not None and fields and not typed.files:
        body, fields = values(fields, route.body), ()
    sends = body is not msgspec.UNSET or fields or typed.files
    usual = route.verb if route is not None else "POST" if sends else "GET"
    path = typed.path if typed.path is not None else route.path if route is not None else ""
    return Request(
        method=(typed.method or usual).upper(),
        url=_url(url, path, typed.query),
        body=body,
        fields=fields,
        files=typed.files,
    )


def values(fields: Sequence[tuple[str, str]], template: Sequence[Parameter]) -> dict[str, Any]:
    """Fields as the types that the route's template asks for; others as what they look like."""
    types = {parameter.name: parameter.type for parameter in template}
    return {name: _value(name, text, types.get(name)) for name, text in fields}


def _value(name: str, text: str, kind: str | None) -> Any:
    if kind == "str":
        return text
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        found = text
    wanted = TYPES.get(kind or "")
    if wanted is None:
        return found
    if not isinstance(found, wanted) or (isinstance(found, bool) and kind != "bool"):
        raise BadUsage(f"--field {name}={text[:40]}: this route wants {kind} here", _example(kind))
    return found


def _example(kind: str | None) -> str:
    shown: Mapping[str | None, str] = {
        "int": "3",
        "float": "0.5",
        "bool": "true",
        "list": "[1,2]",
        "dict": '{"a":1}',
    }
    return f"written as JSON: {shown[kind]}"


def _route(typed: Typed, routes: Sequence[Route]) -> Route | None:
    """The route that is meant; None when it is none of them, so that the endpoint can say so."""
    if typed.path is not None:
        path = "/" + typed.path.strip("/")
        called = [route for route in routes if "/" + route.path.strip("/") == path]
        method = (typed.method or "").upper()
        return next((route for route in called if route.verb.upper() == method), None) or next(
            iter(called), None
        )
    if len(routes) > 1:
        paths = ", ".join(f"{route.verb} {route.path}" for route in routes)
        raise BadUsage("this endpoint has several routes", f"choose one with --path: {paths}")
    return routes[0]


def _url(url: str, path: str, query: str | None) -> str:
    whole = url.rstrip("/") + "/" + path.lstrip("/") if path else url
    return f"{whole}?{query.lstrip('?')}" if query else whole

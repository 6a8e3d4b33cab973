"""Reading what people send: bounded in size and time, and checked before anything is made of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from services.api import refused
from services.api.types import PATTERNS
from shared.errors import Invalid

LIMIT: Final = 1 << 20  # bytes of a JSON body
GRACE: Final = 10.0  # seconds that any body may take ...
RATE: Final = 1024  # ... and another second for every so many bytes that came
LARGEST: Final = 2**63
T = TypeVar("T")

Clock = Callable[[], float]


async def chunks(request: web.Request, limit: int, *, rate: int = RATE) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Refused when it is too large, too slow or ends too early."""
    length = request.content_length
    if length is not None and length > limit:
        raise refused.too_large(limit)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise refused.unsupported("send the body without a Content-Encoding")
    began, size = asyncio.get_running_loop().time(), 0
    while True:
        try:
            async with asyncio.timeout_at(began + GRACE + size / rate):
                chunk = await request.content.readany()
        except TimeoutError:
            raise refused.too_slow() from None
        except web.PayloadAccessError:
            raise
        except (web.RequestPayloadError, ConnectionError):
            raise refused.malformed("the body ends too early or is not well framed") from None
        if not chunk:
            return
        size += len(chunk)
        if size > limit:
            raise refused.too_large(limit)
        yield chunk


async def read(request: web.Request) -> bytes:
    return b"".join([chunk async for chunk in chunks(request, LIMIT)])


def check_type(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise refused.unsupported("send `Content-Type: application/json`")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise refused.unsupported("JSON is UTF-8")


def decode(raw: bytes, kind: type[T]) -> T:
    """`raw` as a `kind`. Refused when it is not JSON, Invalid naming the field when it is wrong."""
    return convert(parse(raw), kind)


def parse(raw: bytes) -> Any:
    """JSON that means one thing: no duplicate keys, no NaN, nothing that PostgreSQL can't keep."""
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_once, parse_constant=_constant, parse_int=_integer
        )
    except UnicodeDecodeError:
        raise refused.malformed("it is not UTF-8") from None
    except RecursionError:
        raise refused.malformed("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise refused.malformed(f"at byte {error.pos}") from None
    check(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise refused.malformed("an object has the same key twice")
    return made


def _constant(_: str) -> Any:
    raise refused.malformed("NaN and Infinity are not JSON")


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= 20 else LARGEST  # `check` names the field


def check(value: Any) -> None:
    """Refuse what JSON can say and the platform can't keep: NUL, lone surrogates, huge numbers."""
    waiting = [("", value)]
    while waiting:
        field, part = waiting.pop()
        if isinstance(part, dict):
            waiting += [(field, key) for key in part]
            waiting += [(f"{field}.{key[:40]}".lstrip("."), inner) for key, inner in part.items()]
        elif isinstance(part, list):
            waiting += [(f"{field}[{at}]", inner) for at, inner in enumerate(part)]
        elif isinstance(part, str):
            _check_text(field, part)
        elif isinstance(part, int) and not -LARGEST <= part < LARGEST:
            raise Invalid(field, "is an integer beyond 64 bits")
        elif isinstance(part, float) and part in (float("inf"), float("-inf")):
            raise Invalid(field, "is a number beyond what a double can hold")


def _check_text(field: str, text: str) -> None:
    if "\0" in text:
        raise Invalid(safe(field), "must not hold a NUL character")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Invalid(safe(field), "is not valid Unicode")


def safe(text: str) -> str:
    """`text` as it may stand in an answer."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Raises Invalid naming the field."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid(_with_keys(value, kind, str(error))) from None


ANY: Final = "[...]"  # how msgspec writes a key that it does not tell


def _with_keys(value: Any, kind: Any, said: str) -> str:
    """What msgspec said, with the keys in the path: those without which it says something else.

    Found by halves: what is sent may have very many keys, and much beside them.
    """
    path = said
    for _ in range(said.count(ANY)):
        place = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path.partition(ANY)[0].rpartition("`$")[2])
        keys: list[Any] = [name or int(number) for name, number in place]
        left = _keys(value, keys)
        while len(left) > 1:
            half = left[: len(left) // 2]
            left = half if _says(_only(value, keys, half), kind) == said else left[len(half) :]
        if not left or _says(_only(value, keys, left), kind) != said:
            return path
        value, path = _only(value, keys, left), path.replace(ANY, f".{left[0][:40]}", 1)
    return path


def _keys(value: Any, path: list[Any]) -> list[str]:
    for step in path:
        value = value[step]
    return list(value) if isinstance(value, dict) else []


def _only(value: Any, path: list[Any], keys: list[str]) -> Any:
    """`value` with nothing but `keys` in the object at `path`."""
    if not path:
        return {key: value[key] for key in keys}
    step, inner = path[0], _only(value[path[0]], path[1:], keys)
    if isinstance(value, dict):
        return value | {step: inner}
    return [*value[:step], inner, *value[step + 1 :]]


def _says(value: Any, kind: Any) -> str:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


_MESSAGE: Final = re.compile(
    r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`(?: in `(?P<of>[^`]*)`)?)?", re.S
)
_FIELD: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.S)
_PATTERN: Final = re.compile(r"Expected `str` matching regex (.*)", re.S)


def invalid(said: str) -> Invalid:
    """What msgspec says, as the field's dotted path and a message for a person.

    >>> invalid("Object contains unknown field `x` - at `$.r`").field
    'r.x'
    """
    found = _MESSAGE.fullmatch(said)
    assert found is not None
    what, path = found["what"], (found["of"] or found["path"] or "$")
    if field := _FIELD.fullmatch(what):
        path = f"{path}.{field[2][:40]}"
        what = "is not a known field" if "unknown" in field[1] else "is required"
    elif pattern := _PATTERN.fullmatch(what):
        what = f"must be {PATTERNS.get(pattern[1], f'of the form {pattern[1]}')}"
    field_path = path.removeprefix("$").removeprefix(".")
    return Invalid(safe(field_path), safe(what[:1].lower() + what[1:]))

"""Is this request one thing only, to every reader? If not it is refused before anything is done.

The HTTP library below lets through what two programs in a row may read differently: a body length
said twice, two hosts, a target that disagrees with its host, an offer to change the protocol. What
is decided here is decided on the raw header lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

Header: TypeAlias = tuple[bytes, bytes]

CHUNKED: Final = -1
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)([/?].*)?", re.IGNORECASE | re.DOTALL)
_BAD_TARGET: Final = re.compile(rb"[\x00-\x20\x7f#]")
_WEBSOCKET_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


class Vetted(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be read in one way."""

    method: bytes
    target: bytes  # origin form
    host: bytes  # "" only for HTTP/1.0
    headers: Sequence[Header]  # as they came
    length: int | None  # of the body; CHUNKED: known at its end; None: there is none
    expects: bool  # the client waits for 100 before it sends the body
    websocket: bool
    last: bool  # what follows on this connection can't be read as a request


class Refused(msgspec.Struct, frozen=True):
    status: int
    reason: str


def vet(
    method: bytes, target: bytes, version: tuple[int, int], headers: Sequence[Header]
) -> Vetted | Refused:
    if version not in ((1, 0), (1, 1)):
        return Refused(505, "Only HTTP/1.1 is spoken here.")
    if method in (b"CONNECT", b"TRACE"):
        return Refused(405, "This method is not forwarded.")
    if reason := _lines(headers):
        return Refused(400, reason)
    length = _length(headers, version)
    if isinstance(length, Refused):
        return length
    host = _host(headers, version)
    if isinstance(host, Refused):
        return host
    origin = _origin(target, host)
    if isinstance(origin, Refused):
        return origin
    expects = values(headers, b"expect")
    if expects and (len(expects) > 1 or expects[0].lower() != b"100-continue"):
        return Refused(417, "Only one `Expect: 100-continue` can be met.")
    websocket = _websocket(method, version, headers, length)
    if isinstance(websocket, Refused):
        return websocket
    return Vetted(
        method=method,
        target=origin,
        host=host,
        headers=headers,
        length=length,
        expects=bool(expects) and version == (1, 1),
        websocket=websocket,
        last=not websocket and b"upgrade" in items(headers, b"connection"),
    )


def values(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """The values of every header line called `name` (lower case)."""
    return [value for key, value in headers if key.lower() == name]


def items(headers: Iterable[Header], name: bytes) -> set[bytes]:
    """The comma-separated items of a header, in lower case."""
    joined = b",".join(values(headers, name)).lower()
    return {item for part in joined.split(b",") if (item := part.strip(b" \t"))}


def bad_line(name: bytes, value: bytes) -> bool:
    return not _TOKEN.fullmatch(name) or _CONTROL.search(value) is not None


def content_length(found: Sequence[bytes]) -> int | None:
    """The one plain number in `found`, or None."""
    return int(found[0]) if len(found) == 1 and _LENGTH.fullmatch(found[0]) else None


def _lines(headers: Sequence[Header]) -> str:
    if any(bad_line(name, value) for name, value in headers):
        return "A header line has a character that is not allowed."
    return ""


def _length(headers: Sequence[Header], version: tuple[int, int]) -> int | Refused | None:
    lengths = values(headers, b"content-length")
    codings = values(headers, b"transfer-encoding")
    if codings:
        if lengths:
            return Refused(400, "Content-Length and Transfer-Encoding contradict each other.")
        if version == (1, 0):
            return Refused(400, "HTTP/1.0 has no Transfer-Encoding.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            return Refused(400, "The only Transfer-Encoding understood is `chunked`.")
        return CHUNKED
    if not lengths:
        return None
    length = content_length(lengths)
    return Refused(400, "Content-Length is not one plain number.") if length is None else length


def _host(headers: Sequence[Header], version: tuple[int, int]) -> bytes | Refused:
    hosts = values(headers, b"host")
    if not hosts and version == (1, 0):
        return b""
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return Refused(400, "There must be one valid Host.")
    return hosts[0]


def _origin(target: bytes, host: bytes) -> bytes | Refused:
    if _BAD_TARGET.search(target):
        return Refused(400, "The target has a character that is not allowed.")
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return Refused(400, "The target is neither a path nor a URL.")
    if absolute[1].lower() != host.lower():
        return Refused(400, "The target names another host than the Host header.")
    path = absolute[2] or b"/"
    return b"/" + path if path.startswith(b"?") else path


def _websocket(
    method: bytes, version: tuple[int, int], headers: Sequence[Header], length: int | None
) -> bool | Refused:
    offers = items(headers, b"upgrade")
    if any(offer.startswith(b"h2c") for offer in offers) or values(headers, b"http2-settings"):
        return Refused(400, "HTTP/2 is not spoken here.")
    if b"websocket" not in offers or b"upgrade" not in items(headers, b"connection"):
        return False
    keys = values(headers, b"sec-websocket-key")
    if (
        offers != {b"websocket"}
        or method != b"GET"
        or version != (1, 1)
        or length
        or values(headers, b"sec-websocket-version") != [b"13"]
        or len(keys) != 1
        or not _WEBSOCKET_KEY.fullmatch(keys[0])
    ):
        return Refused(400, "This is not a valid WebSocket handshake.")
    return True

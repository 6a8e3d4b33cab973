"""Which header lines pass: those between client and endpoint do, those about one connection don't,
and what only the router may say is said by the router alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.router.resolve import Match
from services.router.vet import CHUNKED, Header, Vetted, items

HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""About one connection (RFC 9110, 7.6.1)."""

OURS: Final = frozenset(
    {
        b"content-length",  # said anew, as the body is framed anew
        b"expect",  # met by the router itself
        b"forwarded",
        b"host",
        b"http2-settings",
        b"proxy",  # becomes HTTP_PROXY in a CGI-like server
        b"sec-websocket-extensions",  # agreed on between neighbours, and we agree on none
        b"x-real-ip",
        b"x-vh-prefix",
    }
)
"""Said by the router or by nobody; what a client says of them is dropped."""

FORWARDED: Final = b"x-forwarded-"


def to_endpoint(request: Vetted, match: Match, client: str, scheme: str) -> list[Header]:
    """The header lines for the endpoint, framing included."""
    named = items(request.headers, b"connection")
    kept = [
        (name, value)
        for name, value in request.headers
        if (low := name.lower()) not in HOP
        and low not in OURS
        and low not in named
        and b"_" not in low  # `X_Real_IP` and `X-Real-IP` are one to many a server
        and not low.startswith(FORWARDED)
    ]
    return [(b"Host", request.host or b"localhost"), *kept, *_told(request, match, client, scheme)]


def _told(request: Vetted, match: Match, client: str, scheme: str) -> list[Header]:
    host = request.host or b"localhost"
    node = f'"[{client}]"' if ":" in client else client
    told: list[Header] = [
        (b"X-Forwarded-For", client.encode()),
        (b"X-Forwarded-Proto", scheme.encode()),
        (b"X-Forwarded-Host", host),
        (b"X-Real-IP", client.encode()),
        (b"Forwarded", b'for=%s;host="%s";proto=%s' % (node.encode(), host, scheme.encode())),
    ]
    if match.valohai:
        told.append((b"X-VH-Prefix", match.prefix))
    if match.stripped:
        told.append((b"X-Forwarded-Prefix", match.prefix))
    if request.length == CHUNKED:
        told.append((b"Transfer-Encoding", b"chunked"))
    elif request.length is not None:
        told.append((b"Content-Length", b"%d" % request.length))
    if request.websocket:
        return [*told, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return [*told, (b"Connection", b"close")]


def to_client(headers: Sequence[Header]) -> list[Header]:
    """The header lines of an answer, without its framing."""
    named = items(headers, b"connection")
    return [
        (name, value)
        for name, value in headers
        if (low := name.lower()) not in HOP and low != b"content-length" and low not in named
    ]


def lines(start: bytes, headers: Sequence[Header]) -> bytes:
    """A message's head as it goes on the wire."""
    return b"".join([start, *(b"\r\n%s: %s" % header for header in headers), b"\r\n\r\n"])

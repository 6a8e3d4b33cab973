"""Which page of the Open Inference Protocol a path is: pure."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec

ROOT: Final = b"/v2"

What = Literal["server", "live", "ready", "model", "model-ready", "infer"]

_FIXED: Final[dict[bytes, What]] = {
    b"/v2": "server",
    b"/v2/health/live": "live",
    b"/v2/health/ready": "ready",
}
_MODEL: Final = re.compile(
    rb"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<what>/ready|/infer)?"
)
_WHAT: Final[dict[bytes | None, What]] = {
    None: "model",
    b"/ready": "model-ready",
    b"/infer": "infer",
}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    what: What
    model: str = ""
    version: str = ""  # "": whichever answers

    @property
    def methods(self) -> tuple[bytes, ...]:
        return (b"POST",) if self.what == "infer" else (b"GET", b"HEAD")


def page(path: bytes) -> Page | None:
    """Of a path without its query.

    >>> page(b"/v2/models/claims/versions/3/infer")
    Page(what='infer', model='claims', version='3')
    >>> page(b"/v2/models/claims/ready/").what
    'model-ready'
    """
    path = path.removesuffix(b"/")
    if fixed := _FIXED.get(path):
        return Page(what=fixed)
    match = _MODEL.fullmatch(path)
    if match is None:
        return None
    return Page(
        what=_WHAT[match["what"]],
        model=_plain(match["name"]),
        version=_plain(match["version"] or b""),
    )


def _plain(piece: bytes) -> str:
    return unquote_to_bytes(piece).decode(errors="replace")

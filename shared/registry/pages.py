"""Long lists come in pages; the Link header of each (RFC 8288) says where the next one is."""

from __future__ import annotations

import re
from typing import Final

from yarl import URL

from shared.registry.errors import Damaged
from shared.registry.reference import Reference
from shared.registry.session import Answer

_NEXT: Final = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?')


def following(what: Reference, answer: Answer) -> URL | None:
    """The next page, which is at the same registry; None after the last."""
    match = _NEXT.match(answer.headers.get("Link", "").strip())
    if match is None:
        return None
    try:
        url = answer.url.join(URL(match[1], encoded=True))
        if url.origin() == answer.url.origin() and url != answer.url:
            return url
    except ValueError:
        pass
    raise Damaged(f"{what}: the registry sends us elsewhere for the rest of a list")

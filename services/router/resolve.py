"""From the raw bytes of a request to the endpoint it is for.

What decides and what is forwarded are the same bytes: nothing is decoded or tidied up. So the part
of a path that names an endpoint must be spelled plainly, and anything that could be read in two
ways there is refused. What follows it is the endpoint's own business and is passed on untouched.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from services.router.table import Place, Route, Table

ENDPOINTS: Final = b"endpoints"
NAMES: Final = 5  # /<owner>/<project>/<deployment>/<version or alias>/<endpoint>

_PLAIN: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:@-]+")
_JOB: Final = re.compile(rb"[a-z0-9]{1,63}")


class Match(msgspec.Struct, frozen=True):
    route: Route
    prefix: bytes  # what of the path named the endpoint; begins with / and does not end with it
    target: bytes  # what to ask the endpoint for
    rest: bytes  # the path behind the prefix, without the query
    valohai: bool = False  # addressed by names, so the endpoint is told the prefix
    stripped: bool = False  # the prefix is not in the target


class Ambiguous(msgspec.Struct, frozen=True):
    """The path can be read in more than one way."""

    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """Nothing has this address."""

    cors: bool = False  # asked for in the way that browsers may


def job_of(host: bytes, domain: bytes) -> bytes | None:
    """`<job>` when `host` is `<job>.<domain>`, whatever the port."""
    name = host.rsplit(b":", 1)[0] if not host.endswith(b"]") else host
    job, dot, rest = name.lower().partition(b".")
    return job if dot and rest == domain and _JOB.fullmatch(job) else None


Resolved = Match | Ambiguous | Unknown


def resolve(table: Table, host: bytes, target: bytes, domain: bytes) -> Resolved:
    """`target` is a request's target in origin form, exactly as it came."""
    path, mark, query = target.partition(b"?")
    if job := job_of(host, domain):
        return _found(table.job(job.decode()), b"", target, path) or Unknown(cors=True)
    head = path[1:].partition(b"/")[0]
    count = 2 if head == ENDPOINTS else NAMES
    pieces = path[1:].split(b"/", count)
    names = pieces[:count]
    if len(pieces) <= count and not names[-1]:
        names.pop()  # a path that ends with / before it has named an endpoint
    if reason := _ambiguous(names):
        return Ambiguous(reason)
    if len(names) < count:
        return Unknown(cors=head == ENDPOINTS)
    prefix = b"/" + b"/".join(names)
    behind = path[len(prefix) :]
    stripped = (behind or b"/") + mark + query
    if head == ENDPOINTS:
        route = table.job(names[1].decode())
        return _found(route, prefix, stripped, behind, stripped=True) or Unknown(cors=True)
    owner, project, deployment, version, endpoint = (name.decode() for name in names)
    route = table.endpoint(Place(owner, project, deployment, version), endpoint)
    if route is None:
        return Unknown()
    strip = route.serving.strip_prefix
    return Match(route, prefix, stripped if strip else target, behind, True, strip)


def _found(
    route: Route | None, prefix: bytes, target: bytes, rest: bytes, *, stripped: bool = False
) -> Match | None:
    if route is None or route.model is not None:  # a model is the gateway's to ask
        return None
    return Match(route, prefix, target, rest, stripped=stripped)


def _ambiguous(names: list[bytes]) -> str:
    """Why these path segments could mean something else to another reader; "" when they can't."""
    if not all(names):
        return "The path has an empty segment where it names an endpoint."
    if b"." in names or b".." in names:
        return "The path has a dot segment where it names an endpoint."
    if not all(_PLAIN.fullmatch(name) for name in names):
        return "The path has an encoded or unusual character where it names an endpoint."
    return ""

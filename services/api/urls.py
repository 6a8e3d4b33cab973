"""Where traffic for a job goes. The router routes by the same rules."""

from __future__ import annotations

from urllib.parse import quote


def valohai(
    router: str, owner: str, project: str, deployment: str, version: str, endpoint: str
) -> str:
    """`version` is a version's name or an alias's."""
    path = "/".join(
        quote(part, safe="") for part in (owner, project, deployment, version, endpoint)
    )
    return f"{router}/{path}"


def application(router: str, name: str) -> str:
    return f"{router}/gateway/application/{name}"


def servable(router: str, name: str) -> str:
    return f"{router}/gateway/servable/{name}"


def proximl(router: str, job: str) -> str:
    return f"{router}/endpoints/{job}"

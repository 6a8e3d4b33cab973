"""One request of a client of Hydrosphere's: who asks, and for which project."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from services.api import refused, token
from services.api.call import PROJECT, Call, Project
from services.api.context import Context
from services.api.token import Identity
from services.api.types import NoQuery, Role
from shared.database.sqlfile import sql

PROJECTS = sql("services.api", "projects")

HOW: Final = "give the client the address http://<project>:<token>@<host>"


class Bound(Call[NoQuery, Any]):
    """A call of `/v1` about a thing that this request names in its own way."""

    def __init__(self, ask: Ask, body: Any, names: Mapping[str, str]) -> None:
        super().__init__(
            request=ask.request,
            context=ask.context,
            who=ask.who,
            query=NoQuery(),
            body=body,
            once=None,
        )
        self._names = {"owner": ask.project.owner, "project": ask.project.name, **names}

    @property
    def path(self) -> Mapping[str, str]:
        return self._names


class Ask:
    def __init__(
        self, *, request: web.Request, context: Context, who: Identity, project: Project
    ) -> None:
        self.request = request
        self.context = context
        self.who = who
        self.project = project

    @property
    def names(self) -> Mapping[str, str]:
        """Those in the path."""
        return self.request.match_info

    def call(self, body: Any = None, **names: str) -> Bound:
        return Bound(self, body, names)


async def read(request: web.Request, context: Context, role: Role) -> Ask:
    """Who asks. Refused without a token that may do this, or when the project is not clear."""
    header = request.headers.get("Authorization")
    if "Origin" in request.headers:  # a browser sends passwords for whatever page asks it to
        raise refused.forbidden("it is not for pages of browsers")
    who = await context.tokens.identify(token.presented(header, passwords=True))
    if not who.may(role):
        raise refused.forbidden(f"it needs the role {role}")
    project = await _project(context, who, _user(header or ""))
    return Ask(request=request, context=context, who=who, project=project)


def _user(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _project(context: Context, who: Identity, user: str) -> Project:
    """`project`, or `owner/project`; the only one of its owner's when there is no name."""
    if not user:
        rows = await context.database.fetch(PROJECTS, who.owner, None, 2)
        if len(rows) != 1:
            raise refused.malformed_request(f"the project is not named: {HOW}")
        row = rows[0]
    else:
        owner, _, name = user.rpartition("/")
        owner = owner or who.owner
        found = await context.database.row(PROJECT, owner, name) if who.sees(owner) else None
        if found is None:
            raise refused.missing("project")
        row = found
    return Project(seq=row["seq"], owner=row["owner"], name=row["name"])

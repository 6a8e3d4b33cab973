"""Who we are, and what belongs to whom: owners, projects and tokens."""

from __future__ import annotations

from datetime import datetime

from slipway.calls.base import Base, at, given
from slipway.types import MadeToken, Owner, Project, Token, Whoami


class Accounts(Base):
    async def whoami(self) -> Whoami:
        """The token's owner and role, and where traffic goes."""
        return await self._transport.get("/whoami", Whoami)

    async def create_owner(self, name: str) -> Owner:
        return await self._transport.post("/owners", Owner, given(name=name))

    async def owners(self) -> list[Owner]:
        return await self._all("/owners", Owner)

    async def create_project(self, name: str, owner: str | None = None) -> Project:
        """`owner` is the token's own by default."""
        return await self._transport.post("/projects", Project, given(name=name, owner=owner))

    async def projects(self) -> list[Project]:
        return await self._all("/projects", Project)

    async def create_token(
        self,
        *,
        owner: str | None = None,
        role: str = "write",
        note: str = "",
        expires_at: datetime | None = None,
    ) -> MadeToken:
        """A new token. Its text is in this answer and nowhere else."""
        ask = given(role=role, note=note, expires_at=expires_at)
        return await self._transport.post(await self._tokens(owner), MadeToken, ask)

    async def tokens(self, owner: str | None = None) -> list[Token]:
        return await self._all(await self._tokens(owner), Token)

    async def revoke_token(self, token: str, owner: str | None = None) -> None:
        """`token` is its id, not its text. Revoking twice changes nothing."""
        await self._transport.delete(f"{await self._tokens(owner)}/{at(token)}")

    async def _tokens(self, owner: str | None) -> str:
        return f"/owners/{at(owner or (await self.whoami()).owner)}/tokens"

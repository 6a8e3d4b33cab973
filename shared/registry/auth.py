"""What to send as Authorization: nothing, a password (Basic), or a token from a token server.

A registry says what it wants when it first answers 401; that is remembered, so that later requests
bring it along. A token is good for the repositories and actions that it was asked for and is had
again when it has run out, or was refused. A login goes to its own registry and to the token server
that this registry names, which must speak TLS unless all of it happens on the loopback.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

import msgspec
from yarl import URL

from shared.registry import challenge
from shared.registry.challenge import Challenge
from shared.registry.credentials import Credentials, Login
from shared.registry.errors import Damaged, Denied, failure
from shared.registry.hosts import Hosts, is_loopback, name_of
from shared.registry.wire import Body, Wire

Scopes = tuple[str, ...]
"""`repository:team/app:pull,push` and the like."""

REMEMBERED: Final = 1_000  # tokens
LIFETIME: Final = 60.0  # seconds, of a token that does not say
LONGEST: Final = 3_600.0
MARGIN: Final = 5.0  # seconds before its end at which a token is not sent any more

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")


class _Answer(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: float = LIFETIME


class _Token(msgspec.Struct, frozen=True):
    header: str
    until: float


class Auth:
    def __init__(self, wire: Wire, credentials: Credentials, hosts: Hosts) -> None:
        self._wire = wire
        self._credentials = credentials
        self._hosts = hosts
        self._asked: dict[str, Challenge] = {}
        self._tokens: dict[tuple[str, Scopes], _Token] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def header(self, registry: str, scopes: Scopes) -> str:
        """What this registry is known to want, or ""."""
        asked = self._asked.get(registry)
        if asked is None:
            return ""
        if asked.scheme == "basic":
            return self._basic(registry)
        return await self._token(registry, scopes, asked)

    async def answer(
        self, registry: str, scopes: Scopes, challenges: Sequence[str], refused: str
    ) -> str:
        """What to send instead of `refused`, which got a 401. Raises Denied: there is nothing."""
        asked = challenge.preferred(challenges)
        if asked is None:
            raise Denied(f"{registry} refuses us, and does not say how to log in")
        if len(self._asked) >= REMEMBERED:
            self._asked.clear()
        self._asked[registry] = asked
        if asked.scheme == "basic":
            header = self._basic(registry)
        else:
            held = self._tokens.get((registry, scopes))
            if held is not None and held.header == refused:
                del self._tokens[registry, scopes]
            header = await self._token(registry, scopes, asked)
        if not header or header == refused:
            raise Denied(self._advice(registry))
        return header

    def _basic(self, registry: str) -> str:
        login = self._credentials.login(registry)
        return login.basic if login else ""

    def _advice(self, registry: str) -> str:
        if self._credentials.login(registry):
            return f"{registry} refuses the login that the file REGISTRY_AUTH names has for it"
        return (
            f"{registry} wants a login; give a user and password for it in the file that "
            "REGISTRY_AUTH names"
        )

    async def _token(self, registry: str, scopes: Scopes, asked: Challenge) -> str:
        lock = self._locks.setdefault(registry, asyncio.Lock())
        async with lock:
            held = self._tokens.get((registry, scopes))
            if held is None or time.monotonic() > held.until:
                held = await self._fetch(registry, scopes, asked)
                self._tokens.pop((registry, scopes), None)
                while len(self._tokens) >= REMEMBERED:
                    del self._tokens[next(iter(self._tokens))]
                self._tokens[registry, scopes] = held
            return held.header

    async def _fetch(self, registry: str, scopes: Scopes, asked: Challenge) -> _Token:
        login = self._credentials.login(registry) or Login()
        if login.registry_token:
            return _Token(f"Bearer {login.registry_token}", time.monotonic() + LONGEST)
        realm = self._realm(registry, asked.realm)
        service = [("service", asked.service)] if asked.service else []
        if login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": "slipway",
                "scope": " ".join(scopes),
            }
            form |= dict(service) | {"refresh_token": login.identity_token}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return await self._ask(
                registry, "POST", realm, headers, URL.build(query=form).raw_query_string.encode()
            )
        url = realm.extend_query([*service, *(("scope", scope) for scope in scopes)])
        headers = {"Authorization": login.basic} if login.basic else {}
        return await self._ask(registry, "GET", url, headers, None)

    async def _ask(
        self, registry: str, method: str, url: URL, headers: dict[str, str], data: Body
    ) -> _Token:
        limits = self._wire.limits
        began = time.monotonic()
        async with self._wire.exchange(
            method, url, headers=headers, data=data, seconds=limits.request
        ) as response:
            body = await self._wire.read(response, limits.error)
            if response.status in (400, 401, 403, 404):
                raise Denied(self._advice(registry))
            if response.status != 200:
                raise failure(
                    f"the token server of {registry}", response.status, response.headers, b""
                )
        return _read(registry, body, began)

    def _realm(self, registry: str, text: str) -> URL:
        try:
            url = URL(text)
        except ValueError:
            url = URL()
        plain = url.scheme == "http" and is_loopback(name_of(registry))
        sound = url.host and not url.user and not url.password and not url.fragment
        if not sound or not (
            url.scheme == "https" or (plain and is_loopback((url.host or "").lower()))
        ):
            raise Denied(f"{registry} names a token server that is not at an https address")
        return url


def _read(registry: str, body: bytes, began: float) -> _Token:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # without the cause, which may quote the token
        raise Damaged(f"the token server of {registry} answered no token") from None
    token = answer.token or answer.access_token
    if not _TOKEN.fullmatch(token):
        raise Damaged(f"the token server of {registry} answered no token")
    lifetime = min(max(answer.expires_in, 0.0), LONGEST)
    return _Token(f"Bearer {token}", began + max(lifetime - MARGIN, lifetime / 2))

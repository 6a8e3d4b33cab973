"""Logins: a real registry with passwords, and a small one with a token server beside it."""

from __future__ import annotations

import base64
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from shared.config import Misconfigured
from shared.errors import Transient
from shared.registry import Credentials, Damaged, Denied, Reference, Registries, parse
from tests.beds.registry import registry
from tests.shared.registry.made import QUICK, blob_of, manifest_of, opened, push
from tests.shared.registry.scripted import Scripted, error_answer, manifest_answer, scripted

LAYER = b"layer" * 100
BODY = msgspec.json.encode(manifest_of(LAYER))
PASSWORD = "canary-pässword:with-colon"


def logins(address: str, user: str = "ann", password: str = PASSWORD, **more: str) -> Credentials:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    entry = {"auth": auth} | more
    return Credentials.decode(msgspec.json.encode({"auths": {address: entry}}))


async def test_a_registry_with_passwords_lets_in_who_has_one(tmp_path: Path) -> None:
    async with registry(tmp_path, users={"ann": PASSWORD}) as address:
        app = parse(f"{address}/team/app")
        async with Registries.open(logins(address), limits=QUICK) as registries:
            _, named = await push(registries, app, LAYER, tag="1")
            assert (await registries.resolve(app.tagged("1"))).reference == app.at(named.digest)
            assert await registries.read(app, blob_of(LAYER)) == LAYER
        async with Registries.open(limits=QUICK) as registries:
            with pytest.raises(Denied, match=r"wants a login.*REGISTRY_AUTH"):
                await registries.resolve(app.tagged("1"))
            with pytest.raises(Denied):
                await registries.push_blob(app, blob_of(LAYER), opened(LAYER))
        async with Registries.open(logins(address, password="wrong"), limits=QUICK) as registries:
            with pytest.raises(Denied, match="does not let us") as refused:
                await registries.resolve(app.tagged("1"))
            assert "wrong" not in str(refused.value)


class Guarded:
    """A registry that wants a token for everything, and the server that gives them."""

    def __init__(self, *, expires_in: float = 300, uses: int = 1_000_000, login: str = "") -> None:
        self.expires_in = expires_in
        self.uses = uses  # of one token
        self.login = login
        self.realm = ""
        self.given: dict[str, tuple[list[str], int]] = {}
        self.names: Iterator[int] = itertools.count()
        self.blobs: dict[str, bytes] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return await self._token(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        scopes, left = self.given.get(token, ([], 0))
        repository = "/".join(request.path.split("/")[2:4])
        action = "pull" if request.method in ("GET", "HEAD") else "push"
        allowed = any(
            scope.startswith(f"repository:{repository}:") and action in scope.split(":")[-1]
            for scope in scopes
        )
        if not (allowed and left):
            host = request.headers["Host"]
            realm = self.realm or f"http://{host}/token?from=registry"
            challenge = f'Bearer realm="{realm}",service="tests",scope="repository:evil:push"'
            return error_answer(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
        self.given[token] = (scopes, left - 1)
        return await self._serve(request)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        if self.login and request.headers.get("Authorization", "") != self.login:
            return error_answer(401, "UNAUTHORIZED")
        query = request.query
        if request.method == "POST":
            query = await request.post()  # type: ignore[assignment]
            if query.get("refresh_token") != "identity":
                return error_answer(400, "UNAUTHORIZED")
        assert query["service"] == "tests"
        name = f"token-{next(self.names)}"
        scopes = [part for scope in query.getall("scope") for part in str(scope).split()]
        self.given[name] = (scopes, self.uses)
        return web.json_response({"token": name, "expires_in": self.expires_in})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            if "mount" in request.query:
                return web.Response(status=201)
            return web.Response(status=202, headers={"Location": f"{request.path}1?_state=a%3Db"})
        if request.method == "PUT":
            self.blobs[request.query["digest"]] = await request.read()
            assert request.query["_state"] == "a=b"
            return web.Response(status=201)
        if "/blobs/" in request.path:
            return web.Response(status=404)
        return manifest_answer(BODY)


def tokens(server: Scripted) -> list[str]:
    return [
        ",".join(request.query.getall("scope", []))
        for request in server.requests
        if request.path == "/token"
    ]


async def test_a_token_is_had_without_a_login_and_used_again() -> None:
    async with scripted(Guarded().answer) as server, Registries.open(limits=QUICK) as registries:
        for _ in range(3):
            await registries.resolve(server.reference)
        await registries.resolve(Reference(server.address, "team/other", "1"))
    # one question that is refused, and afterwards none: the token is had first
    pulls = ["repository:team/app:pull", "repository:team/other:pull"]
    assert tokens(server) == pulls
    assert len(server.asked) == 1 + len(pulls) + 4


async def test_a_token_server_gets_the_login_and_the_registry_only_the_token() -> None:
    login = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    async with scripted(Guarded(login=login).answer) as server:
        async with Registries.open(logins(server.address), limits=QUICK) as registries:
            await registries.resolve(server.reference)
        for request in server.requests:
            if request.path != "/token":
                assert login not in request.headers.values()
        async with Registries.open(limits=QUICK) as registries:
            with pytest.raises(Denied, match="wants a login"):
                await registries.resolve(server.reference)
        async with Registries.open(logins(server.address, "eve"), limits=QUICK) as registries:
            with pytest.raises(Denied, match="refuses the login"):
                await registries.resolve(server.reference)


async def test_an_identity_token_is_exchanged() -> None:
    async with scripted(Guarded().answer) as server:
        entry = {"auths": {server.address: {"identitytoken": "identity"}}}
        credentials = Credentials.decode(msgspec.json.encode(entry))
        async with Registries.open(credentials, limits=QUICK) as registries:
            await registries.resolve(server.reference)
    assert "POST /token" in server.asked


async def test_a_token_of_the_file_is_sent_as_it_is() -> None:
    guarded = Guarded()
    guarded.given["given"] = (["repository:team/app:pull"], 9)
    async with scripted(guarded.answer) as server:
        entry = {"auths": {f"http://{server.address}/v1/": {"registrytoken": "given"}}}
        credentials = Credentials.decode(msgspec.json.encode(entry))
        async with Registries.open(credentials, limits=QUICK) as registries:
            await registries.resolve(server.reference)
            with pytest.raises(Denied):
                await registries.resolve(Reference(server.address, "team/other", "1"))


@pytest.mark.parametrize("guarded", [Guarded(expires_in=0), Guarded(uses=1)])
async def test_a_token_that_has_run_out_is_had_again(guarded: Guarded) -> None:
    async with (
        scripted(guarded.answer) as server,
        Registries.open(limits=QUICK) as registries,
    ):
        for _ in range(3):
            await registries.resolve(server.reference)
    assert len(tokens(server)) == 3


async def test_an_upload_whose_token_ran_out_half_way_begins_again() -> None:
    guarded = Guarded(uses=2)  # enough to ask and to begin, not to send
    async with scripted(guarded.answer) as server, Registries.open(limits=QUICK) as registries:
        await registries.push_blob(server.reference, blob_of(LAYER), opened(LAYER))
    assert guarded.blobs == {blob_of(LAYER).digest: LAYER}


async def test_mounting_asks_for_both_repositories_at_once() -> None:
    async with scripted(Guarded().answer) as server, Registries.open(limits=QUICK) as registries:
        await registries.push_blob(server.reference, blob_of(LAYER), opened(LAYER), "team/base")
    assert tokens(server) == ["repository:team/app:pull,push,repository:team/base:pull"]


async def test_a_token_that_does_not_help_is_not_asked_for_without_end() -> None:
    async with scripted(Guarded(uses=0).answer) as server, Registries.open(limits=QUICK) as client:
        with pytest.raises(Denied):
            await client.resolve(server.reference)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token",
        "http://169.254.169.254/token",
        "http://user:password@127.0.0.1/token",
        "https://169.254.169.254/token",
        "https://10.1.2.3/token",
        "https://[::ffff:10.1.2.3]/token",
        "https://localhost/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "/token",
        "http://[",
        "",
    ],
)
async def test_a_token_server_at_another_place_gets_nothing(realm: str) -> None:
    guarded = Guarded()
    guarded.realm = realm or " "
    async with (
        scripted(guarded.answer) as server,
        Registries.open(logins(server.address), limits=QUICK) as registries,
    ):
        with pytest.raises(Denied):
            await registries.resolve(server.reference)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 5}',
        b'{"token": "a\\r\\nb"}',
        b'{"token": "with space"}',
        b'{"token": "' + b"x" * 20_000 + b'"}',
        b'{"token": "' + b"x" * 200_000 + b'"}',
        b'{"x":' * 10_000,
        b'{"token": "\xff"}',
    ],
)
async def test_a_token_server_that_answers_no_token_is_refused(body: bytes) -> None:
    guarded = Guarded()

    async def answer(request: web.Request) -> web.StreamResponse:
        return (
            web.Response(body=body) if request.path == "/token" else await guarded.answer(request)
        )

    async with scripted(answer) as server, Registries.open(limits=QUICK) as registries:
        with pytest.raises(Damaged):
            await registries.resolve(server.reference)


async def test_a_token_server_that_is_away_is_passing_trouble() -> None:
    guarded = Guarded()

    async def answer(request: web.Request) -> web.StreamResponse:
        return (
            web.Response(status=503) if request.path == "/token" else await guarded.answer(request)
        )

    async with scripted(answer) as server, Registries.open(limits=QUICK) as registries:
        with pytest.raises(Transient, match="token server"):
            await registries.resolve(server.reference)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("challenge", ["", "Digest realm=x", "x" * 5_000, '="', 'Bearer realm="'])
async def test_a_refusal_that_asks_for_nothing_we_have_is_final(
    status: int, challenge: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return error_answer(status, "DENIED", WWW_Authenticate=challenge)

    async with (
        scripted(answer) as server,
        Registries.open(logins(server.address), limits=QUICK) as registries,
    ):
        with pytest.raises(Denied):
            await registries.resolve(server.reference)
    assert len(server.asked) == 1


async def test_a_login_is_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(request: web.Request) -> web.StreamResponse:
        said = request.headers.get("Authorization", "nothing")
        if said == "nothing":
            return error_answer(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="x"')
        raw = base64.b64decode(said.removeprefix("Basic ")).decode()
        return web.json_response(
            {"errors": [{"code": raw, "message": raw, "detail": said}]}, status=400, reason="no"
        )

    async with scripted(echo) as server:
        credentials = logins(server.address)
        async with Registries.open(credentials, limits=QUICK) as registries:
            with pytest.raises(Exception, match="refused") as refused:
                await registries.resolve(server.reference)
    login = credentials.login(server.address)
    seen = f"{refused.value} {refused.value!r} {credentials!r} {login!r} {caplog.text}"
    assert login is not None
    assert PASSWORD not in seen
    assert login.basic.removeprefix("Basic ") not in seen


def test_a_file_of_logins_is_read_as_docker_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(
        """{"auths": {"https://registry.example/v1/": {"auth": "YW5uOnNlY3JldA=="},
                      "other.example:5000": {"username": "bob", "password": "pw"},
                      "empty.example": {}},
            "credHelpers": {"third.example": "would-run-this"}, "credsStore": "and-this"}"""
    )
    credentials = Credentials.read(str(file))
    assert credentials.registries == {"registry.example", "other.example:5000", "empty.example"}
    found = credentials.login("registry.example")
    assert found is not None
    assert (found.user, found.password) == ("ann", "secret")
    empty = credentials.login("empty.example")
    assert empty is not None
    assert empty.basic == ""
    assert credentials.login("third.example") is None
    assert Credentials.read("").registries == frozenset()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"auths": []}',
        b'{"auths": {"registry.example": {"auth": "canary!"}}}',
        b'{"auths": {"registry.example": {"auth": 5}}}',
        b'{"auths":' * 5_000,
        b" " * 2_000_000,
    ],
)
def test_a_file_that_is_none_stops_the_process_without_an_echo(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match="REGISTRY_AUTH") as wrong:
        Credentials.read(str(file))
    assert "canary" not in str(wrong.value)
    with pytest.raises(Misconfigured, match="can't be read"):
        Credentials.read(str(tmp_path / "missing"))

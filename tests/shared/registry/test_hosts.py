"""Where we may be sent, by address and by name, and how it is spoken to there."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from shared.errors import Permanent
from shared.registry import Credentials, Denied, Reference, Registries
from shared.registry.hosts import Guarded, Hosts, Private, is_loopback
from tests.keys import openssl
from tests.shared.registry.made import QUICK, blob_of
from tests.shared.registry.scripted import error_answer, scripted

PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.2",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:a00:1::",
]
PUBLIC = ["8.8.8.8", "2606:4700::1111"]


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def resolve(
        self: ThreadedResolver, host: str, port: int = 0, family: int = 0
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)


async def test_a_name_that_leads_to_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded = Guarded(Hosts(["trusted.example:5000"]))
    for address in PRIVATE:
        answering(monkeypatch, address)
        with pytest.raises(Private):
            await guarded.resolve("storage.example", 443)
        assert [one["host"] for one in await guarded.resolve("trusted.example", 443)] == [address]
    answering(monkeypatch, *PRIVATE, *PUBLIC)
    found = await guarded.resolve("storage.example", 443)
    assert [one["host"] for one in found] == PUBLIC


def test_an_address_that_is_private_is_refused_as_it_stands() -> None:
    hosts = Hosts(["10.9.9.9:5000"])
    for address in [*PRIVATE, "localhost"]:
        name = f"[{address}]" if ":" in address else address
        with pytest.raises(Denied, match="private address"):
            hosts.check(URL(f"https://{name}/x"))
    hosts.check(URL("https://10.9.9.9/x"))
    for address in PUBLIC:
        hosts.check(URL.build(scheme="https", host=address))


@pytest.mark.parametrize("registry", ["10.0.0.1:5000", "127.0.0.1:5000", "localhost", "[::1]:5000"])
async def test_only_registries_that_are_trusted_may_be_private(registry: str) -> None:
    limits = QUICK
    async with Registries.open(trusted=["registry.example"], limits=limits) as registries:
        with pytest.raises(Denied, match="private address"):
            await registries.resolve(Reference(registry, "team/app", "1"))


async def test_a_trusted_registry_is_one_whose_name_leads_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, "10.0.0.1")
    async with Registries.open(trusted=["trusted.example"], limits=QUICK) as registries:
        with pytest.raises(Denied, match=r"other\.example:443 has a private address"):
            await registries.resolve(Reference("other.example", "team/app", "1"))


def test_loopback_alone_is_spoken_to_in_plain_http() -> None:
    hosts = Hosts()
    for registry in ("127.0.0.1:5000", "localhost:5000", "[::1]:5000", "127.8.9.1"):
        assert hosts.base(registry) == URL(f"http://{registry}")
    for registry in ("registry.example", "10.0.0.1:5000", "localhost.example:5000", "0.0.0.0:1"):
        assert hosts.base(registry) == URL(f"https://{registry}")
    assert not is_loopback("127.0.0.1.example")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """For registry.example and storage.example, signed by itself; and its key."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    names = "subjectAltName=DNS:registry.example,DNS:storage.example"
    options = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2")
    openssl("req", "-x509", *options, "-subj", "/CN=registry.example", "-addext", names)
    return certificate, key


def trusting(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    connector = functools.partial(aiohttp.TCPConnector, ssl=context)
    monkeypatch.setattr(aiohttp, "TCPConnector", connector)


async def test_all_others_must_prove_who_they_are(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    async def tags(request: web.Request) -> web.StreamResponse:
        return web.json_response({"tags": ["secure"]})

    answering(monkeypatch, "127.0.0.1")
    async with scripted(tags, tls=certificate) as server:
        port = server.address.rpartition(":")[2]
        app = Reference(f"registry.example:{port}", "team/app")
        async with Registries.open(limits=QUICK) as registries:
            with pytest.raises(Permanent, match="certificate that is not valid"):
                await registries.tags(app)
        trusting(monkeypatch, certificate[0])
        async with Registries.open(limits=QUICK) as registries:
            assert await registries.tags(app) == ("secure",)
            with pytest.raises(Permanent, match="certificate that is not valid"):
                await registries.tags(Reference(f"other.example:{port}", "team/app"))


async def test_what_is_fetched_elsewhere_is_fetched_without_the_login(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    async def storage(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"content")

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return error_answer(401, "UNAUTHORIZED", WWW_Authenticate="Basic")
        place = f"https://storage.example:{elsewhere.address.rpartition(':')[2]}"
        return web.Response(status=307, headers={"Location": f"{place}/kept?sig=a%2Fb"})

    answering(monkeypatch, "127.0.0.1")
    trusting(monkeypatch, certificate[0])
    async with scripted(storage, tls=certificate) as elsewhere, scripted(answer) as server:
        login = {"auths": {server.address: {"username": "ann", "password": "secret"}}}
        credentials = Credentials.decode(msgspec.json.encode(login))
        blob = blob_of(b"content")
        for trusted, allowed in (
            ([server.address, "storage.example"], True),
            ([server.address], False),
        ):
            async with Registries.open(credentials, trusted=trusted, limits=QUICK) as registries:
                if allowed:
                    assert await registries.read(server.reference, blob) == b"content"
                else:
                    with pytest.raises(Denied, match="private address"):
                        await registries.read(server.reference, blob)
    assert [request.raw_path for request in elsewhere.requests] == ["/kept?sig=a%2Fb"]
    assert "Authorization" not in elsewhere.requests[0].headers

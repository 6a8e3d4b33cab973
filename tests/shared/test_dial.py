"""Nothing is sent to who listens at a copy's address before they have proven who they are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.address import Address
from shared.dial import Failed, Trouble, dial
from shared.doorman import NONCE, PROOF, proof, secret
from tests.router.keeper import JOB, KEY, Says, foe, guessing, http, listening, short, silent

SECRETS = (secret("n" * 32, JOB, 1), secret(KEY, JOB, 1))


class Heard(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.news = asyncio.Event()
        self.made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made += 1

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.news.set()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_where_nothing_has_to_be_proven_nothing_is_said(kind: str, tmp_path: Path) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first words")
        seen.append(await reader.read(100))
        writer.close()
        over.set()

    seen: list[bytes] = []
    over = asyncio.Event()
    if kind == "unix":
        path = tmp_path / "socket"
        server = await asyncio.start_unix_server(meet, path)
        address = Address(f"unix:{path}")
    else:
        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        address = Address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    transport, heard = await dial(Heard, address, 30)
    await heard.news.wait()
    assert (heard.data, heard.made) == (b"first words", 1)
    transport.write_eof()
    await over.wait()
    assert seen == [b""]
    transport.close()
    server.close()


@pytest.mark.parametrize("step", [1, PROOF, PROOF + 5, 1000])
async def test_after_the_proof_the_connection_is_the_protocols(step: int) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonce = await reader.readexactly(NONCE)
        place = writer.get_extra_info("sockname")
        said = proof(SECRETS[1], nonce, *place) + b"first words"
        for at in range(0, len(said), step):
            writer.write(said[at : at + step])
            await asyncio.sleep(0.001)
        seen.append(await reader.read(100))
        writer.close()
        over.set()

    seen: list[bytes] = []
    over = asyncio.Event()
    async with listening(meet) as (_, address):
        transport, heard = await dial(Heard, address, 30, SECRETS)
        while heard.data != b"first words":
            heard.news.clear()
            await heard.news.wait()
        assert heard.made == 1
        transport.write(b"question")
        await over.wait()
        assert seen == [b"question"]
        transport.close()


@pytest.mark.parametrize(
    ("says", "trouble", "detail"),
    [
        (guessing, Trouble.REFUSED, "Somebody else is at its address."),
        (http, Trouble.REFUSED, "Somebody else is at its address."),
        (short, Trouble.SILENT, "It does not take connections."),
        (silent, Trouble.SILENT, "It does not take connections."),
    ],
)
async def test_a_stranger_hears_a_nonce_and_nothing_else(
    says: Says, trouble: Trouble, detail: str
) -> None:
    async with foe(says) as stranger:
        seconds = 0.2 if trouble is Trouble.SILENT else 30
        with pytest.raises(Failed) as caught:
            await dial(Heard, stranger.address, seconds, SECRETS)
        failed = caught.value
        assert (failed.trouble, failed.detail, failed.safe) == (trouble, detail, True)
        await stranger.ended.wait()
        assert len(stranger.heard) == NONCE


async def test_a_doorman_who_closes_lets_nobody_in() -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(NONCE)
        writer.close()

    async with listening(meet) as (_, address):
        with pytest.raises(Failed, match="lets nobody in") as caught:
            await dial(Heard, address, 30, SECRETS)
        assert (caught.value.trouble, caught.value.safe) == (Trouble.REFUSED, True)


async def test_without_a_secret_nobody_is_dialled() -> None:
    async with foe(silent) as somebody:
        with pytest.raises(Failed, match="DOORMAN_KEY is empty") as caught:
            await dial(Heard, somebody.address, 30)
        assert (caught.value.trouble, caught.value.safe) == (Trouble.AWAY, True)
        assert somebody.met == 0


async def test_to_give_up_waiting_closes_the_connection() -> None:
    async with foe(silent) as somebody:
        dialling = asyncio.create_task(dial(Heard, somebody.address, 30, SECRETS))
        while not somebody.heard:
            await asyncio.sleep(0.001)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await somebody.ended.wait()

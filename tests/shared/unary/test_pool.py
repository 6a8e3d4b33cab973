"""One channel for each address: opened once, opened again, let go."""

from __future__ import annotations

import asyncio

import pytest

from shared.address import Address
from shared.unary import Channels, Failed, Limits, Trouble
from tests.router.keeper import foe as stranger
from tests.router.keeper import silent
from tests.shared.unary.calls import ask
from tests.shared.unary.peer import Peer, foe, plain


@pytest.fixture
async def channels() -> Channels:
    return Channels()


async def test_many_who_wait_have_one_opened_for_them(channels: Channels) -> None:
    async with foe(plain()) as server:
        assert channels.at_hand(server.address) is None
        found = await asyncio.gather(*(channels.open(server.address) for _ in range(50)))
        assert len(set(map(id, found))) == len(server.peers) == 1
        assert channels.at_hand(server.address) is found[0]
        assert await channels.open(server.address) is found[0]
        assert await ask(found[0]) == b"answer"
        await channels.close()
        assert not found[0].usable()


async def test_who_gives_up_does_not_spoil_it_for_others(channels: Channels) -> None:
    async def script(peer: Peer) -> None:
        met.set()
        await told.wait()
        await plain()(peer)

    met, told = asyncio.Event(), asyncio.Event()
    async with foe(script) as server:
        first = asyncio.create_task(channels.open(server.address))
        await met.wait()
        second = asyncio.create_task(channels.open(server.address))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        told.set()
        assert await ask(await second) == b"answer"
        assert len(server.peers) == 1
        await channels.close()


async def test_one_that_can_not_be_opened_fails_all_who_wait_and_is_tried_again(
    channels: Channels,
) -> None:
    async def script(peer: Peer) -> None:
        peer.close()

    async with foe(script, plain()) as server:
        opening = [channels.open(server.address) for _ in range(5)]
        for failed in await asyncio.gather(*opening, return_exceptions=True):
            assert isinstance(failed, Failed)
            assert failed.safe
        assert await ask(await channels.open(server.address)) == b"answer"
        await channels.close()


async def test_one_that_is_not_usable_is_replaced(channels: Channels) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.request()
        peer.close()

    async with foe(script, plain()) as server:
        first = await channels.open(server.address)
        with pytest.raises(Failed):
            await ask(first)
        assert channels.at_hand(server.address) is None
        second = await channels.open(server.address)
        assert await ask(second) == b"answer"
        await channels.close()


async def test_one_whose_calls_have_run_out_is_replaced() -> None:
    channels = Channels(Limits(calls=2))
    async with foe(plain()) as server:
        for _ in range(10):
            assert await ask(await channels.open(server.address)) == b"answer"
        assert len(server.peers) == 5
        for peer in server.peers[:4]:
            await peer.to_the_end()
            assert peer.goaway == 0
        await channels.close()


async def test_what_is_in_hand_at_an_address_that_goes_comes_to_its_end(channels: Channels) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        asked.set()
        await told.wait()
        peer.send(peer.answer(request.stream))
        await peer.to_the_end()
        assert peer.goaway == 0

    asked, told = asyncio.Event(), asyncio.Event()
    async with foe(script) as server, foe(plain()) as other:
        stays = await channels.open(other.address)
        call = asyncio.create_task(ask(await channels.open(server.address)))
        await asked.wait()
        channels.keep({(other.address, ())})
        assert channels.at_hand(server.address) is None
        assert channels.at_hand(other.address) is stays
        told.set()
        assert await call == b"answer"
        await server.done()
        await channels.close()


async def test_one_that_is_opened_when_its_address_has_gone_is_closed(channels: Channels) -> None:
    async def script(peer: Peer) -> None:
        met.set()
        await told.wait()
        await peer.greet()
        await peer.to_the_end()
        assert peer.goaway == 0

    met, told = asyncio.Event(), asyncio.Event()
    async with foe(script) as server:
        opening = asyncio.create_task(channels.open(server.address))
        await met.wait()
        channels.keep(set())
        told.set()
        with pytest.raises(Failed) as caught:
            await ask(await opening)
        assert caught.value.safe
        await server.done()
        assert channels.at_hand(server.address) is None
        await channels.close()


async def test_to_close_tells_those_who_wait(channels: Channels) -> None:
    async def script(peer: Peer) -> None:
        met.set()

    met = asyncio.Event()
    async with foe(script) as server:
        opening = asyncio.create_task(channels.open(server.address))
        await met.wait()
        await channels.close()
        with pytest.raises(Failed) as caught:
            await opening
        assert caught.value.safe


async def test_other_secrets_have_another_channel() -> None:
    channels = Channels(opening=0.1)
    async with stranger(silent) as somebody:
        for secrets in (("00" * 32,), ("11" * 32,)):
            with pytest.raises(Failed) as caught:
                await channels.open(somebody.address, secrets)
            assert (caught.value.trouble, caught.value.safe) == (Trouble.SILENT, True)
        assert somebody.met == 2
    with pytest.raises(Failed, match="DOORMAN_KEY"):
        await channels.open(Address("doorman://127.0.0.1:1"))
    await channels.close()

"""No byte of a request reaches anybody but the replica that it is for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.router.door import Options
from shared.address import Address, at_doorman
from shared.doorman import NONCE, PROOF, secret
from shared.endpoint import Serving
from tests.router.conftest import PREFIX, Got, Router, running
from tests.router.keeper import (
    JOB,
    KEY,
    Says,
    foe,
    guessing,
    http,
    keeper,
    short,
    silent,
)
from tests.router.origin import Origin, origin
from tests.runtimes.test_doorman import ONE_REQUEST, Doorman, doorman

SECRET = "a secret of the one who asks"
BRISK = Serving(timeout_seconds=0.5)


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    async with running(Options(patience=0.0, keys=(KEY,))) as found:
        yield found


def at(one: Doorman) -> Address:
    return at_doorman("127.0.0.1", one.listen)


def port_of(behind: Origin) -> str:
    return behind.address.rsplit(":", 1)[1]


async def post(router: Router) -> Got:
    return await router.ask(PREFIX, f"Authorization: {SECRET}", method="POST", body=SECRET.encode())


async def relaying(heard: bytes, to: Address) -> bytes:
    """Asks the true doorman for the proof."""
    host, port = to.removeprefix("doorman://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(heard)
    given = await reader.readexactly(PROOF)
    writer.close()
    return given


async def test_a_request_reaches_the_server_behind_a_real_doorman_whole(router: Router) -> None:
    async with origin() as behind:
        port = port_of(behind)
        async with doorman(secret=secret(KEY, JOB, 1), port_server=port) as one:
            router.route(addresses=(at(one),))
            for n in range(1, 6):
                got = await router.ask(f"{PREFIX}/x?y", method="POST", body=b"b" * (n << 18))
                assert (got.status, got.body) == (200, b"ok")
                assert behind.seen[-1].line == f"POST {PREFIX}/x?y HTTP/1.1".encode()
                assert behind.seen[-1].body == b"b" * (n << 18)
            assert len(behind.seen) == 5


@pytest.mark.parametrize("says", [silent, guessing, http, short])
async def test_u10_a_stranger_at_an_address_hears_a_nonce_and_nothing_else(
    router: Router, says: Says
) -> None:
    async with foe(says) as stranger, keeper() as true:
        router.route(addresses=(stranger.address,), serving=BRISK)
        got = await post(router)
        assert (got.status, got.problem) == (503, "not-reached")
        assert int(got.value("retry-after") or 0) >= 1
        assert len(stranger.heard) == NONCE
        router.route(addresses=(stranger.address, true.address), serving=BRISK)
        for _ in range(10):
            assert (await post(router)).status == 200
        assert [one.body for one in true.seen] == [SECRET.encode()] * 10
        assert len(stranger.heard) == stranger.met * NONCE


async def test_u10_another_replicas_doorman_gets_nothing_of_the_request(router: Router) -> None:
    async with origin() as theirs, keeper() as true:
        port = port_of(theirs)
        for other in (secret(KEY, "j000000000002", 1), secret(KEY, JOB, 2)):
            async with doorman(secret=other, port_server=port) as one:
                router.route(addresses=(at(one),))
                assert (await post(router)).problem == "not-reached"
                router.route(addresses=(at(one), true.address))
                assert (await post(router)).status == 200
        assert theirs.seen == []
        assert [one.body for one in true.seen] == [SECRET.encode()] * 2


async def test_a_proof_that_was_made_for_another_address_is_worth_nothing(router: Router) -> None:
    async with keeper() as true:

        async def relay(heard: bytes) -> bytes:
            return await relaying(heard, true.address)

        async with foe(relay) as stranger:
            router.route(addresses=(stranger.address,))
            assert (await post(router)).problem == "not-reached"
            assert len(stranger.heard) == NONCE
        assert true.seen == []


async def test_any_of_its_keys_lets_the_router_know_a_doorman(router: Router) -> None:
    new = "n" * 32
    async with running(Options(patience=0.0, keys=(new, KEY))) as rotated:
        for key in (new, KEY):
            async with keeper(key=key) as true:
                rotated.route(addresses=(true.address,))
                assert (await post(rotated)).status == 200
    async with keeper(key=new) as true:
        router.route(addresses=(true.address,))
        assert (await post(router)).problem == "not-reached"
        assert true.seen == []


async def test_a_new_attempt_has_a_secret_of_its_own(router: Router) -> None:
    async with keeper(attempt=1) as old, keeper(attempt=2) as new:
        router.route(addresses=(old.address,))
        assert (await post(router)).status == 200
        router.route(addresses=(old.address, new.address), attempt=2)
        for _ in range(5):
            assert (await post(router)).status == 200
        assert (len(old.seen), len(new.seen)) == (1, 5)


async def test_without_a_key_nobody_is_dialled_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Options(patience=60.0)) as router, foe(silent) as somebody:
        router.route(addresses=(somebody.address,))
        got = await post(router)
        assert (got.status, got.problem) == (503, "not-reached")
        assert somebody.met == 0
    assert "DOORMAN_KEY is empty" in caplog.text
    assert JOB in caplog.text


async def test_a_client_that_leaves_while_its_router_waits_for_a_proof_leaves_nothing_open() -> (
    None
):
    async with running(Options(keys=(KEY,))) as router, foe(silent) as somebody:
        router.route(addresses=(somebody.address,))
        asking = asyncio.create_task(post(router))
        while not somebody.heard:
            await asyncio.sleep(0.001)
        asking.cancel()
        for writer in router.clients:
            writer.transport.abort()
        await somebody.ended.wait()


async def test_one_whose_only_copy_moves_is_waited_for() -> None:
    async with (
        running(Options(patience=60.0, keys=(KEY,))) as router,
        foe(guessing) as stranger,
        keeper() as true,
    ):
        router.route(addresses=(stranger.address,))
        asking = asyncio.create_task(post(router))
        while not stranger.met:
            await asyncio.sleep(0.001)
        router.route(addresses=(true.address,))
        assert (await asking).status == 200


async def test_a_server_that_answers_one_connection_and_exits_answers_every_request(
    tmp_path: Path,
) -> None:
    program = tmp_path / "server.py"
    program.write_text(ONE_REQUEST)
    async with (
        running(Options(patience=2.0, keys=(KEY,))) as router,
        doorman(secret=secret(KEY, JOB, 1), patience="10") as one,
    ):
        loop = f'while :; do {sys.executable} -S "$0" {one.server} || exit; done'
        lives = await asyncio.create_subprocess_exec(
            "sh", "-c", loop, str(program), start_new_session=True
        )
        try:
            await one.until("200 ready")
            router.route(addresses=(at(one),), serving=Serving(concurrency=4))
            asked = [router.ask(PREFIX, method="POST", body=str(n).encode()) for n in range(10, 22)]
            got = await asyncio.gather(*asked)
            assert [answer.body for answer in got] == [f"1:{n}".encode() for n in range(10, 22)]
        finally:
            os.killpg(lives.pid, signal.SIGKILL)
            await lives.wait()

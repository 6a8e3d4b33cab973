"""The sync face has every call of the async one, and runs it."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from slipway import AsyncClient, Client, SlipwayError
from tests.client.fake import Fake


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_it_has_every_call_with_the_same_arguments_and_words() -> None:
    assert public(Client) == public(AsyncClient)
    for name in public(Client):
        ours, theirs = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__doc__ == theirs.__doc__


async def test_it_deploys_and_follows(fake: Fake, code: Path) -> None:
    def work() -> tuple[str, list[str]]:
        with Client(fake.url, fake.token, fake.project) as client:
            version = client.deploy(code)
            asyncio.run(fake.print(version.id, "one", "two"))
            asyncio.run(fake.build(version.id))
            lines = client.follow_build_log(version.deployment or "", version.name)
            return version.name, [line.text for line in lines]

    assert await asyncio.to_thread(work) == ("20261121.0", ["one", "two"])


async def test_errors_are_the_same_and_a_stream_may_be_left_early(fake: Fake) -> None:
    for number in range(3):
        fake.happened("job.queued", f"j{number}")

    def work() -> str:
        with Client(fake.url, fake.token, fake.project) as client:
            with pytest.raises(SlipwayError, match="No such thing"):
                client.job("nothing")
            events = client.follow_events()
            try:
                return next(events).subject
            finally:
                events.close()

    assert await asyncio.to_thread(work) == "j0"


async def test_it_works_where_a_loop_runs_already(fake: Fake) -> None:
    async def serve_meanwhile() -> None:
        with pytest.raises(SlipwayError), Client("http://127.0.0.1:1", "t") as client:
            client.whoami()

    await serve_meanwhile()


def test_outside_of_with_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="inside `with`"):
        Client("http://127.0.0.1:1", "t").whoami()

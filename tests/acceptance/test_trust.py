"""An operator who trusts a key: what the builder signed with it starts, and nothing else does."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from slipway import AsyncClient, Failed
from tests.acceptance.platform import ROOT, embedded
from tests.beds.ground import Ground, ground
from tests.keys import Pair, pair

GREETER = ROOT / "examples" / "greeter"


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trust-") as folder:
        yield Path(folder)


@asynccontextmanager
async def platform(
    home: Path, under: Ground, signing: Pair, trusted: Pair
) -> AsyncIterator[AsyncClient]:
    keys = {"SIGNING_KEY": str(signing.private), "TRUSTED_KEYS": str(trusted.public)}
    async with embedded(home, **under.settings, **keys) as opened:  # noqa: SIM117
        async with AsyncClient(opened.api_url, opened.token, "local/default") as client:
            yield client


async def test_B16_only_what_a_trusted_key_signed_starts(home: Path) -> None:
    ours, theirs = pair(home, "ours"), pair(home, "theirs")
    async with ground(home / "ground", "python:3.9", "python:3.11") as under:
        async with platform(home / "home", under, ours, ours) as slipway:
            version = await slipway.deploy(GREETER, version="signed", wait=True)
            job = version.jobs["greet-me"]
            bill = await slipway.sbom(job)
            assert bill["bomFormat"] == "CycloneDX"
            assert "payload" in await slipway.provenance(job)
            await slipway.stop(job)
            await slipway.wait_for_job(job, "stopped")
        # the operator replaces the key, and forgets the builder's
        async with platform(home / "home", under, ours, theirs) as slipway:
            await slipway.restart(job)
            with pytest.raises(Failed, match="is not trusted: no trusted key signed it"):
                await slipway.wait_for_job(job)
            with pytest.raises(Failed, match="is not trusted: no trusted key signed it"):
                await slipway.deploy(GREETER, version="again", wait=True)
        # and does it right: now what was signed before is no longer trusted, and the new is
        async with platform(home / "home", under, theirs, theirs) as slipway:
            await slipway.deploy(GREETER, version="replaced", wait=True)

"""An operator who trusts a key: what the builder signed with it starts, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway import Failed
from tests.acceptance.conftest import Patient
from tests.cluster.installed import TRUSTED, Installed
from tests.keys import pair

GREETER = Path(__file__).parents[2] / "examples" / "greeter"


async def test_B16_only_what_a_trusted_key_signed_starts(
    slipway: Patient, release: Installed, tmp_path: Path
) -> None:
    version = await slipway.deploy(GREETER, version="signed", wait=True, timeout=120)
    job = version.jobs["greet-me"]
    assert (await slipway.sbom(job))["bomFormat"] == "CycloneDX"
    assert "payload" in await slipway.provenance(job)
    await slipway.stop(job)
    await slipway.wait_for_job(job, "stopped", timeout=30)
    # the operator replaces the key, and forgets the builder's
    theirs = pair(tmp_path, "theirs").public
    ours = await release.cluster.get("secret", TRUSTED, "--namespace", release.namespace)
    await trust(release, {"stringData": {"keys.pem": theirs.read_text()}})
    try:
        await slipway.restart(job)
        with pytest.raises(Failed, match="is not trusted: no trusted key signed it"):
            await slipway.wait_for_job(job, timeout=60)
    finally:
        await trust(release, {"data": ours["data"]})
    # and does it right
    await slipway.deploy(GREETER, version="again", wait=True, timeout=120)


async def trust(release: Installed, keys: dict[str, dict[str, str]]) -> None:
    """Schedulers read their keys when they start."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": TRUSTED, "namespace": release.namespace},
        **keys,
    }
    await release.cluster.apply(secret)
    for name in (target["name"] for target in release.values["targets"]):
        deployment = f"deployment/slipway-scheduler-{name}"
        await release.kubectl("rollout", "restart", deployment)
        await release.kubectl("rollout", "status", deployment, "--timeout=120s")

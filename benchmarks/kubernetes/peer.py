"""The same objects by other hands: `kubectl apply --server-side`, and as fast as we can ask."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.beds.debian import program
from tests.cluster.api import Api
from tests.cluster.check import KINDS, MANAGED

APPLIED: Final = "slipway.dev/applied"
AT_ONCE: Final = 32
ORDER: Final = ("ConfigMap", "Secret", "Deployment", "Service")


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    memory: int  # bytes, at its peak
    transferred: int = 0  # bytes


async def manifests(api: Api, namespace: str) -> list[dict[str, Any]]:
    """What was applied in a namespace, by what the objects say of themselves."""
    found = []
    for kind in ORDER:
        for each in await api.items(KINDS[kind].format(namespace), MANAGED):
            told = json.loads(each["metadata"]["annotations"][APPLIED])
            found.append(told | ({"data": each["data"]} if "data" in told else {}))
    return found


def moved_to(namespace: str, manifests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same for another namespace, without owners: those are not there."""
    return [
        manifest
        | {
            "metadata": {
                **{k: v for k, v in manifest["metadata"].items() if k != "ownerReferences"},
                "namespace": namespace,
            }
        }
        for manifest in manifests
    ]


async def by_kubectl(kubeconfig: Path, manifests: Sequence[Any], file: Path) -> Applied:
    whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    file.write_text(json.dumps(whole))
    command = [program("kubectl", "kubernetes-client"), "--kubeconfig", str(kubeconfig), "apply"]
    command += ["--server-side", "--field-manager=kubectl", "-f", str(file)]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    peak = 0
    while process.returncode is None:
        peak = max(peak, _memory(process.pid))
        try:
            async with asyncio.timeout(0.05):
                await process.wait()
        except TimeoutError:
            pass
    assert process.returncode == 0, f"kubectl ended with {process.returncode}"
    return Applied(seconds=time.monotonic() - began, memory=peak)


async def at_once(api: Api, manifests: Sequence[Any]) -> float:
    """Seconds for one request each, with nothing known or looked at: the API server's own limit."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(manifest: Any) -> None:
        meta = manifest["metadata"]
        path = KINDS[manifest["kind"]].format(meta["namespace"])
        async with gate:
            await api.apply(f"{path}/{meta['name']}", manifest, "bench")

    began = time.monotonic()
    await asyncio.gather(*map(one, manifests))
    return time.monotonic() - began


def _memory(process: int) -> int:
    """Bytes, at its peak until now."""
    try:
        with open(os.fspath(f"/proc/{process}/status")) as status:
            lines = [line.split() for line in status if line.startswith("VmHWM")]
    except OSError:
        return 0
    return int(lines[0][1]) << 10 if lines else 0

"""How much memory the builder takes for a model of 2 GB: uploaded, packed and pushed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from benchmarks.images import BASE
from benchmarks.table import Figure
from slipway import AsyncClient
from tests.acceptance.platform import distributed
from tests.beds.ground import ground
from tests.servers import rabbitmq

GIGABYTES: Final = 2
LIMIT: Final = 200 << 20
YAML: Final = f"""\
- endpoint:
    name: bench
    image: {BASE}
    server-command: sleep 3600
    resources: {{devices: {{nvidia.com/gpu: 1}}}}
- endpoint:
    name: big
    image: {BASE}
    server-command: sleep 3600
    resources: {{devices: {{nvidia.com/gpu: 1}}}}
    files:
      - {{name: model, path: model.bin}}
"""


async def measure(folder: Path, gigabytes: int = GIGABYTES) -> list[Figure]:
    source, home, model = folder / "source", folder / "home", folder / "model.bin"
    for each in (source, home):
        each.mkdir()
    for each in (home, folder, folder.parent):
        each.chmod(0o711)  # PostgreSQL passes through it as a user of its own
    (source / "valohai.yaml").write_text(YAML)
    with model.open("wb") as file:
        file.truncate(gigabytes << 30)
    with rabbitmq(folder / "broker") as broker:
        async with (
            ground(folder / "ground", BASE) as stands_on,
            distributed(
                home,
                broker.url,
                # the first endpoint keeps it, so the large image is built and never started
                SLIPWAY_GPUS="bench:1",
                **stands_on.settings,
            ) as platform,
            AsyncClient(platform.api_url, platform.token, "local/default") as client,
        ):
            version = await client.deploy(
                source, deployment="bench", files={"big": {"model": model}}
            )
            while version.state == "building":
                await asyncio.sleep(0.2)
                version = await client.version("bench", version.name)
            assert version.state == "ready", version.reason
            peak = {name: _peak(process.pid) for name, process in platform.processes.items()}
    return [
        Figure(
            what=f"memory of the {name} at its peak, {gigabytes} GB model",
            ours=f"{peak[name] >> 20} MB",
            anchor=f"{LIMIT >> 20} MB",
            ratio=LIMIT / peak[name],
            note="the limit set for it",
        )
        for name in ("builder", "api")
    ]


def _peak(pid: int) -> int:
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise ProcessLookupError(pid)

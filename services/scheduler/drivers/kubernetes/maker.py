"""Makes what a replica consists of, anchor first, and makes it again as it should be.

Everything has a name computed from the replica and is applied whole, so whoever does it twice, or
again after an answer that never came, has done it once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from services.scheduler.driver import Refused, Workload
from services.scheduler.drivers.kubernetes import kinds, manifests, nodes, view
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.errors import Missing, Rejected
from services.scheduler.drivers.kubernetes.images import Images
from services.scheduler.drivers.kubernetes.manifests.settings import Room
from services.scheduler.drivers.kubernetes.objects import Node
from services.scheduler.drivers.kubernetes.terms import Terms
from shared.errors import Transient

ENSURED: Final = 300.0  # seconds that we trust what is shared to be there

_BUSY: Final = ("exceeded quota", "is being terminated", "no kind is registered")
"""What a cluster refuses for now, but may take later."""


class Maker:
    def __init__(self, cluster: Cluster, images: Images, terms: Terms) -> None:
        self._cluster = cluster
        self._images = images
        self._terms = terms
        self._ensured: dict[str, tuple[float, Any]] = {}

    async def make(
        self, workload: Workload, machines: Iterable[Node], settled: Sequence[str]
    ) -> Refused | None:
        """Returns when a cluster has taken all of it. Raises Transient when it may later.

        `settled` are the machines that were best for it before, if it is there already.
        """
        image = await self._images.config(workload)
        if isinstance(image, Refused):
            return image
        settings, pull = await self._terms.of(workload.repository)
        begun = manifests.first(workload, image, settings)
        if isinstance(begun, Refused):
            return begun
        policy, anchor = begun
        room = place(workload, machines, settled)
        rest = manifests.rest(workload, image, settings, owner="-", room=room)
        if isinstance(rest, Refused):
            return rest
        try:
            # before the first pod of a project comes, nobody may reach it
            for shared in (policy, *pull):
                await self._ensure(shared)
            made = await self._cluster.apply(_told(anchor, workload, rest, room))
            rest = manifests.rest(
                workload, image, settings, owner=made["metadata"]["uid"], room=room
            )
            assert not isinstance(rest, Refused)
            for manifest in rest:
                await self._apply(manifest)
        except Missing as error:
            raise Transient(f"the cluster has no place for it: {error}") from error
        except Rejected as error:
            if any(word in str(error) for word in _BUSY):
                raise Transient(f"the cluster does not take it now: {error}") from error
            return Refused(f"the cluster does not take it: {error}")
        return None

    async def _apply(self, manifest: manifests.Manifest) -> None:
        """Somebody may have left ports in a Service that ours can't be merged with: it is made
        anew. Requests go to pods by their own addresses, and do not miss it."""
        try:
            await self._cluster.apply(manifest)
        except Rejected:
            if manifest["kind"] != kinds.SERVICES.name:
                raise
            await self._cluster.delete(kinds.SERVICES, manifest["metadata"]["name"])
            await self._cluster.apply(manifest)

    async def _ensure(self, manifest: manifests.Manifest) -> None:
        """Have what is not of one replica alone."""
        name = manifest["metadata"]["name"]
        until, known = self._ensured.get(name, (0.0, None))
        if known != manifest or until <= time.monotonic():
            await self._cluster.apply(manifest)
            self._ensured[name] = time.monotonic() + ENSURED, manifest


def place(workload: Workload, machines: Iterable[Node], settled: Sequence[str] = ()) -> Room | None:
    """Where its GPUs are: on any machine that has such ones, best of all on those chosen.

    Which are best is not said anew for more copies or fewer, or all of them would have to move.
    """
    chosen = sorted({nodes.place(device)[0] for device in workload.devices} - {""})
    if not chosen:
        return None
    best = tuple(settled or chosen)
    products = {nodes.product(node) for node in machines if node.metadata.name in chosen}
    labels = {label for label, _ in products}
    if len(labels) != 1 or "" in labels:
        return Room(nodes=best)
    return Room(nodes=best, label=labels.pop(), values=tuple(sorted(v for _, v in products)))


def _told(
    anchor: manifests.Manifest,
    workload: Workload,
    rest: Iterable[manifests.Manifest],
    room: Room | None,
) -> manifests.Manifest:
    """With what `view` reads of it; what holds GPUs must be known before the first pod is."""
    more = {
        view.PARTS: " ".join(manifest["kind"] for manifest in rest),
        view.DEVICES: " ".join(workload.devices),
        view.NODES: " ".join(room.nodes if room is not None else ()),
    }
    return anchor | {"data": {**anchor["data"], **more}}

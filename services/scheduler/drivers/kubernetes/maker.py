"""Makes what a replica consists of, anchor first, and makes it again as it should be.

Everything has a name computed from the replica and is applied whole, so whoever does it twice, or
again after an answer that never came, has done it once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from services.scheduler.driver import Refused, Workload
from services.scheduler.drivers.kubernetes import kinds, manifests, nodes, view
from services.scheduler.drivers.kubernetes.common import Common
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.errors import Missing, Rejected
from services.scheduler.drivers.kubernetes.images import Images
from services.scheduler.drivers.kubernetes.manifests.settings import Room
from services.scheduler.drivers.kubernetes.objects import Node, Part
from services.scheduler.drivers.kubernetes.terms import Terms
from services.scheduler.drivers.kubernetes.view import Held
from shared.errors import Transient

_BUSY: Final = (
    *("exceeded quota", "is being terminated", "no kind is registered"),
    "metadata.uid",  # it is another one by now
)
"""What a cluster refuses for now, but may take later."""


class Maker:
    def __init__(self, cluster: Cluster, images: Images, terms: Terms, common: Common) -> None:
        self._cluster = cluster
        self._common = common
        self._images = images
        self._terms = terms

    async def make(
        self, workload: Workload, machines: Iterable[Node], before: Held
    ) -> Refused | None:
        """Returns when a cluster has taken all of it. Raises Transient when it may later.

        `before` is what there is of it already. That stays what it is: when somebody ends it
        meanwhile, it is not made again by who still thinks that it should be as told.
        """
        if workload.run is not None and before.deployment is not None:
            return None  # what has begun is left as it is: nobody can change a Job
        image = await self._images.config(workload)
        if isinstance(image, Refused):
            return image
        settings, pull = await self._terms.of(workload.repository)
        once = workload.run is not None
        build = manifests.batch if once else manifests.rest
        begun = manifests.first(workload, image, settings, once=once)
        if isinstance(begun, Refused):
            return begun
        policy, anchor = begun
        room = place(workload, machines, before.room)
        rest = build(workload, image, settings, owner="-", room=room)
        if isinstance(rest, Refused):
            return rest
        try:
            # before the first pod of a project comes, nobody may reach it
            async with self._common.needed((policy, *pull)):
                told = _told(anchor, workload, rest, room)
                made = await self._cluster.apply(_same(told, before.anchor))
            rest = build(workload, image, settings, owner=made["metadata"]["uid"], room=room)
            assert not isinstance(rest, Refused)
            for manifest in rest:
                known = before.deployment if manifest["kind"] == kinds.DEPLOYMENTS.name else None
                await self._apply(_same(manifest, known))
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


def place(workload: Workload, machines: Iterable[Node], settled: Room | None = None) -> Room | None:
    """Where its GPUs are: on any machine that has such ones, best of all on those chosen.

    What was said before is not said anew for more copies or fewer, or when machines have gone: all
    copies would have to move.
    """
    chosen = sorted({nodes.place(device)[0] for device in workload.devices} - {""})
    if not chosen:
        return None
    products = {node.metadata.name: nodes.product(node) for node in machines}
    found = {products[name] for name in chosen if name in products}
    if settled is not None:
        needed = {value for label, value in found if label and label == settled.label}
        if needed <= set(settled.values):
            return settled
        return msgspec.structs.replace(settled, values=tuple(sorted({*settled.values, *needed})))
    labels = {label for label, _ in found}
    if len(labels) != 1 or "" in labels:
        return Room(nodes=tuple(chosen))
    [label], types = labels, {nodes.type_of(value) for _, value in found}
    alike = {v for of, v in products.values() if of == label and nodes.type_of(v) in types}
    return Room(nodes=tuple(chosen), label=label, values=tuple(sorted(alike)))


def _same(manifest: manifests.Manifest, known: Part | None) -> manifests.Manifest:
    """For that object and no other: the cluster refuses it when that is gone, or another."""
    if known is None:
        return manifest
    return manifest | {"metadata": manifest["metadata"] | {"uid": known.metadata.uid}}


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
        **view.written(room),
    }
    return anchor | {"data": {**anchor["data"], **more}}

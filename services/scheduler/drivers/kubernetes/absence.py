"""What it means that pictures lack a part of a replica: it is gone, or only without the labels by
which pictures are painted, or the pictures are old. The cluster itself is asked which."""

from __future__ import annotations

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.live import Live, is_seen
from services.scheduler.drivers.kubernetes.objects import Keeper, Part
from services.scheduler.drivers.kubernetes.view import Held
from shared.errors import Transient


class Absence:
    def __init__(self, live: Live, platform: str) -> None:
        self._live = live
        self._platform = platform
        self._gone: dict[Replica, str] = {}  # what is, as the cluster said

    async def completed(self, replica: Replica, held: Held) -> tuple[Held, str]:
        """With the main parts that the cluster has although pictures lack them, and why nothing of
        it will run any more, "" where that is not so. Raises Transient when pictures are old."""
        if held.deployment is not None and held.anchor is not None:
            self._gone.pop(replica, None)
            ending = held.deployment.metadata.deletion_timestamp
            return held, f"its {held.keeper} is being deleted" if ending else ""
        reason = (
            f"its {held.keeper} is gone" if held.deployment is None else "its ConfigMap is gone"
        )
        if self._gone.get(replica) != reason:
            deployment = held.deployment or await self.unlabelled(replica)
            anchor = held.anchor or await self._live.part(kinds.CONFIGMAPS, Part, replica)
            held = msgspec.structs.replace(held, deployment=deployment, anchor=anchor)
            if deployment is not None and anchor is not None:
                return held, ""
            self._gone[replica] = reason
        return held, f"{reason}: somebody deleted it"

    async def unlabelled(self, replica: Replica) -> Keeper | None:
        """Its Deployment or Job, if pictures lack it for want of labels alone. Raises Transient
        when it has them, and pictures should have it."""
        found = await self._live.keeper(replica)
        if found is not None and is_seen(found.metadata, self._platform):
            raise Transient(
                f"the cluster is out of sight: {replica} is there, but we do not see it"
            )
        return found

    def forget(self, replica: Replica) -> None:
        self._gone.pop(replica, None)

"""Whether a cluster keeps replicas apart: policies are only words where its network ignores them.

A pod to which a policy allows nothing tries to reach the API server, and so does one to which
everything is allowed: only where the second can and the first can't do walls stand. Their image is
the one that every cluster must be able to pull, our doorman's. The first tries a few times, since
some networks put up their walls a moment after a pod has begun.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TypeAlias

from services.scheduler.driver import Refused
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.manifests import Manifest, names, resources, security
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from services.scheduler.drivers.kubernetes.objects import Pod, State
from services.scheduler.drivers.kubernetes.terms import Terms
from shared.errors import PlatformError, Transient

Side: TypeAlias = Literal["closed", "open"]
SIDES: Final[tuple[Side, ...]] = ("closed", "open")

PROBE: Final = "slipway.dev/probe"
TRIES: Final = 3
WITHIN: Final = 180.0  # seconds
LOOK: Final = 1.0
AGAIN: Final = 60.0  # seconds until the next probe after one that said nothing
NONE: Final = (
    "the cluster does not enforce network policies: "
    "replicas reach one another, its API server, and whatever else is in its network"
)

log = logging.getLogger(__name__)


class Walls:
    """`stand` is None until it is known."""

    def __init__(self, cluster: Cluster, terms: Terms, *, required: bool) -> None:
        self._cluster = cluster
        self._terms = terms
        self._required = required
        self.stand: bool | None = None
        self.known = asyncio.Event()

    def objection(self) -> Refused | None:
        """Why nothing new may start. Raises Transient while that is not known."""
        if not self._required or self.stand:
            return None
        if self.stand is None:
            raise Transient("it is not known yet whether the cluster enforces network policies")
        return Refused(NONE)

    async def watch(self) -> None:
        """Until it is known. Ends by being cancelled, too."""
        while self.stand is None:
            try:
                self.stand = await self._probe()
            except PlatformError as error:
                log.warning("can't see whether network policies are enforced: %s", error)
            if self.stand is None:
                await asyncio.sleep(AGAIN)
        self.known.set()
        if not self.stand:
            log.warning(NONE)

    async def _probe(self) -> bool | None:
        settings, pull = await self._terms.of()
        sides = {side: manifests(settings, side) for side in SIDES}
        for manifest in (*pull, *(policy for policy, _ in sides.values())):
            await self._cluster.apply(manifest)
        jobs = {side: job["metadata"]["name"] for side, (_, job) in sides.items()}
        try:
            for _ in range(round(WITHIN / LOOK)):
                for _, job in sides.values():  # another scheduler may have removed it
                    await self._cluster.apply(job)
                pods = {side: await self._pods(name) for side, name in jobs.items()}
                if (found := verdict(pods["closed"], pods["open"])) is not None:
                    return found
                await asyncio.sleep(LOOK)
        finally:  # the policies stay, they are about nothing else
            with suppress(PlatformError):
                for name in jobs.values():
                    await self._cluster.delete(kinds.JOBS, name)
        log.warning("can't see whether network policies are enforced: no two pods have tried")
        return None

    async def _pods(self, name: str) -> Sequence[Pod]:
        return (await self._cluster.list(kinds.PODS, Pod, selector=f"{PROBE}={name}")).items


def verdict(closed: Sequence[Pod], open: Sequence[Pod]) -> bool | None:
    """Whether walls stand; None while that is not known."""
    if reached(closed, TRIES):
        return False
    return True if reached(closed, TRIES) is False and reached(open, 1) else None


def reached(pods: Sequence[Pod], tries: int) -> bool | None:
    """Whether the last of so many tries got through, or one before it did not."""
    for pod in pods:
        found = pod.container(names.MANAGER)
        states = (found.state, found.last_state) if found is not None else ()
        ended = [state.terminated for state in states if isinstance(state, State)]
        codes = [one.exit_code for one in ended if one is not None]
        if 0 in codes:
            return False
        if found is not None and 1 in codes and (found.restart_count or 0) >= tries - 1:
            return True
    return None


def manifests(settings: Settings, side: Side) -> tuple[Manifest, Manifest]:
    """The policy and the Job of one of the two."""
    name = f"probe-{hashlib.sha256(settings.platform.encode()).hexdigest()[:16]}-{side}"
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": settings.namespace,
        "labels": {**names.ours(settings.platform), PROBE: name},
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": {PROBE: name}},
            "policyTypes": ["Ingress", "Egress"],
            **({"egress": [{}]} if side == "open" else {}),
        },
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 2 * TRIES,
            "activeDeadlineSeconds": round(WITHIN),
            "template": {"metadata": {"labels": {PROBE: name}}, "spec": _pod(settings)},
        },
    }
    return policy, job


def _pod(settings: Settings) -> dict[str, Any]:
    pull = {"imagePullSecrets": [{"name": settings.pull_secret}]} if settings.pull_secret else {}
    return {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": names.MANAGER,
                "image": settings.doorman_image,
                "args": ["look", "$(KUBERNETES_SERVICE_HOST)", "$(KUBERNETES_SERVICE_PORT)", "5"],
                "resources": resources.DOORMAN,
                "securityContext": security.doorman(),
            }
        ],
        **pull,
    }

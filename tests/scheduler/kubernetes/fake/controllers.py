"""Controllers of a cluster that is not there: Deployments and Jobs get pods, what has no owner goes.

Pods belong to their Deployment itself; there are no ReplicaSets between.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json

from tests.scheduler.kubernetes.fake.store import Object, Store

HASH = "pod-template-hash"


class Controllers:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = itertools.count(1)

    def step(self) -> None:
        self._collect()
        for deployment in self._store.find("deployments"):
            if not deployment["metadata"].get("deletionTimestamp"):
                self._deploy(deployment)
        for job in self._store.find("jobs"):
            if not job["metadata"].get("deletionTimestamp"):
                self._work(job)

    def _collect(self) -> None:
        """Delete what was owned by what is no more."""
        uids = {each["metadata"]["uid"] for each in self._store.objects.values()}
        for (plural, _, _), each in list(self._store.objects.items()):
            owners = each["metadata"].get("ownerReferences") or []
            if owners and not any(owner["uid"] in uids for owner in owners):
                if plural == "pods":
                    self._end(each)
                else:
                    self._store.remove(plural, each)

    def _deploy(self, deployment: Object) -> None:
        spec, meta = deployment["spec"], deployment["metadata"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[
            :10
        ]
        pods = [
            pod
            for pod in self._store.find("pods", meta["namespace"])
            if any(
                owner["uid"] == meta["uid"] for owner in pod["metadata"].get("ownerReferences", ())
            )
        ]
        alive = [
            pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and not over(pod)
        ]
        new = [pod for pod in alive if pod["metadata"]["labels"][HASH] == digest]
        old = [pod for pod in alive if pod not in new]
        wanted = spec["replicas"]
        for pod in new[wanted:]:
            self._end(pod)
        surges = (spec["strategy"].get("rollingUpdate") or {}).get("maxSurge", 1) != 0
        kept = _kept(old, new, wanted, surges)
        for pod in old:
            if pod not in kept:
                self._end(pod)
        room = wanted + surges - len(kept)
        for _ in range(min(wanted, room) - len(new)):
            self._start(deployment, digest)
        count = sum(ready(pod) for pod in alive)
        status: Object = {
            "observedGeneration": meta["generation"],
            "replicas": len(alive),
            "updatedReplicas": len(new),
            "readyReplicas": count,
            "availableReplicas": count,
            "conditions": [
                {"type": "Available", "status": "True" if count >= wanted else "False"},
            ],
        }
        self._store.status("deployments", deployment, status)

    def _work(self, job: Object) -> None:
        """One pod, and no second one."""
        meta, status = job["metadata"], job.get("status") or {}
        pods = [
            pod
            for pod in self._store.find("pods", meta["namespace"])
            if any(
                owner["uid"] == meta["uid"] for owner in pod["metadata"].get("ownerReferences", ())
            )
        ]
        if not pods and not status:
            self._start(job, "job")
            self._store.status("jobs", job, {"active": 1})
        elif status.get("active") and all(over(pod) for pod in pods):
            well = bool(pods) and pods[0]["status"]["phase"] == "Succeeded"
            how = {"type": "Complete" if well else "Failed", "status": "True"}
            count = {"succeeded": 1} if well else {"failed": 1}
            self._store.status("jobs", job, {"conditions": [how], **count})

    def _start(self, deployment: Object, digest: str) -> None:
        meta, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
        labels = template["metadata"].get("labels") or {}
        self._store.create(
            "pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{meta['name']}-{digest}-{next(self._numbers):05}",
                    "namespace": meta["namespace"],
                    "labels": labels | {HASH: digest},
                    "annotations": template["metadata"].get("annotations") or {},
                    "ownerReferences": [
                        {
                            "apiVersion": deployment["apiVersion"],
                            "kind": deployment["kind"],
                            "name": meta["name"],
                            "uid": meta["uid"],
                            "controller": True,
                        }
                    ],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending"},
            },
        )

    def _end(self, pod: Object) -> None:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            return
        if not pod["spec"].get("nodeName"):
            self._store.remove("pods", pod)
            return
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        meta = meta | {
            "deletionTimestamp": meta["creationTimestamp"],
            "deletionGracePeriodSeconds": grace,
        }
        self._store.update("pods", pod | {"metadata": meta})


def _kept(old: list[Object], new: list[Object], wanted: int, surges: bool) -> list[Object]:
    """Those of another template that stay for now."""
    good = sum(ready(pod) for pod in new)
    if surges:
        return old[: max(0, wanted - good)]
    served = good + sum(ready(pod) for pod in old)
    return old[1:] if served >= wanted else [pod for pod in old if ready(pod)]


def ready(pod: Object) -> bool:
    return any(
        each["type"] == "Ready" and each["status"] == "True"
        for each in (pod.get("status") or {}).get("conditions", ())
    )


def over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")

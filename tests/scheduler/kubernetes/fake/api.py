"""What an API server does with a request, apart from HTTP."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from services.scheduler.drivers.kubernetes.kinds import ALL, Kind
from tests.scheduler.kubernetes.fake.answers import Refusal, conflict, gone, invalid, missing
from tests.scheduler.kubernetes.fake.merge import applied, merged
from tests.scheduler.kubernetes.fake.select import matches
from tests.scheduler.kubernetes.fake.store import Object, Store

KINDS: Final = {(kind.api_version, kind.plural): kind for kind in ALL}
LARGEST: Final = 3 << 20  # bytes of a request
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Api:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._applied: dict[
            tuple[str, str, str], Object
        ] = {}  # what we applied, by uid and manager
        self._pages: dict[str, tuple[int, list[Object]]] = {}

    def list(self, kind: Kind, namespace: str, query: dict[str, str]) -> Object:
        limit = int(query.get("limit", "0"))
        if token := query.get("continue", ""):
            version, found = self._pages.pop(token, (0, []))
            if version < self.store.floor:
                raise gone("The provided continue parameter is too old")
        else:
            version = self.store.version
            labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
            found = [
                each
                for each in self.store.find(kind.plural, namespace)
                if matches(each, labels, fields)
            ]
        meta: Object = {"resourceVersion": str(version)}
        if limit and len(found) > limit:
            meta["continue"] = base64.b64encode(
                f"{version}/{len(self._pages)}/{id(found)}".encode()
            ).decode()
            self._pages[meta["continue"]] = version, found[limit:]
            found = found[:limit]
        return {
            "kind": f"{kind.name}List",
            "apiVersion": kind.api_version,
            "metadata": meta,
            "items": found,
        }

    def create(self, kind: Kind, namespace: str, wanted: Object, dry_run: bool) -> Object:
        made = _checked(kind, namespace, wanted["metadata"]["name"], wanted)
        made = defaulted(kind, made)
        return made if dry_run else self.store.create(kind.plural, made)

    def apply(
        self, kind: Kind, namespace: str, name: str, wanted: Object, manager: str, dry_run: bool
    ) -> Object:
        wanted = _checked(kind, namespace, name, wanted)
        _typed(wanted)
        uid = wanted["metadata"].pop("uid", "")
        try:
            live = self.store.get(kind.plural, namespace, name)
        except Refusal:
            if uid:
                why = f"uid mismatch: the provided object specified uid {uid}"
                raise conflict(
                    kind.plural, name, f"{why}, and no existing object was found"
                ) from None
            made = defaulted(kind, applied({}, {}, wanted))
            if dry_run:
                return made
            done = self.store.create(kind.plural, made)
        else:
            if uid not in ("", live["metadata"]["uid"]):
                raise invalid(f'metadata.uid: Invalid value: "{uid}": field is immutable')
            uid = live["metadata"]["uid"]
            before = self._applied.get((uid, manager, kind.api_version), {})
            made = defaulted(kind, applied(live, before, wanted))
            if dry_run:
                return made
            done = self.store.update(kind.plural, made)
        self._applied[done["metadata"]["uid"], manager, kind.api_version] = wanted
        return done

    def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        live = self.store.get(kind.plural, namespace, name)
        return self.store.update(kind.plural, defaulted(kind, merged(live, patch)))

    def delete(self, kind: Kind, namespace: str, name: str, options: Object) -> Object:
        live = self.store.get(kind.plural, namespace, name)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != live["metadata"]["uid"]:
            raise conflict(
                kind.plural,
                name,
                f"the UID in the precondition ({wanted}) does not match the UID in record "
                f"({live['metadata']['uid']}). The object might have been deleted and then recreated",
            )
        if kind.plural == "pods" and live["spec"].get("nodeName"):
            asked = options.get("gracePeriodSeconds")
            grace = live["spec"]["terminationGracePeriodSeconds"] if asked is None else asked
            if grace > 0:
                return self._leave(kind, live, grace)
        if options.get("propagationPolicy") == "Orphan":
            self._orphan(live["metadata"]["uid"])
        self.store.remove(kind.plural, live)
        if kind.plural == "namespaces":
            for key, each in list(self.store.objects.items()):
                if key[1] == name:
                    self.store.remove(key[0], each)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _leave(self, kind: Kind, pod: Object, grace: int) -> Object:
        """A pod has its grace; asking again may only shorten it."""
        meta = copy.deepcopy(pod["metadata"])
        if grace < meta.get("deletionGracePeriodSeconds", grace + 1):
            until = datetime.now(UTC).timestamp() + grace
            stamp = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            meta |= {"deletionGracePeriodSeconds": grace, "deletionTimestamp": stamp}
        return self.store.update(kind.plural, pod | {"metadata": meta})

    def _orphan(self, uid: str) -> None:
        for key, each in list(self.store.objects.items()):
            owners = each["metadata"].get("ownerReferences") or []
            if any(owner["uid"] == uid for owner in owners):
                left = [owner for owner in owners if owner["uid"] != uid]
                meta = each["metadata"] | {"ownerReferences": left}
                self.store.update(key[0], each | {"metadata": meta})


def _checked(kind: Kind, namespace: str, name: str, wanted: Object) -> Object:
    meta = wanted.get("metadata") or {}
    if (wanted.get("apiVersion"), wanted.get("kind")) != (kind.api_version, kind.name):
        raise Refusal(400, "BadRequest", "the object and the path are of different kinds")
    if meta.get("name") != name or meta.get("namespace", namespace) != namespace:
        raise Refusal(400, "BadRequest", "the object and the path have different names")
    if not NAME.fullmatch(name):
        raise invalid(f'{kind.name} "{name}" is invalid: metadata.name: Invalid value: "{name}"')
    if kind.plural == "configmaps" and any(
        not isinstance(value, str) for value in (wanted.get("data") or {}).values()
    ):
        raise Refusal(500, "", "failed to create typed patch object: .data: expected string")
    if len(json.dumps(wanted)) > LARGEST:
        raise Refusal(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    inside = {"namespace": namespace} if kind.namespaced else {}
    return copy.deepcopy(wanted) | {"metadata": copy.deepcopy(meta) | inside}


def _typed(wanted: Any, field: str = "") -> None:
    """Old servers want in each port that is applied what tells it from the others."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            _typed(value, name)
    elif isinstance(wanted, list):
        for each in wanted:
            if field == "ports" and "protocol" not in each:
                raise Refusal(500, "", 'failed to create typed patch object: no "protocol"')
            _typed(each)


def defaulted(kind: Kind, object: Object) -> Object:
    """With a few of the many fields that a server fills in."""
    spec = object.get("spec")
    if kind.plural == "deployments" and spec is not None:
        _default(spec, replicas=1, progressDeadlineSeconds=600, revisionHistoryLimit=10)
        rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
        _default(spec, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
        _default_pod(spec["template"]["spec"])
    if kind.plural == "pods" and spec is not None:
        _default_pod(spec)
    if kind.plural == "services" and spec is not None:
        address = int(hashlib.sha256(object["metadata"]["name"].encode()).hexdigest()[:4], 16)
        _default(spec, clusterIP=f"10.96.{address >> 8}.{address & 255}", type="ClusterIP")
        for port in spec.get("ports") or ():
            _default(port, protocol="TCP", targetPort=port["port"])
    return object


def _default_pod(spec: Object) -> None:
    _default(spec, restartPolicy="Always", terminationGracePeriodSeconds=30)
    _default(spec, dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        _default(container, terminationMessagePath="/dev/termination-log", resources={})
        _default(container, terminationMessagePolicy="File", imagePullPolicy="IfNotPresent")
        for port in container.get("ports") or ():
            _default(port, protocol="TCP")


def _default(object: Object, **values: Any) -> None:
    for name, value in values.items():
        object.setdefault(name, value)


def kind_at(api_version: str, plural: str) -> Kind:
    try:
        return KINDS[api_version, plural]
    except KeyError:
        raise missing(plural, "") from None

"""What etcd and the storage of an API server do: objects, versions, and a history that is cut."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from tests.scheduler.kubernetes.fake.answers import conflict, missing, taken

Object: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str, str]  # plural, namespace, name


class Entry(NamedTuple):
    """One change. Objects in it, and in the store, are never changed afterwards."""

    version: int
    plural: str
    before: Object | None
    after: Object | None
    seen: Object  # as the change left it: with the change's version, also when it is gone


class Store:
    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.history: list[Entry] = []
        self.version = 100
        self.floor = 100  # what happened up to here is forgotten
        self.changed = asyncio.Event()  # set, and replaced, at each change

    def get(self, plural: str, namespace: str, name: str) -> Object:
        try:
            return self.objects[plural, namespace, name]
        except KeyError:
            raise missing(plural, name) from None

    def find(self, plural: str, namespace: str = "") -> list[Object]:
        found = [
            (key, value)
            for key, value in self.objects.items()
            if key[0] == plural and (not namespace or key[1] == namespace)
        ]
        return [value for _, value in sorted(found, key=lambda pair: pair[0])]

    def create(self, plural: str, wanted: Object) -> Object:
        made = copy.deepcopy(wanted)
        meta = made.setdefault("metadata", {})
        key = (plural, meta.get("namespace", ""), meta["name"])
        if key in self.objects:
            raise taken(plural, meta["name"])
        if key[1] and ("namespaces", "", key[1]) not in self.objects:
            raise missing("namespaces", key[1])
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        return self._put(key, made)

    def update(self, plural: str, wanted: Object) -> Object:
        """Change what is there; what is the same changes nothing. A version in it must be right."""
        meta = wanted["metadata"]
        key = (plural, meta.get("namespace", ""), meta["name"])
        before = self.get(*key)
        made = copy.deepcopy(wanted)
        old = before["metadata"]
        if (
            made["metadata"].get("resourceVersion", old["resourceVersion"])
            != old["resourceVersion"]
        ):
            raise conflict(plural, key[2], "the object has been modified")
        for field in ("uid", "creationTimestamp", "generation", "resourceVersion"):
            made["metadata"][field] = old[field]
        if made == before:
            return before
        if made.get("spec") != before.get("spec"):
            made["metadata"]["generation"] = old["generation"] + 1
        return self._put(key, made)

    def status(self, plural: str, object: Object, status: Object) -> Object:
        same = object.get("status") == status
        return object if same else self.update(plural, object | {"status": status})

    def remove(self, plural: str, object: Object) -> None:
        meta = object["metadata"]
        before = self.objects.pop((plural, meta.get("namespace", ""), meta["name"]))
        self._tell(plural, before, None)

    def compact(self) -> None:
        """Forget what happened until now: who asks from before hears 410."""
        self.version += 1
        self.floor = self.version
        self.history.clear()

    def since(self, version: int) -> Iterator[Entry]:
        return (entry for entry in self.history if entry.version > version)

    def _put(self, key: Key, made: Object) -> Object:
        before = self.objects.get(key)
        made["metadata"]["resourceVersion"] = str(self.version + 1)
        self.objects[key] = made
        self._tell(key[0], before, made)
        return made

    def _tell(self, plural: str, before: Object | None, after: Object | None) -> None:
        self.version += 1
        seen = after or before or {}
        seen = seen | {"metadata": seen["metadata"] | {"resourceVersion": str(self.version)}}
        self.history.append(Entry(self.version, plural, before, after, seen))
        if len(self.history) > 20_000:
            self.floor = self.history[10_000].version
            del self.history[:10_001]
        self.changed.set()
        self.changed = asyncio.Event()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]

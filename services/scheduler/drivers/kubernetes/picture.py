"""What we know of the objects of one kind, and what each piece of news means for it. Does no I/O.

News may come twice, late, or from a server that lags behind. Versions are opaque by contract, but
every server that we know counts: where both are numbers, what is older than what we know is no
news; where they are not, the order in which news come is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from services.scheduler.drivers.kubernetes.answers import Event
from services.scheduler.drivers.kubernetes.metadata import Metadata

Key: TypeAlias = tuple[str, str]  # namespace, name


class Known(Protocol):
    @property
    def metadata(self) -> Metadata: ...


T = TypeVar("T", bound=Known)


class Change(msgspec.Struct, Generic[T], frozen=True):
    """`before` is None for what is new, `after` for what is gone; both, with different uids, for
    what was replaced by another of its name."""

    before: T | None
    after: T | None


class Picture(Generic[T]):
    def __init__(self) -> None:
        self._objects: dict[Key, T] = {}
        self._gone: dict[Key, str] = {}  # versions of deletions since the last list
        self._listed = ""  # the version of the last list
        self.version = ""  # up to where we know everything

    @property
    def objects(self) -> Mapping[Key, T]:
        return self._objects

    def replace(self, items: Iterable[T], version: str) -> list[Change[T]]:
        """All there is, as of `version`: what differs from what we knew."""
        found = {item.metadata.key: item for item in items}
        changes = [
            Change(before, found.get(key))
            for key, before in self._objects.items()
            if key not in found or not _same(before, found[key])
        ]
        changes += [Change(None, new) for key, new in found.items() if key not in self._objects]
        self._objects, self._gone = found, {}
        self._listed = self.version = version
        return changes

    def take(self, event: Event[T]) -> Change[T] | None:
        """One event of a watch, and what it changed: None for what is no news."""
        self.version = later(self.version, event.version)
        if (new := event.object) is None:
            return None
        key = new.metadata.key
        before = self._objects.get(key)
        known = before.metadata.resource_version if before else self._gone.get(key, self._listed)
        if event.type == "DELETED":
            if before is None or before.metadata.uid != new.metadata.uid:
                return None  # an earlier one of that name
            if _older(event.version, known):
                return None
            del self._objects[key]
            self._gone[key] = event.version
            return Change(before, None)
        if not _newer(event.version, known):
            return None
        self._objects[key] = new
        self._gone.pop(key, None)
        return Change(before, new)


def later(one: str, other: str) -> str:
    """Of two versions, the second unless it is known to be the earlier.

    >>> later("9", "10"), later("10", "9"), later("a", "b"), later("7", "")
    ('10', '10', 'b', '7')
    """
    return other if other and _newer(other, one) else one


def _newer(version: str, known: str) -> bool:
    return version != known and not _older(version, known)


def _older(version: str, known: str) -> bool:
    """Surely so."""
    return version.isdecimal() and known.isdecimal() and int(version) < int(known)


def _same(one: Known, other: Known) -> bool:
    a, b = one.metadata, other.metadata
    return a.uid == b.uid and a.resource_version == b.resource_version

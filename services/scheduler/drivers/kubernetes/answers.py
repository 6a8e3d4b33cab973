"""What a cluster answers, decoded straight from the bytes into what the caller names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from services.scheduler.drivers.kubernetes.errors import cluster_errors, of_answer
from services.scheduler.drivers.kubernetes.metadata import Seen

T = TypeVar("T")
Object: TypeAlias = dict[str, Any]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    items: Sequence[T]
    version: str  # of the list: where a watch goes on
    token: str = ""  # for the next page; "" on the last one


class Event(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: T | None  # None in a bookmark
    version: str


class Version(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    major: str = ""
    minor: str = ""
    git_version: str = ""


class _ListMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    resource_version: str = ""
    token: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    metadata: _ListMeta
    items: list[T] | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    code: int = 500


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class _Resources(msgspec.Struct, frozen=True, kw_only=True):
    resources: list[_Resource]


def decoded(body: bytes, type: type[T]) -> T:
    """Raises Away when it is something else."""
    with cluster_errors():
        return msgspec.json.decode(body, type=type)


def page(body: bytes, type: type[T]) -> Page[T]:
    found = decoded(body, _List[type])  # type: ignore[valid-type]
    meta = found.metadata
    return Page(items=found.items or (), version=meta.resource_version, token=meta.token or "")


def event(line: bytes, type: type[T]) -> Event[T]:
    """One line of a watch. Raises Expired or Away for one that tells of an error."""
    found = decoded(line, _Event)
    body = bytes(found.object)
    if found.type == "ERROR":
        raise of_answer(decoded(body, _Error).code, body)
    version = decoded(body, Seen).metadata.resource_version
    if found.type == "BOOKMARK":
        return Event(type="BOOKMARK", object=None, version=version)
    return Event(type=found.type, object=decoded(body, type), version=version)


def resources(body: bytes) -> frozenset[str]:
    """The plurals in an answer of discovery."""
    return frozenset(resource.name for resource in decoded(body, _Resources).resources)

"""What every object of a cluster says of itself. Structs of what we read begin with `Seen`."""

from __future__ import annotations

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


class Seen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object as a list or a watch gave it. Give each field that you add a default: servers
    leave out what is empty, and say `null` for a few lists."""

    metadata: Metadata = Metadata()

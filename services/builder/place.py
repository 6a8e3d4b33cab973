"""Where this platform keeps its images, and whose a repository there is."""

from __future__ import annotations

import msgspec

from shared.registry import Reference, are_one


class Place(msgspec.Struct, frozen=True):
    registry: str  # host[:port]
    prefix: str = ""

    def repository(self, project: str) -> Reference:
        """Of a project, `owner/name`."""
        path = f"{self.prefix}/{project}" if self.prefix else project
        return Reference(registry=self.registry, repository=path)

    def owner_of(self, reference: Reference) -> str | None:
        """Whose images are kept there; None where no project's are, as its name tells."""
        if not are_one(reference.registry, self.registry):
            return None
        under = f"{self.prefix}/" if self.prefix else ""
        owner, slash, name = reference.repository.removeprefix(under).partition("/")
        ours = reference.repository.startswith(under) and slash and "/" not in name
        return owner if ours else None


def read(text: str) -> Place:
    """From `host[:port]/prefix`."""
    registry, _, prefix = text.strip("/").partition("/")
    return Place(registry, prefix)

"""A base image's files as a container would see them: its layers one over the other.

Only what `scan` kept is here, with the links and folders that lead to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.builder.base.scan import Found
from shared.errors import Invalid

HOPS: Final = 40  # links followed before it counts as a loop, as Linux has it
MOST: Final = 2_000_000  # nodes
STEPS: Final = 50_000_000  # segments walked for all paths together


class Node:
    """A folder if it has `below`, a link if it has `target`, else a file."""

    __slots__ = ("below", "found")

    def __init__(self, found: Found | None = None, *, folder: bool = False) -> None:
        self.found = found
        self.below: dict[str, Node] | None = {} if folder else None

    @property
    def target(self) -> str:
        return self.found.target if self.found and self.found.kind == "symlink" else ""

    @property
    def content(self) -> bytes:
        return (self.found.content or b"") if self.found else b""

    @property
    def words(self) -> tuple[str, ...]:
        return self.found.words if self.found else ()


class RootFs:
    def __init__(self) -> None:
        self._root = Node(folder=True)
        self._count = self._steps = 0

    def apply(self, layer: Iterable[Found]) -> None:
        """Lay a layer over what is there. What it takes away, it takes from those below it."""
        members = list(layer)
        for found in members:
            if found.kind in ("gone", "opaque"):
                self._remove(found)
        for found in members:
            if found.kind not in ("gone", "opaque"):
                self._put(found)

    def find(self, path: str) -> tuple[str, Node] | None:
        """Where an absolute path really leads, and what is there, links followed to the end."""
        return self._walk(path, last=True)

    def at(self, path: str) -> Node | None:
        found = self.find(path)
        return found[1] if found else None

    def names(self, path: str) -> dict[str, Node]:
        """What is kept of a folder."""
        node = self.at(path)
        return dict(sorted(node.below.items())) if node and node.below else {}

    def _walk(self, path: str, *, last: bool, make: bool = False) -> tuple[str, Node] | None:
        """With `last`, a link at the end is followed, too. With `make`, folders are made."""
        here: list[tuple[str, Node]] = []
        ahead = _segments(path)[::-1]
        hops = 0
        while ahead:
            self._steps += 1
            if self._steps > STEPS or self._count > MOST:
                raise Invalid("image", "has more links and packages than can be looked at")
            name = ahead.pop()
            if name == "..":
                del here[-1:]
                continue
            above = here[-1][1] if here else self._root
            node = above.below.get(name) if above.below is not None else None
            if node is not None and node.target and (ahead or last) and hops < HOPS:
                hops += 1
                if node.target.startswith("/"):
                    here = []
                ahead += _segments(node.target)[::-1]
                continue
            if make and (node is None or node.below is None) and above.below is not None:
                node = above.below[name] = Node(folder=True)
                self._count += 1
            if node is None or (node.target and (ahead or last)):
                return None
            here.append((name, node))
        return "/" + "/".join(name for name, _ in here), here[-1][1] if here else self._root

    def _remove(self, found: Found) -> None:
        if found.kind == "opaque":
            node = self.at("/" + found.path)
            if node and node.below:
                node.below.clear()
            return
        above, _, name = found.path.rpartition("/")
        node = self.at("/" + above)
        if node and node.below:
            node.below.pop(name, None)

    def _put(self, found: Found) -> None:
        above, _, name = found.path.rpartition("/")
        if not name:
            return
        match found.kind:
            case "folder":
                self._put_folder(above, name)
            case "hardlink":
                there = self._walk("/" + found.target, last=False)
                self._replace(above, name, there[1] if there and there[1].found else None)
            case "file" if found.content is None:
                self._replace(above, name, None)
            case _:
                self._replace(above, name, Node(found))

    def _put_folder(self, above: str, name: str) -> None:
        """Only where it takes the place of something else, or is one that packages lie in."""
        folder = self.at("/" + above)
        there = folder.below.get(name) if folder and folder.below is not None else None
        if there is not None and there.below is not None:
            return
        if there is not None or name in ("site-packages", "dist-packages"):
            self._replace(above, name, Node(folder=True))

    def _replace(self, above: str, name: str, node: Node | None) -> None:
        if node is None:
            folder = self.at("/" + above)
            if folder and folder.below is not None:
                folder.below.pop(name, None)
            return
        # folders are made through the links that are there, as an unpacking engine does
        found = self._walk("/" + above, last=True, make=True)
        assert found is not None
        assert found[1].below is not None
        found[1].below[name] = node
        self._count += 1


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment not in ("", ".")]

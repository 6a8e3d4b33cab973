"""From the objects of a repository to one tar, by content alone: the same files, the same bytes.

Nothing is checked out: no filter, no attribute and no link of the repository acts on the way.
"""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from collections.abc import AsyncIterator, Sequence
from typing import Final

from services.builder import layers
from services.builder.git.child import CHUNK
from services.builder.git.listing import Item
from shared.errors import Invalid

POINTER: Final = b"version https://git-lfs.github.com/spec/"
POINTER_SIZE: Final = 1024  # bytes below which a file may be one
TARGET: Final = 4096  # bytes of what a link points at


class Packer:
    """Reads what `git cat-file --batch` writes for the items' objects, in their order."""

    def __init__(self, items: Sequence[Item], out: StreamReader) -> None:
        self._items = items
        self._out = out
        self.pointers: list[str] = []  # paths of files that stand for content elsewhere

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            for name in layers.parents(item.path for item in self._items):
                yield layers.folder_header(name)
            for item in self._items:
                async for chunk in self._member(item):
                    yield chunk
        except IncompleteReadError:
            raise Invalid("url", "holds an object that git can't read") from None
        yield layers.END

    async def _member(self, item: Item) -> AsyncIterator[bytes]:
        said = (await self._out.readuntil(b"\n")).decode("ascii", "replace").split()
        if said != [item.oid, "blob", str(item.size)]:
            raise Invalid("url", f"holds {item.path[:80]!r}, which git can't read")
        if item.link:
            yield layers.link_header(item.path, await self._target(item))
        else:
            yield layers.file_header(item.path, item.size, executable=item.executable)
            async for chunk in self._content(item):
                yield chunk
            yield layers.padding(item.size)
        await self._out.readexactly(1)

    async def _target(self, item: Item) -> str:
        if item.size > TARGET:
            raise Invalid("url", f"holds {item.path[:80]!r}, a link to what can't be a path")
        return (await self._out.readexactly(item.size)).decode("utf-8", "surrogateescape")

    async def _content(self, item: Item) -> AsyncIterator[bytes]:
        left, first = item.size, True
        while left:
            chunk = await self._out.readexactly(min(left, CHUNK))
            if first and item.size < POINTER_SIZE and chunk.startswith(POINTER):
                self.pointers.append(item.path)
            left, first = left - len(chunk), False
            yield chunk

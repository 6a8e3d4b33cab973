"""One source, from what was asked for to an archive in the blob store.

Everything is checked here again, whoever checked it before: the URL, the ref, the addresses of the
host, the size of what comes, and the archive itself. What is wrong is raised as Invalid, naming
`url`, `ref` or `path`; a host that can't be reached now as Transient.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Final

import msgspec

from services.builder.git import command, listing, resolve, trouble
from services.builder.git.child import Git, Refused
from services.builder.git.listing import Listing
from services.builder.git.pack import Packer
from services.builder.git.resolve import Lookup
from shared import archive, git
from shared.blobs import CHUNK, Blob, Blobs
from shared.errors import Invalid, Transient, translate
from shared.git import Remote, Trusted

LOOK: Final = 0.25  # seconds between two looks at how much has come
INTO: Final = "refs/slipway/source"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    ref: str = git.HEAD
    path: str = ""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    blob: Blob  # a tar of the code, the same for the same files
    commit: str
    notes: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    size: int = 2 << 30  # bytes that may come, and bytes that may be in the archive
    seconds: int = 300  # for all of it


class Fetcher(msgspec.Struct, frozen=True, kw_only=True):
    blobs: Blobs
    trusted: Trusted = Trusted()
    limits: Limits = Limits()
    lookup: Lookup = resolve.system

    async def fetch(self, wanted: Wanted, folder: Path) -> Fetched:
        """`folder` is empty, for this fetch alone, and somebody else's to remove."""
        remote = git.remote(wanted.url, self.trusted)
        ref, path = git.ref(wanted.ref), git.folder(wanted.path)
        try:
            async with asyncio.timeout(self.limits.seconds):
                addresses = await resolve.addresses(remote, self.lookup)
                with translate({OSError: Transient}):
                    return await self._fetch(remote, addresses, ref, path, folder)
        except TimeoutError:
            raise Invalid("url", f"took longer than {self.limits.seconds} s to fetch") from None

    async def _fetch(
        self, remote: Remote, addresses: list[str], ref: str, path: str, folder: Path
    ) -> Fetched:
        repository = self._repository(remote, folder)
        commit = await self._commit(repository, remote, addresses, ref)
        found = await self._listing(repository, commit, path)
        if not found.items:
            raise Invalid("path" if path else "url", "has no files at that commit")
        packed = folder / "packed"
        pointers = await self._pack(repository, found, folder / "wanted", packed)
        limits = msgspec.structs.replace(archive.DEFAULT, size=self.limits.size)
        await asyncio.to_thread(archive.inspect, packed, limits, field="url")
        blob = await self.blobs.put(_chunks(packed))
        return Fetched(blob=blob, commit=commit, notes=listing.notes(found, pointers))

    def _repository(self, remote: Remote, folder: Path) -> Git:
        home, repository = folder / "home", folder / "repository"
        home.mkdir()
        repository.mkdir()
        return Git(
            folder=repository,
            home=home,
            schemes=("https", "http") if remote.trusted else ("https",),
            seconds=self.limits.seconds,
            file_bytes=self.limits.size,
        )

    async def _commit(self, repository: Git, remote: Remote, addresses: list[str], ref: str) -> str:
        """Bring one commit; its id."""
        hashes = ["sha256", "sha1"] if len(ref) == 64 and git.is_commit(ref) else ["sha1", "sha256"]
        for number, name in enumerate(hashes):
            await _init(repository, name)
            try:
                await self._bring(repository, remote, addresses, ref)
                break
            except Refused as error:
                if trouble.other_hash(error.said) and not number:
                    await asyncio.to_thread(_clear, repository.folder)
                    continue
                # git does not say it when what it started was ended for writing too much
                if await asyncio.to_thread(_size, repository.folder) >= self.limits.size:
                    raise trouble.too_large() from error
                raise trouble.of_fetch(error.code, error.said, self.limits.seconds) from error
        return await _peeled(repository, ref)

    async def _bring(self, repository: Git, remote: Remote, addresses: list[str], ref: str) -> None:
        settings = [
            f"protocol.{remote.scheme}.allow=always",
            *command.pinned(remote, addresses),
        ]
        fetching = repository.ask(*command.fetch(remote, ref, INTO), settings=settings)
        await _while_small(fetching, repository.folder, self.limits.size)

    async def _listing(self, repository: Git, commit: str, path: str) -> Listing:
        try:
            async with repository.reading(
                *("ls-tree", "-r", "-z", "-l", "--full-tree", f"{commit}:{path}")
            ) as out:
                return await listing.read(out, self.limits.size)
        except Refused as error:
            raise trouble.of_tree(error.said) from error

    async def _pack(self, repository: Git, found: Listing, wanted: Path, packed: Path) -> list[str]:
        """Write the archive; the paths of files that only stand for content elsewhere."""
        text = "".join(f"{item.oid}\n" for item in found.items)
        await asyncio.to_thread(wanted.write_text, text)
        try:
            async with repository.reading("cat-file", "--batch", "--buffer", given=wanted) as out:
                packer = Packer(found.items, out)
                await _write(packer.chunks(), packed)
                return packer.pointers
        except Refused as error:
            raise trouble.of_reading(error.said) from error


async def _init(repository: Git, hash: str) -> None:
    try:
        await repository.ask("init", "--quiet", "--bare", "--template=", f"--object-format={hash}")
    except Refused as error:
        raise trouble.of_machine(error.code, error.said) from error


async def _peeled(repository: Git, ref: str) -> str:
    """The commit that came, which is the one that was asked for if a commit was."""
    try:
        named = await repository.ask("rev-parse", "--verify", "--end-of-options", INTO)
        commit = await repository.ask(
            "rev-parse", "--verify", "--end-of-options", f"{INTO}^{{commit}}"
        )
    except Refused as error:
        raise Invalid("ref", "names something that is not a commit") from error
    if not git.is_commit(commit) or (git.is_commit(ref) and named != ref):
        raise Invalid("ref", "is not the commit that the host sent")
    return commit


async def _while_small(work: Awaitable[object], folder: Path, most: int) -> None:
    """`work`, unless `folder` grows beyond `most` bytes and a little more for its books."""
    doing = asyncio.ensure_future(work)
    try:
        while not doing.done():
            await asyncio.wait({doing}, timeout=LOOK)
            if await asyncio.to_thread(_size, folder) > most + most // 4:
                raise trouble.too_large()
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    doing.result()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # git renames what it has finished
            continue
    return total


def _clear(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


async def _write(chunks: AsyncIterator[bytes], into: Path) -> None:
    with into.open("wb") as file:
        held = bytearray()
        async for chunk in chunks:
            held += chunk
            if len(held) >= CHUNK:
                await asyncio.to_thread(file.write, bytes(held))
                held.clear()
        await asyncio.to_thread(file.write, bytes(held))


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk

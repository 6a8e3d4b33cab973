"""Writing to registries. Everything may be repeated: what is there already is left as it is."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from yarl import URL

from shared.errors import PlatformError
from shared.registry.attempts import persist
from shared.registry.errors import Damaged, Denied, codes, failure, missing
from shared.registry.manifests import digest_of
from shared.registry.pull import Content, Pull, scopes
from shared.registry.reference import Reference
from shared.registry.session import Answer, Session, onward
from shared.registry.upload import Open, Upload

DIGEST_HEADER: Final = "Docker-Content-Digest"

_STARTED: Final = frozenset({201, 202})
_SENT: Final = frozenset({201, 204, 400, 404, 416})
_PUT: Final = frozenset({200, 201, 202, 400, 404})


class Push:
    def __init__(self, session: Session, pull: Pull) -> None:
        self._session = session
        self._pull = pull

    async def blob(self, repository: Reference, blob: Content, open: Open, mount_from: str) -> None:
        if mount_from and mount_from != repository.repository:
            with suppress(Denied):  # to read there; then it is sent
                if await self._mount(repository, blob, mount_from):
                    return
        if await self._pull.has(repository, blob.digest, "blob", _rights(repository)):
            return
        limits = self._session.limits
        upload = Upload(repository.at(blob.digest), blob, open, limits)

        async def attempt() -> Exception | None:
            return await self._send(repository, upload, await self._start(repository, upload))

        trouble = await persist(str(upload.what), limits, attempt, seconds=upload.longest)
        if trouble is not None:
            raise trouble

    async def _mount(self, repository: Reference, blob: Content, source: str) -> bool:
        """Have it from another repository of the registry. Whether it is here now."""
        url = self._session.url(repository, "blobs/uploads/", mount=blob.digest, **{"from": source})
        answer = await self._session.ask(
            "POST",
            repository,
            url,
            scopes=(*_rights(repository), *scopes(Reference(repository.registry, source))),
            headers={"Content-Length": "0"},
            fine=_STARTED,
        )
        if answer.status == 201:
            _check_promise(repository.at(blob.digest), answer.headers.get(DIGEST_HEADER, ""))
        return answer.status == 201

    async def _start(self, repository: Reference, upload: Upload) -> URL:
        """Where to send it."""
        url = self._session.url(repository, "blobs/uploads/")
        async with self._session.exchange(
            "POST",
            repository,
            url,
            scopes=_rights(repository),
            headers={"Content-Length": "0"},
            fine=frozenset({202}),
        ) as response:
            await self._session.wire.read(response, self._session.limits.error)
            location = response.headers.get("Location", "")
        place = onward(repository, url.origin(), url, location).with_fragment(None)
        joint = "&" if place.raw_query_string else "?"
        return URL(f"{place}{joint}digest={upload.blob.digest}", encoded=True)

    async def _send(self, repository: Reference, upload: Upload, url: URL) -> Exception | None:
        """All of it in one request, which ends when nothing moves any more.

        Trouble in reading what is to be sent is given back: more attempts are not for that.
        """
        session = self._session
        try:
            async with (
                upload.watched(),
                session.exchange(
                    "PUT",
                    repository,
                    url,
                    scopes=_rights(repository),
                    headers={
                        "Content-Length": str(upload.blob.size),
                        "Content-Type": "application/octet-stream",
                    },
                    data=upload.chunks() if upload.blob.size else b"",
                    fine=_SENT,
                    bounded=False,
                ) as response,
            ):
                body = await session.wire.read(response, session.limits.error)
        except PlatformError:
            if upload.trouble is not None:
                return upload.trouble
            raise
        if response.status in (201, 204):
            _check_promise(upload.what, response.headers.get(DIGEST_HEADER, ""))
        else:
            upload.refused(codes(body))
        return None

    async def manifest(
        self, repository: Reference, body: bytes, media_type: str, tag: str
    ) -> Answer:
        digest = digest_of(body)
        what = repository.tagged(tag) if tag else repository.at(digest)
        answer = await self._session.ask(
            "PUT",
            what,
            self._session.url(repository, f"manifests/{tag or digest}"),
            scopes=_rights(repository),
            headers={"Content-Type": media_type},
            data=body,
            fine=_PUT,
        )
        if answer.status >= 400:
            lacking = missing(str(what), answer.body)
            raise lacking or failure(str(what), answer.status, answer.headers, answer.body)
        promised = answer.headers.get(DIGEST_HEADER, "")
        _check_promise(repository.at(digest), promised)
        if not promised and not await self._pull.has(
            repository, digest, "manifest", _rights(repository)
        ):
            raise Damaged(f"{what}: the registry took a manifest and does not have it")
        return answer

    async def delete(self, repository: Reference, digest: str) -> None:
        await self._session.ask(
            "DELETE",
            repository.at(digest),
            self._session.url(repository, f"manifests/{digest}"),
            scopes=scopes(repository, "pull,push,delete"),
            fine=frozenset({200, 202, 204, 404}),
        )


def _rights(repository: Reference) -> tuple[str, ...]:
    return scopes(repository, "pull,push")


def _check_promise(what: Reference, promised: str) -> None:
    if promised and promised != what.digest:
        raise Damaged(f"{what}: the registry keeps something else under another digest")

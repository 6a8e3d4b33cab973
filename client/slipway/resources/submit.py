"""From resource definitions to the platform: files first, then all definitions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from slipway.deploy import Step, Watcher
from slipway.errors import BadDocument, BadSource, SlipwayError
from slipway.resources.prepare import Prepared
from slipway.resources.told import label, told
from slipway.types_models import Change

if TYPE_CHECKING:
    from slipway.client import AsyncClient

MOST: Final = 100  # documents at once
LARGEST: Final = 1 << 20  # bytes of what the platform takes as JSON


async def submit(
    client: AsyncClient,
    prepared: Sequence[Prepared],
    *,
    dry_run: bool,
    target: str | None,
    project: str | None,
    watch: Watcher,
) -> list[Change]:
    """Nothing changes unless all is right. Files are uploaded if they are not there yet, also for
    a dry run: that says what would change, and the files are what it is about.
    """
    asked: dict[str, Any] = {"documents": [], "dry_run": dry_run}
    if target is not None:
        asked["target"] = target
    _check_size(prepared)
    for one in prepared:
        asked["documents"].append(
            {
                "source": label(one.document),
                "document": one.document.body,
                "payload": await _payload(client, one, project, watch),
                "training": await _training(client, one, project, watch),
            }
        )
    try:
        changes = await client.submit_resources(asked, project=project)
    except SlipwayError as error:
        raise told(error, [one.document for one in prepared]) from error
    sources = {label(one.document): one.document.source for one in prepared}
    return [
        msgspec.structs.replace(change, source=sources.get(change.source, change.source))
        for change in changes
    ]


def _check_size(prepared: Sequence[Prepared]) -> None:
    """Before anything is uploaded in vain."""
    size = len(msgspec.json.encode([one.document.body for one in prepared])) + 500 * len(prepared)
    if len(prepared) > MOST or size > LARGEST:
        detail = f"{len(prepared)} definitions of {size} bytes; at once {MOST} of {LARGEST} may go"
        raise BadDocument(detail, "apply fewer files at a time")


async def _payload(
    client: AsyncClient, one: Prepared, project: str | None, watch: Watcher
) -> str | None:
    if not one.payload:
        return None

    def packing(name: str, size: int) -> None:
        watch(Step(kind="packing", text=name))

    try:
        upload = await client.upload_bundle(one.payload, project=project, progress=packing)
    except BadSource as error:
        raise _bad(one, "payload", error) from error
    watch(Step(kind="uploaded", text=f"{one.name}: payload", upload=upload))
    return upload.digest


async def _training(
    client: AsyncClient, one: Prepared, project: str | None, watch: Watcher
) -> str | None:
    if one.training is None:
        return None
    try:
        upload = await client.upload(one.training, project=project)
    except BadSource as error:
        raise _bad(one, "training-data", error) from error
    watch(Step(kind="uploaded", text=f"{one.name}: training data", upload=upload))
    return upload.digest


def _bad(one: Prepared, path: str, error: BadSource) -> BadDocument:
    return BadDocument("", error.hint, (one.document.wrong(path, str(error)),))

"""Training data as Hydrosphere's clients send it: after its model, to another service.

It is no part of an image, so a version may get it later: once, and for good.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.api import body, refused, uploads
from services.api.formats.hydrosphere.model import is_s3
from services.api.hydrosphere import manager
from services.api.hydrosphere.ask import Ask
from services.api.hydrosphere.views import View
from shared.database.sqlfile import sql
from shared.endpoint import Training
from shared.errors import Invalid

TRAINING_GIVE = sql("services.api", "training_give")
TRAINING_STATE = sql("services.api", "training_state")

OK: Final = "ok"
KINDS: Final = {"ready": "Success", "failed": "Failure", "waiting": "Processing"}


async def push(ask: Ask) -> str:
    """A CSV file as the body, or as JSON where one lies."""
    version = await manager.numbered(ask)
    if ask.request.content_type == "application/json":
        return await _give(ask, version, Training(uri=await _path(ask)))
    limit = min(ask.context.upload_limit, await uploads.space(ask.call(), ask.project))
    chunks = body.chunks(ask.request, limit, rate=uploads.RATE)
    blob = await ask.context.blobs.put(chunks, limit=limit)
    values = (ask.project.seq, blob.digest, blob.size)
    await ask.context.database.execute(uploads.UPLOAD_KEEP, *values)
    return await _give(ask, version, Training(digest=blob.digest))


async def _path(ask: Ask) -> str:
    sent = body.parse(await body.read(ask.request))
    path = sent.get("path") if isinstance(sent, dict) else None
    if not isinstance(path, str) or not is_s3(path):
        raise Invalid("path", "must be of the form s3://bucket/key.csv")
    return path


async def _give(ask: Ask, version: str, training: Training) -> str:
    given = await ask.context.database.value(TRAINING_GIVE, version, training)
    if msgspec.convert(given, Training) != training:
        detail = "upload the model again to have a version with other data"
        raise refused.conflict("training-data", "The version has its training data", detail)
    return OK


async def status(ask: Ask) -> View:
    """What became of it, in the word that clients wait for."""
    state = await ask.context.database.value(TRAINING_STATE, await manager.numbered(ask))
    return {"kind": KINDS.get(state or "", "NotRegistered")}

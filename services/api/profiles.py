"""What a model version is asked and answers, beside what it was trained on."""

from __future__ import annotations

import msgspec

from services.api.types_profiles import FieldProfile, ModelProfile, TrainingProfile
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.ids import VersionId

PROFILE = sql(__package__, "profile")
TRAINING = sql(__package__, "training")


async def profile(
    database: Database, model: str, name: str, version: VersionId, definition: Definition
) -> ModelProfile:
    rows = await database.fetch(PROFILE, version)
    fields = msgspec.convert([dict(row) for row in rows], tuple[FieldProfile, ...])
    return ModelProfile(
        model=model,
        version=name,
        training=await _training(database, version) if definition.training else None,
        drifted=any(each.drifted for field in fields for each in field.distances),
        fields=fields,
    )


async def _training(database: Database, version: VersionId) -> TrainingProfile:
    row = await database.row(TRAINING, version)
    if row is None:
        return TrainingProfile(state="waiting")
    return msgspec.convert(dict(row), TrainingProfile)

"""Versions as every service reads them. The API writes them, the builder finishes them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.ids import DeploymentId, VersionId
from shared.image import Record

VERSION = sql(__package__, "version")


class VersionState(StrEnum):
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    id: VersionId
    owner: str
    project: str
    deployment: DeploymentId | None  # None: the unnamed version of a lone endpoint
    deployment_name: str | None
    name: str
    state: VersionState
    definition: Definition
    images: dict[str, str]  # endpoint -> manifest digest
    notes: tuple[str, ...]
    reason: str
    repository: str = ""  # `registry/name` that holds the images; "": the blob store alone
    record: dict[str, Record] = {}  # endpoint -> what its image was made of
    created_at: datetime
    changed_at: datetime


async def get(database: Database, version: VersionId) -> Version | None:
    row = await database.row(VERSION, version)
    return None if row is None else msgspec.convert(dict(row), Version)

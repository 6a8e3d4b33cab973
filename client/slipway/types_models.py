"""What the platform answers about models, applications and how they run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Change(Struct, frozen=True, kw_only=True):
    """What became, or would become, of one resource definition."""

    kind: str
    name: str
    action: str  # create, update or unchanged
    version: str | None = None  # of a model
    id: str | None = None
    source: str = ""  # claims.yaml#2
    notes: list[str] = []


class Applied(Struct, frozen=True, kw_only=True):
    changes: list[Change]


class Field(Struct, frozen=True, kw_only=True):
    """A tensor, or with `fields` a map of them. `shape` None: any; []: a scalar."""

    name: str
    dtype: str | None = None
    shape: list[int] | None = None
    profile: str = "none"
    fields: list[Field] = []


class Contract(Struct, frozen=True, kw_only=True):
    signature: str = "Predict"
    inputs: list[Field] = []
    outputs: list[Field] = []


class ModelVersion(Struct, frozen=True, kw_only=True):
    """Immutable. Hydrosphere's users know its states as Assembling, Released and Failed."""

    id: str = ""
    model: str = ""
    name: str  # 1, 2, ...
    state: str  # building, ready or failed
    status: str = ""
    reason: str = ""
    runtime: str = ""
    contract: Contract | None = None
    metadata: dict[str, str] = {}
    notes: list[str] = []
    created_at: datetime | None = None
    changed_at: datetime | None = None


class Model(Struct, frozen=True, kw_only=True):
    name: str
    owner: str = ""
    project: str = ""
    target: str = ""
    latest: ModelVersion | None = None
    created_at: datetime | None = None


class Variant(Struct, frozen=True, kw_only=True):
    """A model version in a stage. Weight 0: it only gets a copy of each request."""

    model: str
    version: str = ""
    weight: int = 100
    configuration: str = ""
    servable: str = ""
    job: str = ""
    state: str = ""
    reason: str = ""


class Stage(Struct, frozen=True, kw_only=True):
    variants: list[Variant] = []


class Application(Struct, frozen=True, kw_only=True):
    """Hydrosphere's users know its states as Assembling, Ready and Failed."""

    id: str = ""
    name: str
    owner: str = ""
    project: str = ""
    target: str = ""
    state: str  # assembling, ready or failed
    status: str = ""
    reason: str = ""
    revision: int = 1  # the newest ...
    live: int | None = None  # ... and the one that answers
    stages: list[Stage] = []
    contract: Contract | None = None
    url: str | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None


class Servable(Struct, frozen=True, kw_only=True):
    """A model version that runs."""

    name: str
    model: str = ""
    version: str = ""
    job: str = ""
    application: str | None = None
    configuration: str | None = None
    state: str = ""
    status: str = ""
    reason: str = ""
    url: str | None = None
    created_at: datetime | None = None


class Configuration(Struct, frozen=True, kw_only=True):
    """How servables run: a DeploymentConfiguration."""

    name: str
    written: dict[str, Any] = {}
    created_at: datetime | None = None
    changed_at: datetime | None = None

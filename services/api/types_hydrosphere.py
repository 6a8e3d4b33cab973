"""What the API takes and gives about models, applications and how they run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from services.api.types import Ask, Digest, Give, TargetName
from shared.application import ApplicationState
from shared.application import Configuration as Settings
from shared.contract import Contract
from shared.database.versions import VersionState
from shared.endpoint import Training
from shared.lifecycle import State

Kind = Literal["Model", "Application", "DeploymentConfiguration"]
VersionStatus = Literal["Assembling", "Released", "Failed"]
ServableStatus = Literal["Starting", "Serving", "NotServing", "NotAvailable"]


class NewDefinition(Ask, frozen=True, kw_only=True):
    """A resource definition, and the uploads that go with a model's."""

    document: Any
    source: Annotated[
        str, Meta(max_length=500, description="where it is written, for messages: models.yaml#2")
    ] = ""
    payload: Digest | None = None
    """An archive of what goes into /model/files: the same content has the same digest."""
    training: Digest | None = None  # the CSV file that `training-data` names


class NewDefinitions(Ask, frozen=True, kw_only=True):
    """Resource definitions that are applied together, or not at all."""

    documents: Annotated[tuple[NewDefinition, ...], Meta(min_length=1, max_length=100)]
    dry_run: bool = False  # tell what would change; nothing does
    target: TargetName = ""  # empty: where they are, or the platform's first


class Change(Give, frozen=True, kw_only=True):
    kind: Kind
    name: str
    action: Literal["create", "update", "unchanged"]
    version: str | None  # of a model; of an application, its revision
    id: str | None
    source: str
    notes: list[str]


class Changes(Give, frozen=True, kw_only=True):
    """In the order of the documents."""

    changes: list[Change]
    dry_run: bool


class ModelSummary(Give, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    target: str
    versions: int
    newest: str  # name of the newest version
    state: VersionState  # of that one
    status: VersionStatus
    created_at: datetime


class ModelVersion(Give, frozen=True, kw_only=True):
    """`status` is the word that Hydrosphere's users know for `state`."""

    id: str
    owner: str
    project: str
    model: str
    name: str
    state: VersionState
    status: VersionStatus
    reason: str
    target: str
    runtime: str  # as its owner wrote it
    server: Literal["runtime", "platform"]  # whose code answers
    calls: Literal["tensors", "arrays"]  # what the platform's own server passes
    contract: Contract
    metadata: dict[str, str]
    install: list[str]
    payload: str  # digest
    training: Training | None
    image: str  # manifest digest, once it is built
    repository: str
    notes: list[str]
    created_at: datetime
    changed_at: datetime


class ServableVariant(Give, frozen=True, kw_only=True):
    """A model version in a stage, and the job that serves it."""

    model: str
    version: str
    version_id: str
    weight: int
    configuration: str
    job: str
    servable: str
    state: State
    status: ServableStatus
    reason: str


class Revision(Give, frozen=True, kw_only=True):
    revision: int
    stages: list[list[ServableVariant]]
    created_at: datetime


class Application(Give, frozen=True, kw_only=True):
    """It answers by its live revision, at `url` and over gRPC by its name."""

    id: str
    owner: str
    project: str
    name: str
    target: str
    state: ApplicationState
    status: str
    reason: str
    url: str
    signature: Contract | None  # of the live revision, else of the newest
    newest: Revision
    live: Revision | None
    document: Any  # the newest, as its owner wrote it
    created_at: datetime
    changed_at: datetime


class ApplicationSummary(Give, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    target: str
    state: ApplicationState
    status: str
    reason: str
    url: str
    revision: int
    live: int | None
    models: list[list[str]]  # name:version of the newest revision, by stage
    created_at: datetime
    changed_at: datetime


class DeploymentConfiguration(Give, frozen=True, kw_only=True):
    owner: str
    project: str
    name: str
    settings: Settings
    document: Any  # as its owner wrote it
    created_at: datetime
    changed_at: datetime


class NewServable(Ask, frozen=True, kw_only=True):
    """A model version that answers by itself, without an application."""

    model: Annotated[str, Meta(max_length=120, description="name:version")]
    configuration: Annotated[
        str, Meta(max_length=100, description="the name of a DeploymentConfiguration")
    ] = ""


class Servable(Give, frozen=True, kw_only=True):
    name: str
    owner: str
    project: str
    model: str
    version: str
    version_id: str
    application: str | None
    job: str
    state: State
    status: ServableStatus
    reason: str
    target: str
    copies: int
    copies_running: int
    settings: Settings
    url: str | None  # while it runs
    created_at: datetime
    changed_at: datetime

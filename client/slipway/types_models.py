"""What the platform answers about models, applications and how they run. `status` is the word that
Hydrosphere's users know for `state`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Change(Struct, frozen=True, kw_only=True):
    """What became, or would become, of one resource definition."""

    kind: str  # Model, Application or DeploymentConfiguration
    name: str
    action: str  # create, update or unchanged
    version: str | None = None  # of a model; of an application, its revision
    id: str | None = None
    source: str = ""  # claims.yaml#2
    notes: list[str] = []


class Changes(Struct, frozen=True, kw_only=True):
    changes: list[Change]
    dry_run: bool = False


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


class Model(Struct, frozen=True, kw_only=True):
    """`state` is that of its newest version."""

    id: str
    owner: str
    project: str
    name: str
    target: str
    versions: int
    newest: str
    state: str
    status: str = ""
    created_at: datetime


class Training(Struct, frozen=True, kw_only=True):
    """The data that a model was made from: an upload, or where it lies."""

    digest: str = ""
    uri: str = ""


class ModelVersion(Struct, frozen=True, kw_only=True):
    """Immutable."""

    id: str
    owner: str
    project: str
    model: str
    name: str  # 1, 2, ...
    state: str  # building, ready or failed
    status: str = ""
    reason: str = ""
    target: str = ""
    runtime: str = ""
    server: str = ""  # whose code answers: the runtime's, or the platform's
    calls: str = ""
    contract: Contract
    metadata: dict[str, str] = {}
    install: list[str] = []
    payload: str = ""
    training: Training | None = None
    image: str = ""
    repository: str = ""
    notes: list[str] = []
    created_at: datetime
    changed_at: datetime


class Distance(Struct, frozen=True, kw_only=True):
    """How far the traffic of the last day is from the training data, by one `metric`."""

    metric: str
    value: float
    threshold: float
    drifted: bool
    since: datetime | None = None  # of `drifted`


class FieldProfile(Struct, frozen=True, kw_only=True):
    """What is known of a field: `inputs.age` or `outputs.score`. Which statistics depends on their
    `kind`: numerical, categorical, text or image."""

    field: str
    training: dict[str, Any] | None = None
    traffic: dict[str, Any] | None = None  # of the last day in which any came
    distances: list[Distance] = []


class TrainingProfile(Struct, frozen=True, kw_only=True):
    state: str  # waiting, ready or failed
    rows: int = 0
    notes: list[str] = []
    reason: str = ""


class ModelProfile(Struct, frozen=True, kw_only=True):
    """What a version is asked and answers, beside what it was trained on."""

    model: str
    version: str
    training: TrainingProfile | None = None
    drifted: bool = False
    fields: list[FieldProfile] = []


class Variant(Struct, frozen=True, kw_only=True):
    """A model version in a stage. Weight 0: it only gets a copy of each request."""

    model: str
    version: str
    version_id: str = ""
    weight: int
    configuration: str = ""
    job: str = ""
    servable: str = ""
    state: str = ""
    status: str = ""
    reason: str = ""


class Revision(Struct, frozen=True, kw_only=True):
    revision: int
    stages: list[list[Variant]]
    created_at: datetime


class ApplicationSummary(Struct, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    target: str
    state: str  # assembling, ready or failed
    status: str = ""
    reason: str = ""
    url: str
    revision: int
    live: int | None = None
    models: list[list[str]] = []  # name:version, by stage
    created_at: datetime
    changed_at: datetime


class Application(Struct, frozen=True, kw_only=True):
    """It answers by its live revision, while the newest may still wait for its servables."""

    id: str
    owner: str
    project: str
    name: str
    target: str
    state: str  # assembling, ready or failed
    status: str = ""
    reason: str = ""
    url: str
    signature: Contract | None = None
    newest: Revision
    live: Revision | None = None
    document: Any = None
    created_at: datetime
    changed_at: datetime

    @property
    def troubles(self) -> list[str]:
        """While it is assembling: what its newest revision waits for, by model version."""
        if self.state != "assembling":
            return []
        variants = (variant for stage in self.newest.stages for variant in stage)
        said = (f"{one.model}:{one.version}: {one.reason}" for one in variants if one.reason)
        return list(dict.fromkeys(said))


class Servable(Struct, frozen=True, kw_only=True):
    """A model version that runs, for an application or on its own."""

    name: str
    owner: str
    project: str
    model: str
    version: str
    version_id: str = ""
    application: str | None = None
    job: str
    state: str
    status: str = ""
    reason: str = ""
    target: str = ""
    copies: int = 1
    copies_running: int = 0
    url: str | None = None
    created_at: datetime
    changed_at: datetime


class Configuration(Struct, frozen=True, kw_only=True):
    """How servables run: a DeploymentConfiguration."""

    owner: str
    project: str
    name: str
    settings: dict[str, Any] = {}
    document: Any = None
    created_at: datetime
    changed_at: datetime

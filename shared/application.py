"""Applications as services agree on them: stages of weighted variants, and how their servers run.

A revision of an application is one set of stages, written once. Each of its variants is served by a
job of its own, its servable. An application answers by its live revision, and a newer one takes
over when all of its servables run.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.affinity import Affinity
from shared.endpoint import Autoscaling, Scheduling, Struct, Toleration, Variables
from shared.ids import JobId, VersionId

WHOLE: Final = 100  # what the weights of a stage add up to


class ApplicationState(StrEnum):
    """Hydrosphere's users see Assembling, Ready and Failed."""

    ASSEMBLING = "assembling"  # a revision waits for its servables; an older one may answer
    READY = "ready"  # the newest revision answers
    FAILED = "failed"  # the newest revision can't; an older one may answer
    REMOVED = "removed"  # its name is free again


class Quantities(Struct, frozen=True, kw_only=True):
    """CPU in cores, memory in MB, as a container promises or allows them."""

    cpu: float | None = None
    memory: float | None = None
    gpus: Annotated[int, Meta(ge=0, le=64)] | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A DeploymentConfiguration: how a servable runs, whatever its model. None: nothing is said."""

    replicas: Annotated[int, Meta(ge=0, le=100)] | None = None
    autoscaling: Autoscaling | None = None
    requests: Quantities = Quantities()
    limits: Quantities = Quantities()
    variables: Variables = {}
    node_labels: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    scheduling: Scheduling = Scheduling()


class Variant(Struct, frozen=True, kw_only=True):
    """A model version in a stage. Weight 0: it only gets a copy of each request."""

    model: str
    version_name: str  # 1, 2, ...
    version: VersionId
    weight: Annotated[int, Meta(ge=0, le=WHOLE)]
    job: JobId
    configuration: str = ""  # name of the DeploymentConfiguration


class Stage(Struct, frozen=True, kw_only=True):
    variants: tuple[Variant, ...]


class Graph(Struct, frozen=True, kw_only=True):
    """What a revision is. The output of each stage is the whole input of the next."""

    stages: tuple[Stage, ...]

    @property
    def jobs(self) -> tuple[JobId, ...]:
        return tuple(variant.job for stage in self.stages for variant in stage.variants)


def hydrosphere(state: ApplicationState) -> str:
    """The word that Hydrosphere's users know."""
    return state.capitalize()

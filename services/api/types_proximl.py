"""What the API takes of a proxiML endpoint, as proxiML's SDK sends it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.api.types import (
    AutoscalingOptions,
    Copies,
    EndpointName,
    SchedulingOptions,
    ServingOptions,
    TargetName,
)


class NewResources(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown fields of proxiML's own job documents are ignored."""

    gpu_types: list[str] = []
    gpu_type_id: str | None = None
    gpu_count: Annotated[int, Meta(ge=0, le=10_000)] = 1
    disk_size: Annotated[int, Meta(ge=1, le=100_000)] = 10
    max_price: Annotated[float, Meta(ge=0)] | None = None
    preemptible: bool | None = None  # as `scheduling.preemptible` says it


class NewModel(msgspec.Struct, frozen=True, kw_only=True):
    source_type: str = "local"  # or git
    source_uri: str = ""  # local: the digest of an uploaded tar or tar.gz; git: a URL
    source_ref: str = ""  # git: a branch, a tag or a commit; ours


class NewEntry(msgspec.Struct, frozen=True, kw_only=True):
    routes: list[Any] = []  # read one by one, so that an error names its route
    start_command: Annotated[str, Meta(max_length=10_000)] | None = None


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    pip: list[str] = []
    apt: list[str] = []
    conda: list[str] = []


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    value: str


class NewEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "DEEPLEARNING_PY310"
    custom_image: str | None = None
    env: list[Variable] = []
    packages: Packages = Packages()


class NewData(msgspec.Struct, frozen=True, kw_only=True):
    output_type: str | None = None


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A proxiML endpoint, as its SDK sends it; `serving`, `scheduling`, `replicas`, `autoscaling`
    and `target` are ours."""

    name: EndpointName
    type: Literal["endpoint"] = "endpoint"
    resources: NewResources = NewResources()
    model: NewModel = NewModel()
    data: NewData = NewData()
    endpoint: NewEntry = NewEntry()
    environment: NewEnvironment = NewEnvironment()
    serving: ServingOptions = ServingOptions()
    scheduling: SchedulingOptions = SchedulingOptions()
    replicas: Copies = 1
    autoscaling: AutoscalingOptions | None = None  # in place of `replicas`
    target: TargetName = ""  # empty: the platform's first

"""What the API takes and gives, as types: the handlers use them and the OpenAPI document is made
from them, so neither can say what the other does not.

What people send forbids unknown fields; what they get may grow.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from shared.database.versions import VersionState
from shared.endpoint import Endpoint, Origin, Priority, Route, VariableName
from shared.image import Record
from shared.lifecycle import State
from shared.problems import Wrong

# `$(?!\n)`: Python's `$` also matches before a line end, JSON Schema's does not
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)",
        description="lower-case letters, digits and dashes; 1 to 63 characters",
        examples=["mnist"],
    ),
]
VersionName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$(?!\n)",
        description="letters, digits, dots, dashes and underscores; 1 to 64 characters",
        examples=["20261121.0"],
    ),
]
EndpointName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f/]+$(?!\n)",
        description="any text of up to 100 characters without / or control characters",
    ),
]
Digest = Annotated[
    str, Meta(pattern=r"^sha256:[0-9a-f]{64}$(?!\n)", description="sha256:<64 hex digits>")
]
Copies = Annotated[
    int,
    Meta(ge=1, le=100, description="how many run side by side; 1 where a target is one machine"),
]
TargetName = Annotated[str, Meta(max_length=63, description="one of those in /v1/targets")]
PriorityName = Annotated[
    str,
    Meta(
        pattern=r"^(low|normal|high)$(?!\n)",
        description="low, normal or high",
        examples=["normal"],
    ),
]
Cohort = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$(?!\n)",
        description="lower-case letters, digits and dashes; up to 63 characters",
    ),
]
Role = Literal["admin", "write", "read"]
JobStatus = Literal[
    "new",
    "waiting for data/model download",
    "waiting for resources",
    "starting",
    "running",
    "stopping",
    "stopped",
    "finished",
    "failed",
    "removed",
]

PATTERNS: Final = {
    repr(meta.pattern): meta.description
    for kind in (Name, VersionName, EndpointName, Digest, PriorityName, Cohort, VariableName)
    for meta in get_args(kind)[1:]
}
"""What a pattern, as msgspec quotes it, means in words for a person."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people send."""


class Give(msgspec.Struct, frozen=True, kw_only=True):
    """What people get."""


# Owners, projects, tokens


class NewOwner(Ask, frozen=True, kw_only=True):
    name: Name


class Owner(Give, frozen=True, kw_only=True):
    name: str
    created_at: datetime


class NewProject(Ask, frozen=True, kw_only=True):
    name: Name
    owner: Name | None = None  # the token's own by default


class Project(Give, frozen=True, kw_only=True):
    owner: str
    name: str
    created_at: datetime


class NewToken(Ask, frozen=True, kw_only=True):
    role: Role = "write"
    note: Annotated[str, Meta(max_length=200)] = ""
    expires_at: datetime | None = None


class Token(Give, frozen=True, kw_only=True):
    id: str
    owner: str
    role: Role
    note: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class MadeToken(Token, frozen=True, kw_only=True):
    token: str  # shown once; only its hash is kept


class Whoami(Give, frozen=True, kw_only=True):
    owner: str
    role: Role
    router_url: str  # where traffic goes: scheme, host and port


# Uploads, deployments, versions, aliases


class Upload(Give, frozen=True, kw_only=True):
    digest: str
    size: int


class NewDeployment(Ask, frozen=True, kw_only=True):
    name: Name
    target: TargetName = ""  # empty: the platform's first


class Deployment(Give, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    target: str
    created_at: datetime
    aliases: dict[str, str]  # alias -> version name


class ServingOptions(Ask, frozen=True, kw_only=True):
    """How the router treats an endpoint; see shared.endpoint.Serving."""

    concurrency: Annotated[int, Meta(ge=1, le=10_000)] = 16
    waiting: Annotated[int, Meta(ge=0, le=100_000)] = 64
    wait_seconds: Annotated[float, Meta(ge=0, le=300)] = 10.0
    timeout_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    strip_prefix: bool = False


class SchedulingOptions(Ask, frozen=True, kw_only=True):
    """How the queue treats a job; see shared.endpoint.Scheduling."""

    priority: PriorityName = "normal"  # no higher than the owner's allowance says
    preemptible: bool = False  # it may have to give way, and then queues again
    gang: bool = False  # all its copies start at once, or none
    start_within: Annotated[float, Meta(ge=1, le=2_678_400)] | None = None
    """Seconds from its submission; a job that has no place by then fails."""
    run_at_most: Annotated[float, Meta(ge=1, le=31_622_400)] | None = None
    """Seconds from its place to its end."""


class AutoscalingOptions(Ask, frozen=True, kw_only=True):
    """As many copies as there is work for; see shared.endpoint.Autoscaling."""

    min: Annotated[int, Meta(ge=1, le=100)] = 1
    max: Annotated[int, Meta(ge=1, le=100)]
    requests: Annotated[int, Meta(ge=1, le=10_000)] | None = None  # in hand at each of them
    waiting: Annotated[int, Meta(ge=1, le=100_000)] | None = None  # for which one more is worth it
    cpu_percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    """How busy they keep what they are promised, where a cluster scales them: 80 by default."""
    down_after: Annotated[int, Meta(ge=0, le=86_400)] = 300
    """Seconds for which fewer would have done, before there are fewer; not by CPU."""


class NewVersion(Ask, frozen=True, kw_only=True):
    """A version of the endpoints in the source's `valohai.yaml`."""

    source: Digest  # an uploaded tar or tar.gz of the code
    config: Annotated[str, Meta(max_length=1_000_000)] | None = None
    """The text of `valohai.yaml`; by default the file of that name in the source."""
    endpoints: tuple[str, ...] | None = None  # which of the file's; all by default
    files: dict[str, dict[str, Digest]] = {}  # endpoint -> file name -> uploaded blob
    name: VersionName | None = None  # `YYYYMMDD.N` by default
    environment: dict[str, str] = {}
    serving: dict[str, ServingOptions] = {}  # endpoint -> options; `*` for all others
    scheduling: dict[str, SchedulingOptions] = {}  # the same for the queue
    replicas: dict[str, Copies] = {}  # endpoint -> copies of it; `*` for all others
    autoscaling: dict[str, AutoscalingOptions] = {}  # the same, for as many as there is work for


class VersionSummary(Give, frozen=True, kw_only=True):
    id: str
    name: str
    state: VersionState
    reason: str
    created_at: datetime


class Version(VersionSummary, frozen=True, kw_only=True):
    owner: str
    project: str
    deployment: str | None
    source: str
    origin: Origin | None  # where the source was fetched from
    endpoints: list[Endpoint]
    images: dict[str, str]  # endpoint -> manifest digest
    repository: str  # `registry/name` that holds the images; "": none does
    record: dict[str, Record]  # endpoint -> what its image was made of
    notes: list[str]
    urls: dict[str, str]  # endpoint -> URL under the version's own name
    jobs: dict[str, str]  # endpoint -> job
    changed_at: datetime


class MoveAlias(Ask, frozen=True, kw_only=True):
    version: str
    force: bool = False  # also to a version whose endpoints do not all run


class AliasMove(Give, frozen=True, kw_only=True):
    revision: int
    version: str
    moved_by: str
    moved_at: datetime


class Alias(Give, frozen=True, kw_only=True):
    name: str
    version: str
    revision: int
    changed_at: datetime
    urls: dict[str, str]
    history: list[AliasMove]  # newest first


# Jobs


class Scale(Ask, frozen=True, kw_only=True):
    copies: Copies


class Review(Give, frozen=True, kw_only=True):
    """What would happen if this were submitted now. Nothing has been submitted."""

    ok: bool
    errors: list[Wrong]
    would_queue: bool
    message: str
    price_per_hour: float


class Job(Give, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    kind: Literal["endpoint", "batch"]
    state: State
    status: JobStatus | None  # of an endpoint of its own: its state in proxiML's words
    reason: str  # why it waits, or why it failed
    attempt: int
    restarts: int
    version: str  # id
    version_name: str
    deployment: str | None
    model: str | None  # that it serves, in place of a deployment's endpoint
    servable: str | None  # its name for the gateway
    application: str | None  # that it is part of
    endpoint: str
    target: str
    copies: int  # that are wanted
    copies_running: int  # of these, that take requests now
    gpu_types: list[str]
    gpu_count: int  # for each copy
    gpus: list[str]  # held now
    disk_size: int | None  # GiB that an endpoint of its own was given
    price_per_hour: float  # of those
    spent: Decimal  # in its life so far, to the millionth
    priority: Priority
    preemptible: bool
    gang: bool
    run_at_most: float | None  # seconds from `placed_at`
    start_by: datetime | None  # else it fails
    give_way_at: datetime | None  # when it has to, once it was warned
    url: str | None  # while running
    created_at: datetime
    changed_at: datetime
    queued_at: datetime | None
    placed_at: datetime | None  # when its present attempt was given its place
    series: str | None  # of a batch job: what it was made with ...
    place: int | None  # ... and its place in that, from 0
    retries: int  # of a batch job: tries that are left
    exit_code: int | None  # of its last try, where that has ended by itself
    outputs_size: int | None  # bytes of what it left, where that is kept
    purge_at: datetime | None  # when it will be purged unless somebody uses it: while it rests


class Connection(Give, frozen=True, kw_only=True):
    """How to call a running job."""

    url: str
    example: str  # a curl command line
    routes: list[Route] = []  # of an endpoint that has some: what each takes


class LogLine(Give, frozen=True, kw_only=True):
    attempt: int
    line: int
    at: datetime
    stream: Literal["stdout", "stderr", "platform"]
    text: str
    source: str = ""  # which of several copies printed it


class GpuType(Give, frozen=True, kw_only=True):
    type: str
    total: int
    free: int
    price_per_hour: float
    together: int = 0  # in one machine, at most
    quarantined: list[str] = []  # given to nobody: `ID: why`


class Target(Give, frozen=True, kw_only=True):
    """Where jobs run. One that is a cluster may run several copies of a job."""

    name: str
    kind: Literal["process", "container", "fake", "kubernetes"]
    gpus: list[GpuType]


T = TypeVar("T")


class Page(Give, Generic[T], frozen=True, kw_only=True):
    """`items` and, when there are more, the `next` cursor for `?after=`."""

    items: list[T]
    next: str | None = None


# Events: CloudEvents as their JSON format has them


class Event(Give, frozen=True, kw_only=True):
    """A CloudEvent 1.0. `source` is `/<owner>/<project>`, `/<owner>` for what is about an owner as
    such, or `/` for the platform itself."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Any
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: str = "application/json"


class Events(Give, frozen=True, kw_only=True):
    """`next` is always there: what happens never ends. An empty page means nothing new yet."""

    items: list[Event]
    next: str


# What may stand behind the question mark


class NoQuery(Ask, frozen=True, kw_only=True):
    pass


class Paging(Ask, frozen=True, kw_only=True):
    after: Annotated[str, Meta(max_length=200, description="the `next` of the page before")] = ""
    limit: Annotated[int, Meta(description="how many; brought between 1 and 1000")] = 100


class JobsQuery(Paging, frozen=True, kw_only=True):
    state: State | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None
    id: Annotated[str, Meta(max_length=200, description="how it begins: a few of those")] | None = (
        None
    )


class Following(Paging, frozen=True, kw_only=True):
    follow: Annotated[
        bool, Meta(description="as server-sent events, like `Accept: text/event-stream`")
    ] = False


# Bodies that may be left out


class Empty(Ask, frozen=True, kw_only=True):
    pass


class RollBack(Ask, frozen=True, kw_only=True):
    force: bool = False  # also to a version whose endpoints do not all run

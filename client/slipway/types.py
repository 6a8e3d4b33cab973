"""What the platform answers. Fields that a newer platform adds are ignored; states are plain text,
so a state from the future is not an error."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from slipway.errors import Wrong

T = TypeVar("T")


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    items: list[T]
    next: str | None = None


class Owner(Struct, frozen=True, kw_only=True):
    name: str
    created_at: datetime


class Project(Struct, frozen=True, kw_only=True):
    owner: str
    name: str
    created_at: datetime

    @property
    def path(self) -> str:
        return f"{self.owner}/{self.name}"


class Token(Struct, frozen=True, kw_only=True):
    id: str
    owner: str
    role: str
    note: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class MadeToken(Token, frozen=True, kw_only=True):
    token: str  # shown this once


class Whoami(Struct, frozen=True, kw_only=True):
    owner: str
    role: str
    router_url: str


class Upload(Struct, frozen=True, kw_only=True):
    digest: str
    size: int
    sent: bool = True  # False: it was there already


class Source(Struct, frozen=True, kw_only=True):
    """Code in a git repository that the platform fetches. `digest` is there once it is ready."""

    id: str
    owner: str
    project: str
    url: str
    ref: str
    path: str = ""
    state: str  # fetching, ready or failed
    reason: str = ""
    commit: str | None = None
    digest: str | None = None
    size: int | None = None
    notes: list[str] = []
    created_at: datetime
    changed_at: datetime


class Origin(Struct, frozen=True, kw_only=True):
    """Where a version's code was fetched from."""

    url: str
    ref: str
    commit: str


class Deployment(Struct, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    target: str
    created_at: datetime
    aliases: dict[str, str] = {}  # alias -> version name


class Parameter(Struct, frozen=True, kw_only=True):
    name: str
    type: str


class Route(Struct, frozen=True, kw_only=True):
    verb: str
    path: str
    file: str = ""
    function: str = ""
    positional: bool = False
    body: list[Parameter] = []


class Entry(Struct, frozen=True, kw_only=True):
    """How an endpoint is served. `kind` is command, wsgi or routes; the others go with it."""

    kind: str
    lines: list[str] = []
    app: str = ""
    routes: list[Route] = []


class Endpoint(Struct, frozen=True, kw_only=True):
    name: str
    format: str
    entry: Entry
    port: int
    description: str = ""


class VersionSummary(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    state: str  # building, ready or failed
    reason: str = ""
    created_at: datetime


class Version(VersionSummary, frozen=True, kw_only=True):
    owner: str
    project: str
    deployment: str | None
    source: str
    origin: Origin | None = None
    endpoints: list[Endpoint]
    images: dict[str, str] = {}  # endpoint -> manifest digest
    repository: str = ""  # `registry/name` that holds the images
    record: dict[str, dict[str, Any]] = {}  # endpoint -> what its image was made of
    notes: list[str] = []
    urls: dict[str, str] = {}  # endpoint -> URL under the version's own name
    jobs: dict[str, str] = {}  # endpoint -> job
    changed_at: datetime


class AliasMove(Struct, frozen=True, kw_only=True):
    revision: int
    version: str
    moved_by: str = ""
    moved_at: datetime


class Alias(Struct, frozen=True, kw_only=True):
    name: str
    version: str
    revision: int
    changed_at: datetime
    urls: dict[str, str] = {}
    history: list[AliasMove] = []  # newest first


class Review(Struct, frozen=True, kw_only=True):
    """What would happen; nothing has been submitted."""

    ok: bool
    errors: list[Wrong] = []
    would_queue: bool = False
    message: str = ""
    price_per_hour: float = 0.0


class Job(Struct, frozen=True, kw_only=True):
    id: str
    owner: str
    project: str
    name: str
    kind: str = "endpoint"
    state: str
    status: str | None = None  # of an endpoint of its own: its state in proxiML's words
    reason: str = ""  # why it waits, or why it failed
    attempt: int = 1
    restarts: int = 0
    version: str
    version_name: str = ""
    deployment: str | None = None
    endpoint: str = ""
    target: str = ""
    copies: int = 1  # that are wanted
    copies_running: int = 0  # of these, that take requests now
    gpu_types: list[str] = []
    gpu_count: int = 0  # for each copy
    gpus: list[str] = []  # held now
    disk_size: int | None = None  # GiB that an endpoint of its own was given
    price_per_hour: float = 0.0
    spent: Decimal = Decimal(0)  # in its life so far
    priority: str = "normal"
    preemptible: bool = False
    gang: bool = False
    run_at_most: float | None = None  # seconds from `placed_at`
    start_by: datetime | None = None  # else it fails
    give_way_at: datetime | None = None  # when it has to, once it was warned
    url: str | None = None  # while running
    created_at: datetime
    changed_at: datetime
    queued_at: datetime | None = None
    placed_at: datetime | None = None
    series: str | None = None  # of a batch job: what it was made with
    retries: int = 0  # tries that it has left
    exit_code: int | None = None  # of its last try that has ended
    outputs_size: int | None = None  # bytes of what it left, where that is kept
    purge_at: datetime | None = None  # unless it is used: of one that was stopped or has finished


class Connection(Struct, frozen=True, kw_only=True):
    url: str
    example: str  # a command line
    routes: list[Route] = []


class LogLine(Struct, frozen=True, kw_only=True):
    attempt: int = 1
    line: int
    at: datetime
    stream: str
    text: str
    source: str = ""  # which of several copies printed it


class GpuType(Struct, frozen=True, kw_only=True):
    type: str
    total: int
    free: int
    price_per_hour: float = 0.0
    together: int = 0  # in one machine, at most
    quarantined: list[str] = []  # given to nobody: `ID: why`


class Target(Struct, frozen=True, kw_only=True):
    """Where jobs run. One of the kind `kubernetes` may run several copies of a job."""

    name: str
    kind: str
    gpus: list[GpuType] = []


class Event(Struct, frozen=True, kw_only=True):
    """A CloudEvent. `cursor` is where to go on after it."""

    id: str
    source: str
    type: str
    subject: str = ""
    time: datetime
    data: Any = None
    cursor: str = ""

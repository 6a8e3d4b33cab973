"""An endpoint as the platform knows it, whatever format its owner wrote it in.

The formats' loaders (services/api/formats) make these values, the builder puts them into images,
the scheduler starts them and the router routes to them. They are immutable once submitted and are
stored as JSON, so a field is only ever added, and with a default.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from shared.affinity import Affinity
from shared.contract import Contract


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Command(Struct, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """Shell lines that run a server: any language, any framework."""

    lines: tuple[str, ...]


class Wsgi(Struct, frozen=True, kw_only=True, tag_field="kind", tag="wsgi"):
    """`package.module` or `package.module:callable`; the callable is `application` by default."""

    app: str


ParameterType = Literal["str", "int", "float", "bool", "list", "dict"]


class Parameter(Struct, frozen=True, kw_only=True):
    name: str
    type: ParameterType


class Route(Struct, frozen=True, kw_only=True):
    """`verb path` calls `function` of the module `file` with the body's values."""

    verb: str
    path: str
    file: str  # module path relative to the source root, without `.py`: `predict`, `lib/predict`
    function: str
    positional: bool = False
    body: tuple[Parameter, ...] = ()


class Routes(Struct, frozen=True, kw_only=True, tag_field="kind", tag="routes"):
    routes: tuple[Route, ...]


class Model(Struct, frozen=True, kw_only=True, tag_field="kind", tag="model"):
    """A model that answers `PredictionService` over gRPC, and what it takes and gives.

    `server` is who speaks gRPC: the runtime that its owner named, as it is, or ours
    (runtimes/model_server.py), which calls the function named by the signature in
    `src/func_main.py`: with TensorProto messages, or with numpy's arrays.
    """

    contract: Contract
    runtime: str = ""  # the image as its owner named it, whatever the model stands on
    server: Literal["runtime", "platform"] = "runtime"
    calls: Literal["tensors", "arrays"] = "arrays"
    metadata: dict[str, str] = {}


Entry = Command | Wsgi | Routes | Model

Format = Literal["valohai", "proximl", "hydrosphere"]


class File(Struct, frozen=True, kw_only=True):
    """A file given with a version, put beside the code at `path`."""

    name: str
    path: str
    description: str = ""


class Gpus(Struct, frozen=True, kw_only=True):
    """`types` in order of preference; empty means any type. `count` 0 means none are needed."""

    types: tuple[str, ...] = ()
    count: int = 0
    max_price: float | None = None  # per GPU and hour


class Range(Struct, frozen=True, kw_only=True):
    min: float | None = None
    max: float | None = None


class Resources(Struct, frozen=True, kw_only=True):
    """cpu in vCPUs; memory and disk in MB."""

    cpu: Range = Range()
    memory: Range = Range()
    disk: Range = Range()


class Toleration(Struct, frozen=True, kw_only=True):
    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: str = ""
    seconds: Annotated[int, Meta(ge=0, le=1 << 31)] | None = None  # None: for ever


class Volume(Struct, frozen=True, kw_only=True):
    claim: str
    mount_path: str
    sub_path: str = ""
    read_only: bool = False


class Workspace(Struct, frozen=True, kw_only=True):
    mount_path: str
    size_gib: int
    storage_class: str = ""


class Autoscaling(Struct, frozen=True, kw_only=True):
    """As many copies as there is work for: by what is asked of them, or else by how busy they are.

    By `requests`, so many that none of them has more in hand, with those that wait and those that
    were turned away. By `waiting`, those that what is in hand fills, and one more for each so many
    requests that wait. Of both, the more. By neither, as many as keep the CPU busy to
    `cpu_percent` of what each is promised.
    """

    min: Annotated[int, Meta(ge=1, le=100)] = 1
    max: Annotated[int, Meta(ge=1, le=100)]
    cpu_percent: Annotated[int, Meta(ge=1, le=100)] = 80
    requests: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    waiting: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    down_after: Annotated[int, Meta(ge=0, le=86_400)] = 300
    """Seconds for which fewer would have done, before there are fewer."""

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError("`min` must not be more than `max`")

    @property
    def by_demand(self) -> bool:
        """Whether the platform scales it, by what its routers tell; else its target does."""
        return self.requests is not None or self.waiting is not None


VariableName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z",
        max_length=253,
        description="letters, digits and underscores, not beginning with a digit",
    ),
]
VariableValue = Annotated[str, Meta(pattern=r"^[^\x00]*\Z", max_length=1 << 17)]
Variables = Annotated[dict[VariableName, VariableValue], Meta(max_length=500)]


class Serving(Struct, frozen=True, kw_only=True):
    """How the router treats the endpoint. Platform options, the same for every format."""

    concurrency: int = 16  # requests a replica works on at once
    waiting: int = 64  # requests that may wait for a place
    wait_seconds: float = 10.0  # and for how long, before 503
    timeout_seconds: float = 300.0  # between two signs of life from the endpoint, before 504
    strip_prefix: bool = False  # Valohai addressing passes the whole path on unless this is set


PRIORITIES: Final = {"low": -100, "normal": 0, "high": 100}
"""The classes of jobs, by the number that the queue orders them by."""

Priority = Literal["low", "normal", "high"]


class Scheduling(Struct, frozen=True, kw_only=True):
    """How the queue treats a job. Platform options, the same for every format."""

    priority: Priority = "normal"
    preemptible: bool = (
        False  # it may have to give way to a higher class, or to whose quota it uses
    )
    gang: bool = False  # all its copies start at once, or none
    start_within: float | None = None  # seconds from submission to its place, or it fails
    run_at_most: float | None = None  # seconds from its place to its end


class Run(Struct, frozen=True, kw_only=True):
    """What a batch job does: shell lines that run to an exit code."""

    lines: tuple[str, ...]
    timeout: float | None = None  # seconds of each try
    variables: dict[str, str] = {}


Readiness = Literal["listening", "ping", "none"]
"""When a replica counts as ready: its port is open (looked at, never connected to: some servers
answer one connection and exit), `GET /ping` answers 200, or as soon as its process runs."""


class Endpoint(Struct, frozen=True, kw_only=True):
    name: str
    format: Format
    entry: Entry
    port: int
    readiness: Readiness
    image: str = ""  # base image as its owner wrote it; "" for the platform's default
    description: str = ""
    files: tuple[File, ...] = ()
    gpus: Gpus = Gpus()
    disk_gib: int | None = None
    environment: dict[str, str] = {}
    pip_packages: tuple[str, ...] = ()  # beside those of the requirements file
    apt_packages: tuple[str, ...] = ()
    conda_packages: tuple[str, ...] = ()
    install: tuple[str, ...] = ()  # shell lines that run once inside the image, in the code folder
    resources: Resources = Resources()
    node_selector: str = ""
    tolerations: tuple[Toleration, ...] = ()
    volumes: tuple[Volume, ...] = ()
    workspace: Workspace | None = None
    serving: Serving = Serving()
    scheduling: Scheduling = Scheduling()
    replicas: Annotated[int, Meta(ge=0, le=100)] = 1  # where no autoscaling says how many
    autoscaling: Autoscaling | None = None
    affinity: Affinity | None = None
    node_labels: dict[str, str] = {}  # all must be on the node, beside `node_selector`
    variables: Variables = {}  # given at the start, not baked into the image: for what is secret

    @property
    def copies(self) -> int:
        """With how many it begins."""
        return self.replicas if self.autoscaling is None else self.autoscaling.min


class Origin(Struct, frozen=True, kw_only=True):
    """Where a source was fetched from. `url` holds no credentials."""

    url: str
    ref: str  # as it was asked for
    commit: str  # what that was: 40 or 64 hex digits


class Training(Struct, frozen=True, kw_only=True):
    """The data that a model was made from: an uploaded CSV file, or where such a file is."""

    digest: str = ""
    uri: str = ""  # s3://bucket/key


class Definition(Struct, frozen=True, kw_only=True):
    """All that a version is made of: the same definition builds the same images."""

    source: str  # digest of the code archive (tar, optionally gzip)
    endpoints: tuple[Endpoint, ...]
    files: dict[str, dict[str, str]] = {}  # endpoint -> file name -> digest
    origin: Origin | None = None
    training: Training | None = None

    def endpoint(self, name: str) -> Endpoint:
        return next(endpoint for endpoint in self.endpoints if endpoint.name == name)


GPU_TYPES: Final = (
    "gtx1060",
    "gtx1080ti",
    "rtx2060s",
    "rtx2070s",
    "rtx2080ti",
    "rtx3090",
    "p100",
    "t4",
    "v100",
    "a100",
    "a100xl",
    "a6000",
    "a4000",
)
"""The names proxiML's users write. An inventory may hold others; `cpu` asks for no GPU."""


def gpu_type(name: str) -> str:
    """The short form of a GPU's name, as people and drivers write it.

    >>> gpu_type("RTX 2070 Super"), gpu_type("NVIDIA GeForce RTX 3090"), gpu_type("GTX 1060")
    ('rtx2070s', 'rtx3090', 'gtx1060')
    """
    words = name.lower().replace("-", " ").replace("_", " ").split()
    vendor = {"nvidia", "geforce", "tesla", "quadro"}
    short = "".join("s" if word == "super" else word for word in words if word not in vendor)
    return short or name.lower()

"""Every fact the platform announces: the only contract between the services, and with subscribers.

A fact is named in the past tense, is about one thing (its subject) and is never changed once
announced. A field is only ever added, and with a default, so that an old service still reads a
new fact. On the wire a fact travels as a CloudEvents 1.0 event in structured JSON mode
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md); its type is
also its routing key: `JobQueued` is `slipway.job.queued.v1`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import msgspec

from shared.ids import ApplicationId, JobId, SourceId, VersionId

CONTENT_TYPE: Final = "application/cloudevents+json"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. Subclasses say what; `subject` says to which thing."""

    type: ClassVar[str]

    def __init_subclass__(cls, version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        thing, *what = re.findall(r"[A-Z][a-z]*", cls.__name__)
        cls.type = f"slipway.{thing}.{'_'.join(what)}.v{version}".lower()

    @property
    def subject(self) -> str:
        raise AssertionError(f"{type(self).__name__} names no subject")


class JobFact(Fact, frozen=True, kw_only=True):
    """A fact about one attempt of one job. The attempt is the fencing token of every move."""

    job: JobId
    attempt: int = 1

    @property
    def subject(self) -> str:
        return self.job


class JobSubmitted(JobFact, frozen=True, kw_only=True):
    name: str
    version: VersionId
    endpoint: str
    gpu_types: tuple[str, ...] = ()
    gpu_count: int = 0


class JobBuilding(JobFact, frozen=True, kw_only=True):
    pass


class JobQueued(JobFact, frozen=True, kw_only=True):
    pass


class JobPlaced(JobFact, frozen=True, kw_only=True):
    gpus: tuple[str, ...] = ()  # those of the first copy, then those of the next ...
    copies: int = 1  # that may run; when it wants more, those wait for room


class JobStarted(JobFact, frozen=True, kw_only=True):
    """It answers at `addresses` (see shared.address) and traffic may be routed to them.

    `address` is the first of them, for those who know of one alone.
    """

    address: str
    addresses: tuple[str, ...] = ()


class JobMoved(JobFact, frozen=True, kw_only=True):
    """It answers at these addresses and at no others now; none: nowhere, for a while."""

    addresses: tuple[str, ...]


class JobScaled(JobFact, frozen=True, kw_only=True):
    """It is to have so many copies, as its owner asked or its target has room for."""

    copies: int
    by: str = ""


class JobRepaired(JobFact, frozen=True, kw_only=True):
    """Somebody else had changed what runs of it on its target; it is as it was told again."""

    what: str


class JobLost(JobFact, frozen=True, kw_only=True):
    """Its replica vanished through no fault of its own; it queues again."""

    reason: str


class JobWarned(JobFact, frozen=True, kw_only=True):
    """What will happen to it, and when, unless something is done about it."""

    what: Literal["preemption", "run limit", "purge", "budget"]
    at: datetime
    reason: str = ""  # one line for a person


class JobPreempted(JobFact, frozen=True, kw_only=True):
    """It gave way to another; it queues again, in the place that it had."""

    reason: str
    to: str = ""  # the job that it gave way to


class JobRetried(JobFact, frozen=True, kw_only=True):
    """It ran to an end that was no success, and queues to be tried again."""

    reason: str
    exit_code: int | None = None


class JobStopping(JobFact, frozen=True, kw_only=True):
    by: str = ""


class JobStopped(JobFact, frozen=True, kw_only=True):
    pass


class JobRestarted(JobFact, frozen=True, kw_only=True):
    by: str = ""


class JobFinished(JobFact, frozen=True, kw_only=True):
    """It ran to its end. `outputs` is the digest of the archive of what it made, if it was kept."""

    exit_code: int = 0
    outputs: str = ""
    outputs_size: int = 0


class JobFailed(JobFact, frozen=True, kw_only=True):
    reason: str


class JobTerminated(JobFact, frozen=True, kw_only=True):
    by: str = ""


class JobPurged(JobFact, frozen=True, kw_only=True):
    pass


class GpuFact(Fact, frozen=True, kw_only=True):
    gpu: str

    @property
    def subject(self) -> str:
        return self.gpu


class GpuReleased(GpuFact, frozen=True, kw_only=True):
    job: JobId
    attempt: int


class GpuAppeared(GpuFact, frozen=True, kw_only=True):
    gpu_type: str


class GpuVanished(GpuFact, frozen=True, kw_only=True):
    gpu_type: str


class GpuQuarantined(GpuFact, frozen=True, kw_only=True):
    """It is there and given to nobody, until it is well again."""

    gpu_type: str
    reason: str


class GpuRestored(GpuFact, frozen=True, kw_only=True):
    gpu_type: str


class OwnerFact(Fact, frozen=True, kw_only=True):
    owner: str

    @property
    def subject(self) -> str:
        return self.owner


class QuotaWritten(OwnerFact, frozen=True, kw_only=True):
    """What its owner may have of a target from now on; `nominal` None: it has no quota there."""

    target: str
    gpu_type: str  # `*`: all types together
    nominal: int | None
    borrow: int | None = None
    cohort: str = ""
    by: str = ""


class AllowanceWritten(OwnerFact, frozen=True, kw_only=True):
    """How its owner counts in the queue from now on."""

    weight: float
    highest: str
    by: str = ""


class BudgetWritten(OwnerFact, frozen=True, kw_only=True):
    """What its owner may spend in a month from now on; None: as much as it likes."""

    monthly: float | None
    by: str = ""


class BudgetWarned(OwnerFact, frozen=True, kw_only=True):
    """So much of the month's budget is spent: told once for each part of it and month."""

    month: str  # 2026-11
    spent: float
    budget: float
    part: float  # of the budget, at which this is told


class BudgetReached(OwnerFact, frozen=True, kw_only=True):
    """It is spent: nothing more of its owner's starts in this month."""

    month: str
    spent: float
    budget: float


class VersionFact(Fact, frozen=True, kw_only=True):
    version: VersionId

    @property
    def subject(self) -> str:
        return self.version


class VersionSubmitted(VersionFact, frozen=True, kw_only=True):
    name: str
    deployment: str | None = None  # None: the unnamed version of a lone endpoint


class VersionReady(VersionFact, frozen=True, kw_only=True):
    images: dict[str, str]  # endpoint -> digest


class VersionFailed(VersionFact, frozen=True, kw_only=True):
    reason: str


class SourceFact(Fact, frozen=True, kw_only=True):
    """About code that the platform fetches itself."""

    source: SourceId

    @property
    def subject(self) -> str:
        return self.source


class SourceSubmitted(SourceFact, frozen=True, kw_only=True):
    url: str
    ref: str


class SourceReady(SourceFact, frozen=True, kw_only=True):
    commit: str
    digest: str  # of the archive that a version is made of


class SourceFailed(SourceFact, frozen=True, kw_only=True):
    reason: str


class DeploymentCreated(Fact, frozen=True, kw_only=True):
    deployment: str
    name: str

    @property
    def subject(self) -> str:
        return self.deployment


class AliasMoved(Fact, frozen=True, kw_only=True):
    deployment: str
    alias: str
    version: VersionId
    revision: int
    before: VersionId | None = None

    @property
    def subject(self) -> str:
        return f"{self.deployment}/{self.alias}"


class ModelDrifted(Fact, frozen=True, kw_only=True):
    """Of late, what a version is asked (or answers) is not like its training data."""

    version: VersionId
    model: str
    version_name: str
    field: str  # `inputs.age`
    metric: str  # how the two were compared
    value: float
    threshold: float  # that it exceeds

    @property
    def subject(self) -> str:
        return self.version


class ApplicationFact(Fact, frozen=True, kw_only=True):
    """About an application; `revision` is the one that it is about."""

    application: ApplicationId
    name: str
    revision: int

    @property
    def subject(self) -> str:
        return self.application


class ApplicationSubmitted(ApplicationFact, frozen=True, kw_only=True):
    by: str = ""


class ApplicationReady(ApplicationFact, frozen=True, kw_only=True):
    """The revision answers from now on, and no other."""


class ApplicationFailed(ApplicationFact, frozen=True, kw_only=True):
    """The revision can't answer; one that did goes on."""

    reason: str


class ApplicationRemoved(ApplicationFact, frozen=True, kw_only=True):
    by: str = ""


class ConfigurationWritten(Fact, frozen=True, kw_only=True):
    """How servables that are made from now on run when they name it."""

    configuration: str

    @property
    def subject(self) -> str:
        return self.configuration


def _concrete(kind: type[Fact]) -> list[type[Fact]]:
    return [kind, *(leaf for sub in kind.__subclasses__() for leaf in _concrete(sub))]


_ABSTRACT = (Fact, JobFact, GpuFact, OwnerFact, VersionFact, SourceFact, ApplicationFact)
FACTS: Final[dict[str, type[Fact]]] = {
    kind.type: kind for kind in _concrete(Fact) if kind not in _ABSTRACT
}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent. `source` is `/<owner>/<project>`; `id` is unique within the platform."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: msgspec.Raw
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: str = "application/json"

    def fact(self) -> Fact | None:
        """What it says, or None when it is of a type from a newer release."""
        kind = FACTS.get(self.type)
        return None if kind is None else msgspec.json.decode(self.data, type=kind)


_decoder = msgspec.json.Decoder(Event)

encode = msgspec.json.encode


def decode(body: bytes) -> Event:
    """Raises msgspec.DecodeError when `body` is not an event of ours."""
    return _decoder.decode(body)

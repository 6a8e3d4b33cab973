"""What the gateway can be asked for by name, in memory: applications, and servables on their own.

An application is one value with all the stages of its live revision. A request looks it up once, so
it sees one revision from its first stage to its last, whatever is applied meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from shared.application import WHOLE, ApplicationState, Graph
from shared.contract import ANY, SIGNATURE, Contract, Field, Shape
from shared.ids import ApplicationId, JobId, VersionId

if TYPE_CHECKING:
    from services.router.table import Route

Kind = Literal["application", "servable"]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """An application as it stood when it was last looked at. `graph` is its live revision's.

    ValueError when a contract is missing.
    """

    id: ApplicationId
    name: str
    state: ApplicationState
    reason: str
    revision: int | None  # the live one; None: none answers yet
    graph: Graph | None
    contracts: dict[VersionId, Contract]  # of all the versions in `graph`

    def __post_init__(self) -> None:
        stages = () if self.graph is None else self.graph.stages
        if any(one.version not in self.contracts for stage in stages for one in stage.variants):
            raise ValueError("a version in it has no contract")


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    weight: int
    model: str
    version: VersionId
    version_name: str
    contract: Contract


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """`inputs` are all that any of its variants takes."""

    variants: tuple[Variant, ...]
    inputs: tuple[Field, ...]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What requests are for. Without stages it can't answer yet, for `reason`."""

    kind: Kind
    name: str
    id: str  # of the application, or of the servable's job
    signature: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    stages: tuple[Stage, ...]
    version: str  # of the servable's model, or the application's revision
    reason: str = ""

    @property
    def jobs(self) -> tuple[JobId, ...]:
        return tuple(variant.job for stage in self.stages for variant in stage.variants)


class Targets:
    def __init__(self) -> None:
        self._applications: dict[str, Target] = {}
        self._names: dict[str, str] = {}  # of applications, by id
        self._servables: dict[str, Target] = {}
        self._jobs: dict[JobId, str] = {}  # names of servables

    def application(self, name: str) -> Target | None:
        return self._applications.get(name)

    def servable(self, name: str) -> Target | None:
        return self._servables.get(name)

    def all(self, kind: Kind) -> list[Target]:
        """In the order of their names."""
        known = self._applications if kind == "application" else self._servables
        return [known[name] for name in sorted(known)]

    def settle(self, found: Iterable[Application], looked_at: Collection[str]) -> None:
        """Take a newer look at some applications (named by id)."""
        fresh = {application.id: of_application(application) for application in found}
        for id in {*looked_at, *fresh}:
            name, target = self._names.pop(id, None), fresh.get(ApplicationId(id))
            if name is not None and (known := self._applications.get(name)) and known.id == id:
                del self._applications[name]
            if target is not None:
                self._applications[target.name] = target
                self._names[id] = target.name

    def put(self, routes: Iterable[Route]) -> None:
        """Take a newer look at some jobs."""
        for route in routes:
            if route.servable is not None and route.contract is not None:
                self._servables[route.servable] = of_servable(route)
                self._jobs[route.job] = route.servable

    def drop(self, job: JobId) -> None:
        name = self._jobs.pop(job, None)
        if name is not None and (known := self._servables.get(name)) and known.id == job:
            del self._servables[name]


def of_application(application: Application) -> Target:
    graph = application.graph
    stages = (
        ()
        if graph is None
        else tuple(_stage(graph, n, application) for n in range(len(graph.stages)))
    )
    first = stages[0].variants[0].contract.signature if stages else SIGNATURE
    return Target(
        kind="application",
        name=application.name,
        id=application.id,
        signature=first if len(stages) == 1 else "INFERRED_PIPELINE_SIGNATURE",
        inputs=stages[0].inputs if stages else (),
        outputs=merged(variant.contract.outputs for variant in stages[-1].variants)
        if stages
        else (),
        stages=stages,
        version=str(application.revision or ""),
        reason=f"{application.state}: {application.reason}"
        if application.reason
        else str(application.state),
    )


def of_servable(route: Route) -> Target:
    assert route.servable is not None
    assert route.contract is not None
    variant = Variant(
        job=route.job,
        weight=WHOLE,
        model=route.model or "",
        version=route.version,
        version_name=route.version_name,
        contract=route.contract,
    )
    return Target(
        kind="servable",
        name=route.servable,
        id=route.job,
        signature=route.contract.signature,
        inputs=route.contract.inputs,
        outputs=route.contract.outputs,
        stages=(Stage(variants=(variant,), inputs=route.contract.inputs),),
        version=route.version_name,
    )


def _stage(graph: Graph, number: int, application: Application) -> Stage:
    variants = tuple(
        Variant(
            job=variant.job,
            weight=variant.weight,
            model=variant.model,
            version=variant.version,
            version_name=variant.version_name,
            contract=application.contracts[variant.version],
        )
        for variant in graph.stages[number].variants
    )
    inputs = merged(variant.contract.inputs for variant in variants)
    return Stage(variants=variants, inputs=inputs)


def merged(contracts: Iterable[tuple[Field, ...]]) -> tuple[Field, ...]:
    """The fields of several contracts as one. Of two sizes of a dimension the definite one counts.

    Contracts of one stage agree otherwise; where they don't, the first is believed.
    """
    found: dict[str, Field] = {}
    for fields in contracts:
        for field in fields:
            have = found.setdefault(field.name, field)
            if have is not field:
                shape = _narrower(have.shape, field.shape)
                inner = merged((have.fields, field.fields))
                found[field.name] = msgspec.structs.replace(have, shape=shape, fields=inner)
    return tuple(found.values())


def _narrower(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is None or other is None or len(one) != len(other):
        return other if one is None else one
    return tuple(b if a == ANY else a for a, b in zip(one, other, strict=True))

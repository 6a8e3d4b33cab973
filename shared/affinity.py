"""Where an endpoint's replicas would like to run, in the words of Kubernetes.

Written by users, so every field has a bound and nothing else is taken. What would reach beyond
their own replicas is not here: no namespaces, and no nodes by name.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

_DNS: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
KEY: Final = rf"^({_DNS}(\.{_DNS})*/)?[A-Za-z0-9]([A-Za-z0-9._-]{{0,61}}[A-Za-z0-9])?\Z"
VALUE: Final = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z"

Key = Annotated[str, Meta(pattern=KEY, max_length=253)]
Value = Annotated[str, Meta(pattern=VALUE, max_length=63)]
Weight = Annotated[int, Meta(ge=1, le=100)]

_FEW = Meta(max_length=16)
_SOME = Meta(min_length=1, max_length=16)


class Struct(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    pass


class NodeExpression(Struct, frozen=True, kw_only=True):
    """About one label of a node."""

    key: Key
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Annotated[tuple[Value, ...], _FEW] = ()

    def __post_init__(self) -> None:
        _agree(self.operator, self.values)


class NodeTerm(Struct, frozen=True, kw_only=True):
    """All of its expressions hold."""

    match_expressions: Annotated[tuple[NodeExpression, ...], _SOME]


class NodeSelector(Struct, frozen=True, kw_only=True):
    """One of its terms holds."""

    node_selector_terms: Annotated[tuple[NodeTerm, ...], _SOME]


class PreferredNode(Struct, frozen=True, kw_only=True):
    weight: Weight
    preference: NodeTerm


class NodeAffinity(Struct, frozen=True, kw_only=True):
    required: NodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: Annotated[tuple[PreferredNode, ...], _FEW] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class LabelExpression(Struct, frozen=True, kw_only=True):
    """About one label of a replica."""

    key: Key
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[tuple[Value, ...], _FEW] = ()

    def __post_init__(self) -> None:
        _agree(self.operator, self.values)


class LabelSelector(Struct, frozen=True, kw_only=True):
    """Replicas of the same project, whatever is written: those of others are nobody's business."""

    match_labels: Annotated[dict[Key, Value], _FEW] = {}
    match_expressions: Annotated[tuple[LabelExpression, ...], _FEW] = ()


class PodTerm(Struct, frozen=True, kw_only=True):
    """`topology_key` is the label of nodes that says what "together" is."""

    topology_key: Key
    label_selector: LabelSelector = LabelSelector()


class PreferredPods(Struct, frozen=True, kw_only=True):
    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(Struct, frozen=True, kw_only=True):
    required: Annotated[tuple[PodTerm, ...], _FEW] = msgspec.field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: Annotated[tuple[PreferredPods, ...], _FEW] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Struct, frozen=True, kw_only=True):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


def _agree(operator: str, values: tuple[str, ...]) -> None:
    """Raises ValueError when an operator has not the values that it needs."""
    if operator in ("In", "NotIn") and not values:
        raise ValueError(f"`values` must not be empty with the operator {operator}")
    if operator in ("Exists", "DoesNotExist") and values:
        raise ValueError(f"`values` must be empty with the operator {operator}")
    if operator in ("Gt", "Lt") and not (len(values) == 1 and values[0].isdecimal()):
        raise ValueError(f"`values` must be one whole number with the operator {operator}")

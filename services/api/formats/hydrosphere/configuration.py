"""`kind: DeploymentConfiguration`: how servables run, in the words of Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.api.body import convert
from services.api.formats import checks
from services.api.formats.checks import Wrongs, short
from services.api.formats.hydrosphere import application, pod, quantities
from services.api.formats.hydrosphere.report import Report, kind
from services.api.types import SchedulingOptions
from shared.application import Configuration as Settings
from shared.endpoint import Autoscaling, Scheduling
from shared.errors import Invalid

KEYS: Final = frozenset(
    {"kind", "name", "version", "hpa", "container", "pod", "deployment", "scheduling"}
)
SCHEDULING: Final = tuple(SchedulingOptions.__struct_fields__)
REPLICAS: Final = 100
OURS: Final = frozenset(
    {"APP_PORT", "MODEL_DIR", "PATH", "HOME", "PORT", "PYTHONPATH", "PYTHONUSERBASE"}
)


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    settings: Settings


def read(document: Mapping[str, Any], report: Report) -> Configuration:
    """Worth something only if the report has nothing wrong."""
    report.ignore(document, KEYS)
    container = report.mapping(document.get("container"), "container") or {}
    report.ignore(container, ("resources", "env"), "container")
    requests, limits = quantities.read(container.get("resources"), "container.resources", report)
    autoscaling = _autoscaling(document.get("hpa"), report)
    replicas = _replicas(document.get("deployment"), report)
    if autoscaling is not None and replicas is not None:
        report.note("deployment.replicaCount", "says nothing beside hpa, which scales")
    placed = pod.read(document.get("pod"), report)
    return Configuration(
        name=application.name(document.get("name"), "a DeploymentConfiguration", report),
        settings=Settings(
            replicas=replicas,
            autoscaling=autoscaling,
            requests=requests,
            limits=limits,
            variables=_variables(container.get("env"), report),
            node_labels=placed.node_labels,
            affinity=placed.affinity,
            tolerations=placed.tolerations,
            scheduling=_scheduling(document.get("scheduling"), report),
        ),
    )


def _autoscaling(written: object, report: Report) -> Autoscaling | None:
    if written is None:
        return None
    hpa = report.mapping(written, "hpa")
    if hpa is None:
        return None
    report.ignore(hpa, ("minReplicas", "maxReplicas", "cpuUtilization"), "hpa")
    least, busy = hpa.get("minReplicas"), hpa.get("cpuUtilization")
    if hpa.get("maxReplicas") is None:
        report.wrong("hpa.maxReplicas", f"is missing; allowed: a whole number to {REPLICAS}")
        return None
    fewest = 1 if least is None else report.whole(least, "hpa.minReplicas", 1, REPLICAS)
    most = report.whole(hpa["maxReplicas"], "hpa.maxReplicas", 1, REPLICAS)
    percent = 80 if busy is None else report.whole(busy, "hpa.cpuUtilization", 1, 100)
    if fewest is None or most is None or percent is None:
        return None
    if most < fewest:
        report.wrong("hpa.maxReplicas", f"is {most}; it must not be less than minReplicas")
        return None
    return Autoscaling(min=fewest, max=most, cpu_percent=percent)


def _scheduling(written: object, report: Report) -> Scheduling:
    """Ours, in the words of the other formats."""
    found = report.mapping(written, "scheduling") or {}
    report.ignore(found, SCHEDULING, "scheduling")
    known = {key: value for key, value in found.items() if key in SCHEDULING}
    try:
        return checks.scheduling_of(convert(known, SchedulingOptions))
    except Invalid as error:
        report.wrong(f"scheduling.{error.field}", error.message)
        return Scheduling()


def _replicas(written: object, report: Report) -> int | None:
    """None: nothing is said, which is one, or what autoscaling says."""
    deployment = report.mapping(written, "deployment") or {}
    report.ignore(deployment, ("replicaCount",), "deployment")
    count = deployment.get("replicaCount")
    if count is None:
        return None
    return report.whole(count, "deployment.replicaCount", 0, REPLICAS)


def _variables(written: object, report: Report) -> dict[str, str]:
    pairs, wrongs = report.mapping(written, "container.env") or {}, Wrongs()
    for name, value in pairs.items():
        if not isinstance(value, str):
            said = f"{short(name)} is {kind(value)}; it must be text, so put it in quotes"
            report.wrong("container.env", said)
        elif name in OURS:
            report.note(f"container.env.{name}", "is the platform's to set")
    texts = [(name, value) for name, value in pairs.items() if isinstance(value, str)]
    found = checks.environment(texts, "container.env", wrongs)
    for wrong in wrongs:
        report.wrong(wrong.field, wrong.message)
    return found

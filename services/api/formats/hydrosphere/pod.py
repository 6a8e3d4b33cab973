"""`pod`: on which machines servables may run, and where they would like to."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from services.api.body import convert
from services.api.formats.checks import short
from services.api.formats.hydrosphere.report import Report, below
from shared.affinity import KEY, VALUE, Affinity
from shared.endpoint import Toleration
from shared.errors import Invalid

EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_FIELDS: Final = ("key", "operator", "value", "effect", "tolerationSeconds")
_LABELS: Final = 16
_TOLERATIONS: Final = 32
_SECONDS: Final = 1 << 31
_KEY: Final = re.compile(KEY)
_VALUE: Final = re.compile(VALUE)


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    node_labels: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()


def read(written: object, report: Report) -> Pod:
    pod = report.mapping(written, "pod") or {}
    report.ignore(pod, ("nodeSelector", "affinity", "tolerations"), "pod")
    tolerations = report.items(pod.get("tolerations"), "pod.tolerations", _TOLERATIONS)
    return Pod(
        node_labels=_labels(pod.get("nodeSelector"), "pod.nodeSelector", report),
        affinity=_affinity(pod.get("affinity"), "pod.affinity", report),
        tolerations=tuple(
            _toleration(each, f"pod.tolerations[{index}]", report)
            for index, each in enumerate(tolerations)
        ),
    )


def _labels(written: object, path: str, report: Report) -> dict[str, str]:
    found = report.mapping(written, path) or {}
    if len(found) > _LABELS:
        report.wrong(path, f"has {len(found)} labels; allowed: {_LABELS}")
        return {}
    for key, value in found.items():
        if not _KEY.match(key) or len(key) > 253:
            report.wrong(below(path, key), f"{short(key)} is not the name of a label")
        elif not isinstance(value, str) or not _VALUE.match(value):
            said = f"{short(value)} is not the value of a label; it is text of up to 63 characters"
            report.wrong(below(path, key), said)
    return found


def _affinity(written: object, path: str, report: Report) -> Affinity | None:
    if not report.mapping(written, path):
        return None
    try:
        return convert(written, Affinity)
    except Invalid as error:
        for wrong in error.errors:
            report.wrong(f"{path}.{wrong.field}".rstrip("."), wrong.message)
        return None


def _toleration(written: object, path: str, report: Report) -> Toleration:
    found = report.mapping(written, path) or {}
    report.ignore(found, _FIELDS, path)
    key, value = (_part(found, name, path, report) for name in ("key", "value"))
    operator = _one(found, "operator", ("Equal", "Exists"), "Equal", path, report)
    effect = _one(found, "effect", EFFECTS, "", path, report)
    if not key and operator != "Exists":
        report.wrong(f"{path}.key", "is missing; without a key the operator must be Exists")
    if value and operator == "Exists":
        report.wrong(f"{path}.value", "must be empty with the operator Exists")
    seconds = found.get("tolerationSeconds")
    if seconds is not None:
        seconds = report.whole(seconds, f"{path}.tolerationSeconds", 0, _SECONDS)
        if effect != "NoExecute":  # Kubernetes takes no such toleration
            said = "is ignored; it goes with the effect NoExecute only"
            report.note(f"{path}.tolerationSeconds", said)
            seconds = None
    return Toleration(
        key=key,
        operator="Exists" if operator == "Exists" else "Equal",
        value=value,
        effect=effect,
        seconds=seconds,
    )


def _part(found: dict[str, Any], name: str, path: str, report: Report) -> str:
    text = report.text(found.get(name), f"{path}.{name}", most=253)
    if text and not (_KEY if name == "key" else _VALUE).match(text):
        report.wrong(f"{path}.{name}", f"{short(text)} is not the {name} of a taint")
    return text


def _one(
    found: dict[str, Any],
    name: str,
    allowed: tuple[str, ...],
    usual: str,
    path: str,
    report: Report,
) -> str:
    written = found.get(name)
    if written is None or written == "":
        return usual
    if written not in allowed:
        said = f"{short(written)} is not known; allowed: {', '.join(allowed)}"
        report.wrong(f"{path}.{name}", said)
        return usual
    return str(written)

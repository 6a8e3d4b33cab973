"""`kind: Application`: a model version, or stages of weighted ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.api.formats.checks import short
from services.api.formats.hydrosphere.report import Report
from shared.application import WHOLE

KEYS: Final = frozenset(
    {"kind", "name", "version", "singular", "pipeline", "streaming", "metadata"}
)
VARIANT: Final = frozenset({"model", "weight", "deployment-configuration"})
NAME: Final = re.compile(r"[a-zA-Z_0-9-]{1,100}")
NAMED: Final = "allowed: up to 100 of a-z, A-Z, 0-9, - and _"
_MODEL: Final = re.compile(r"([a-z_0-9-]{1,100}):(0{0,9}[1-9][0-9]{0,8})")
_STAGES: Final = 50
_VARIANTS: Final = 20


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is where it is written."""

    path: str
    model: str
    version: str
    weight: int
    configuration: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    variants: tuple[Variant, ...]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stages: tuple[Stage, ...]


def read(document: Mapping[str, Any], report: Report) -> Application:
    """Worth something only if the report has nothing wrong."""
    report.ignore(document, KEYS)
    singular, pipeline = document.get("singular"), document.get("pipeline")
    if document.get("streaming"):
        said = "streaming through Kafka is not supported; leave it out"
        report.wrong("streaming", said)
    stages: tuple[Stage, ...] = ()
    if (singular is None) == (pipeline is None):
        has = "neither singular nor" if singular is None else "both singular and"
        report.wrong("", f"has {has} pipeline; give exactly one of them")
    elif singular is not None:
        stages = (Stage(path="singular", variants=(_variant(singular, "singular", report),)),)
    else:
        stages = _pipeline(pipeline, report)
    return Application(name=name(document.get("name"), "an application", report), stages=stages)


def name(written: object, whose: str, report: Report) -> str:
    if not isinstance(written, str) or not NAME.fullmatch(written):
        said = "is missing" if written is None else f"{short(written)} is not {whose}'s name"
        report.wrong("name", f"{said}; {NAMED}")
        return ""
    return written


def _pipeline(written: object, report: Report) -> tuple[Stage, ...]:
    stages = report.items(written, "pipeline", _STAGES)
    if written == []:
        report.wrong("pipeline", "is empty; at least one stage is needed")
    return tuple(_stage(stage, f"pipeline[{at}]", report) for at, stage in enumerate(stages))


def _stage(written: object, path: str, report: Report) -> Stage:
    """A list of variants. One alone may stand there without its list."""
    if isinstance(written, dict):
        return Stage(path=path, variants=(_variant(written, path, report),))
    variants = report.items(written, path, _VARIANTS)
    if not variants and written in (None, []):
        report.wrong(path, "is empty; a stage is a list of model and weight")
    alone = len(variants) == 1
    made = tuple(
        _variant(variant, f"{path}[{at}]", report, alone=alone)
        for at, variant in enumerate(variants)
    )
    weights = [variant.weight for variant in made]
    if made and all(weight >= 0 for weight in weights) and sum(weights) != WHOLE:
        said = f"Sum of weights must equal {WHOLE}. Current sum: {sum(weights)}"
        report.wrong(path, said)
    return Stage(path=path, variants=made)


def _variant(written: object, path: str, report: Report, *, alone: bool = True) -> Variant:
    found = report.mapping(written, path)
    if found is None:
        return Variant(path=path, model="", version="", weight=-1, configuration="")
    report.ignore(found, VARIANT, path)
    model, version = _model(found.get("model"), f"{path}.model", report)
    chosen = found.get("deployment-configuration")
    at = f"{path}.deployment-configuration"
    if chosen is not None and not (isinstance(chosen, str) and NAME.fullmatch(chosen)):
        report.wrong(at, f"{short(chosen)} is not the name of a DeploymentConfiguration; {NAMED}")
    return Variant(
        path=path,
        model=model,
        version=version,
        weight=WHOLE if alone else _weight(found.get("weight"), f"{path}.weight", report),
        configuration=chosen if isinstance(chosen, str) else "",
    )


def _weight(written: object, path: str, report: Report) -> int:
    """-1 when it is wrong."""
    if written is None:
        report.wrong(path, f"is missing; with several models in a stage each needs 0 to {WHOLE}")
        return -1
    found = report.whole(written, path, 0, WHOLE)
    return -1 if found is None else found


def _model(written: object, path: str, report: Report) -> tuple[str, str]:
    found = model(written) if isinstance(written, str) else None
    if found is None:
        said = "is missing" if written is None else f"{short(written)} is not a model version"
        report.wrong(path, f"{said}; write name:version, such as claims-model:1")
    return found or ("", "")


def model(written: str) -> tuple[str, str] | None:
    """
    >>> model("claims-model:2"), model("claims-model:latest")
    (('claims-model', '2'), None)
    """
    found = _MODEL.fullmatch(written)
    return None if found is None else (found[1], found[2].lstrip("0"))

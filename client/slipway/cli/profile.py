"""What `slipway model NAME --profile` shows: fields of a model, in training and in traffic."""

from __future__ import annotations

from typing import Any

from slipway.cli.context import Context
from slipway.types_models import FieldProfile, ModelProfile, TrainingProfile


def show_profile(context: Context, found: ModelProfile) -> None:
    context.out.value(found, lambda: _show(context, found))


def _show(context: Context, found: ModelProfile) -> None:
    out = context.out
    out.table(("field", "trained on", "traffic", "distance"), [_row(f) for f in found.fields])
    out.say(_training(found.training))
    for note in found.training.notes if found.training else ():
        out.say(f"  note: {note}", "dim")
    if found.drifted:
        out.say(f"{found.model}:{found.version} has drifted", "yellow")
    elif not any(field.traffic for field in found.fields):
        out.say(f"no traffic of {found.model}:{found.version} is known so far")


def _training(training: TrainingProfile | None) -> str:
    if training is None:
        return "there is no training data to compare with"
    match training.state:
        case "ready":
            return f"training data: {training.rows} rows"
        case "failed":
            return f"the training data can't be read: {training.reason}"
        case _:
            return "the training data is still to be read"


def _row(found: FieldProfile) -> tuple[str, str, str, str]:
    distances = ", ".join(
        f"{d.metric} {d.value:g}" + (f" > {d.threshold:g} drifted" if d.drifted else "")
        for d in found.distances
    )
    return found.field, summary(found.training), summary(found.traffic), distances


def summary(told: dict[str, Any] | None) -> str:
    """`200 rows, mean 3.5 ± 1.2`"""
    if not told:
        return ""
    parts = [f"{told.get('rows', 0)} rows"]
    match told.get("kind"):
        case "numerical" if told.get("mean") is not None:
            parts.append(f"mean {told['mean']:g} ± {told.get('deviation') or 0:g}")
        case "categorical":
            parts.append(f"{told.get('distinct', 0)} values")
        case "text":
            parts.append(_mean("length", told.get("length")))
        case "image":
            parts.append(_mean("brightness", told.get("brightness")))
    return ", ".join(part for part in parts if part)


def _mean(what: str, told: Any) -> str:
    mean = told.get("mean") if isinstance(told, dict) else None
    return "" if mean is None else f"{what} {mean:g}"

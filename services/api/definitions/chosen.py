"""The versions that an application names, found, and whether they can answer together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from services.api import signature
from services.api.definitions import able
from services.api.definitions.able import Remark
from services.api.definitions.found import Found, Versions
from services.api.formats.checks import short
from services.api.formats.hydrosphere.application import Application, Variant
from services.api.formats.hydrosphere.document import Document
from services.api.formats.hydrosphere.report import Report
from services.api.gpus import Stock
from shared.application import Configuration
from shared.contract import gaps

_GAPS: Final = 5  # that are told of one pair


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    stages: tuple[tuple[Choice, ...], ...]

    def fits(self, stock: Stock, report: Report, reports: Mapping[str, Report]) -> bool:
        """Whether the target has GPUs for each; the report says what it has not."""
        fine = True
        for choice in (choice for stage in self.stages for choice in stage):
            remark = able.without_gpus(choice.settings, self.target, stock)
            if remark is not None:
                _tell(choice.path, choice.configuration, remark, report, reports)
                fine = False
        return fine


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is where it is written."""

    path: str
    found: Found
    weight: int
    configuration: str
    settings: Configuration


async def choose(
    document: Document[Application],
    versions: Versions,
    configuration: Callable[[str], Awaitable[Configuration | None]],
    target: str,
    reports: Mapping[str, Report],
) -> Chosen | None:
    """None when it is wrong; the report says how. `target` "" is that of the models."""
    report, stages, missing = document.report, [], False
    for stage in document.value.stages:
        found = [await _find(each, versions, configuration, report) for each in stage.variants]
        stages.append((stage.path, [choice for choice in found if choice is not None]))
        missing = missing or None in found
    if missing:
        return None
    target = target or stages[0][1][0].found.target
    fine = _elsewhere(stages, target, report)
    fine = _together(stages, report) and fine
    for _, choices in stages:
        for choice in choices:
            for remark in able.remarks(choice.settings, target):
                _tell(choice.path, choice.configuration, remark, report, reports)
                fine = fine and not remark.refused
    made = tuple(tuple(choices) for _, choices in stages)
    return Chosen(target=target, stages=made) if fine else None


async def _find(
    variant: Variant,
    versions: Versions,
    configuration: Callable[[str], Awaitable[Configuration | None]],
    report: Report,
) -> Choice | None:
    found = await versions.find(variant.model, variant.version)
    settings = await configuration(variant.configuration)
    if isinstance(found, str):
        report.wrong(f"{variant.path}.model", found)
    if settings is None:
        said = f"this project has no DeploymentConfiguration {short(variant.configuration)}"
        report.wrong(f"{variant.path}.deployment-configuration", said)
    if isinstance(found, str) or settings is None:
        return None
    return Choice(
        path=variant.path,
        found=found,
        weight=variant.weight,
        configuration=variant.configuration,
        settings=settings,
    )


def _elsewhere(stages: Sequence[tuple[str, list[Choice]]], target: str, report: Report) -> bool:
    fine = True
    for choice in (choice for _, choices in stages for choice in choices):
        if choice.found.target != target:
            said = f"{choice.found} is on {choice.found.target}, and the application on {target}"
            report.wrong(f"{choice.path}.model", said)
            fine = False
    return fine


def _together(stages: Sequence[tuple[str, list[Choice]]], report: Report) -> bool:
    """Whether the variants of each stage have one signature, and each stage what the next takes."""
    before = report.count
    for path, (first, *others) in stages:
        for other in others:
            reasons = signature.conflicts(first.found.entry.contract, other.found.entry.contract)
            for reason in list(reasons)[:_GAPS]:
                said = f"{first.found} and {other.found} can't be in one stage: {reason}"
                report.wrong(path, said)
    for (_, giving), (path, taking) in pairwise(stages):
        for giver in (choice for choice in giving if choice.weight):
            for taker in taking:
                _fits(giver, taker, path, report)
    return report.count == before


def _fits(giver: Choice, taker: Choice, path: str, report: Report) -> None:
    given, wanted = giver.found.entry.contract.outputs, taker.found.entry.contract.inputs
    for gap in list(gaps(given, wanted))[:_GAPS]:
        said = f"{taker.found} can't follow {giver.found}: its input {gap}"
        report.wrong(path, said)


def _tell(
    path: str, name: str, remark: Remark, report: Report, reports: Mapping[str, Report]
) -> None:
    """In the configuration itself, if it is a document of the same request."""
    if name in reports:
        if remark.refused:
            reports[name].wrong(remark.path, remark.message)
        return
    at = f"{path}.deployment-configuration"
    said = f"{name}, {remark.path}: {remark.message}"
    if remark.refused:
        report.wrong(at, said)
    else:
        report.note(at, said)

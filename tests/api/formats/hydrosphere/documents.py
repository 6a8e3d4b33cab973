"""Documents as people write them, and what is said about them."""

from __future__ import annotations

from typing import Any

from services.api.formats.checks import Wrongs
from services.api.formats.hydrosphere import document
from services.api.formats.hydrosphere.document import Documents
from services.api.formats.hydrosphere.runtime import DEFAULT

NUMBER = {"shape": "scalar", "type": "double"}


def model(**more: Any) -> dict[str, Any]:
    return {
        "kind": "Model",
        "name": "claims-model",
        "runtime": "ann/runtime:1.0",
        "contract": {"inputs": {"x": NUMBER}, "outputs": {"y": NUMBER}},
    } | more


def application(**more: Any) -> dict[str, Any]:
    return {"kind": "Application", "name": "claims_App-1"} | more


def configuration(**more: Any) -> dict[str, Any]:
    return {"kind": "DeploymentConfiguration", "name": "small"} | more


def read(*written: Any) -> tuple[Documents, list[tuple[str, str]]]:
    """What the documents say, and what is wrong: field and message."""
    wrongs = Wrongs()
    sent = [(f"file.yaml#{number}", each) for number, each in enumerate(written, 1)]
    found = document.read(sent, DEFAULT, wrongs)
    return found, [(wrong.field, wrong.message) for wrong in wrongs]


def fields(*written: Any) -> list[str]:
    return [field for field, _ in read(*written)[1]]


def notes(written: Any) -> tuple[str, ...]:
    found, wrong = read(written)
    assert wrong == []
    reports = [each.report for each in found.models]
    reports += [each.report for each in found.applications]
    reports += [each.report for each in found.configurations]
    (report,) = reports
    return report.notes

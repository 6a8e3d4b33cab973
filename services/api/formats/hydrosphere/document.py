"""A document of any kind, told apart by its `kind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from services.api.formats.checks import Wrongs, short
from services.api.formats.hydrosphere import application, configuration, model
from services.api.formats.hydrosphere.application import Application
from services.api.formats.hydrosphere.configuration import Configuration
from services.api.formats.hydrosphere.model import Model
from services.api.formats.hydrosphere.report import Report

KINDS: Final = ("Model", "Application", "DeploymentConfiguration")
V = TypeVar("V")


class Document(msgspec.Struct, Generic[V], frozen=True, kw_only=True):
    """What a document says. What is found wrong with it later on goes into its report."""

    index: int
    source: str
    value: V
    written: dict[str, Any]
    report: Report


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they were sent, each kind for itself."""

    models: tuple[Document[Model], ...]
    applications: tuple[Document[Application], ...]
    configurations: tuple[Document[Configuration], ...]


def read(sent: list[tuple[str, Any]], runtimes: Mapping[str, str], wrongs: Wrongs) -> Documents:
    """`sent` are the documents and their sources. What is wrong is added to `wrongs`."""
    models, applications, configurations = [], [], []
    for index, (source, written) in enumerate(sent):
        report = Report(index, source, wrongs)
        if not isinstance(written, dict):
            report.wrong("", f"must be a mapping with kind and name; kinds: {', '.join(KINDS)}")
            continue
        said: dict[str, Any] = {
            "index": index,
            "source": source,
            "written": written,
            "report": report,
        }
        match written.get("kind"):
            case "Model":
                models.append(Document(value=model.read(written, report, runtimes), **said))
            case "Application":
                applications.append(Document(value=application.read(written, report), **said))
            case "DeploymentConfiguration":
                configurations.append(Document(value=configuration.read(written, report), **said))
            case None:
                report.wrong("kind", f"is missing; allowed: {', '.join(KINDS)}")
            case other:
                report.wrong("kind", f"{short(other)} is not a kind; allowed: {', '.join(KINDS)}")
    _once(applications)
    _once(configurations)
    return Documents(
        models=tuple(models),
        applications=tuple(applications),
        configurations=tuple(configurations),
    )


def _once(documents: list[Document[Any]]) -> None:
    """Of a model several versions may be made; all else is there once."""
    first: dict[str, str] = {}
    for document in documents:
        name = document.value.name
        if name and name in first:
            told = first[name] or "another document"
            document.report.wrong("name", f"{short(name)} is defined in {told} as well")
        first.setdefault(name, document.source)

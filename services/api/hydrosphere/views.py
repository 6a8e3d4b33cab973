"""What Hydrosphere's clients read: the keys that they know, with what we know. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from services.api.hydrosphere.documents import DT
from services.api.models import STATUS
from services.api.signature import merged
from services.api.signature import signature as inferred
from services.api.types_hydrosphere import ServableStatus
from shared.application import ApplicationState, Graph, hydrosphere
from shared.contract import Contract, Field
from shared.database.versions import VersionState
from shared.endpoint import Definition, Model

View = dict[str, Any]


def contract_of(row: asyncpg.Record) -> Contract:
    return _entry(row).contract


def _entry(row: asyncpg.Record) -> Model:
    entry = msgspec.convert(row["definition"], Definition).endpoints[0].entry
    assert isinstance(entry, Model)
    return entry


def version(row: asyncpg.Record) -> View:
    """A row of manager_versions.sql."""
    entry, state = _entry(row), VersionState(row["state"])
    signed = signature(entry.contract)
    images: dict[str, str] = row["images"]
    return {
        "id": row["seq"],
        "model": {"id": row["model_seq"], "name": row["model"]},
        "modelVersion": int(row["name"]),
        "modelContract": {"modelName": row["model"], "predict": signed},
        "modelSignature": signed,
        "monitoringConfiguration": {"batchSize": 100},
        "runtime": _image(entry.runtime),
        "image": {
            "name": row["repository"] or row["model"],
            "tag": row["name"],
            "sha256": next(iter(images.values()), "").removeprefix("sha256:") or None,
        },
        "status": STATUS[state],
        "metadata": entry.metadata,
        "isExternal": False,
        "created": _time(row["created_at"]),
        "finished": None if state is VersionState.BUILDING else _time(row["changed_at"]),
        "applications": [],
        "message": row["reason"],
    }


def _image(reference: str) -> View:
    name, _, digest = reference.partition("@sha256:")
    head, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return {"name": head + slash + base, "tag": tag or "latest", "sha256": digest or None}


def _time(at: datetime) -> str:
    return at.isoformat()


def signature(contract: Contract) -> View:
    return {
        "signatureName": contract.signature,
        "inputs": [{"name": field.name, **_field(field)} for field in contract.inputs],
        "outputs": [{"name": field.name, **_field(field)} for field in contract.outputs],
    }


def _field(field: Field) -> View:
    shape = None
    if field.shape is not None:
        dimensions = [{"size": size, "name": ""} for size in field.shape]
        shape = {"dim": dimensions, "unknownRank": False}
    made: View = {"profile": field.profile.upper(), "shape": shape}
    if field.dtype is not None:
        return made | {"dtype": DT[field.dtype]}
    return made | {"subfields": {inner.name: _field(inner) for inner in field.fields}}


def application(
    row: asyncpg.Record,
    written: Mapping[str, Any],
    versions: Mapping[str, asyncpg.Record],
    servables: Mapping[str, str],
    configurations: Mapping[str, View],
) -> View:
    """A row of applications.sql; `versions` by id, names of `servables` by job."""
    graph = msgspec.convert(row["graph"], Graph)
    contracts = [
        [contract_of(versions[variant.version]) for variant in stage.variants]
        for stage in graph.stages
    ]
    stages = [
        {
            "signature": signature(merged(contracts[at])),
            "modelVariants": [
                {
                    "modelVersion": version(versions[variant.version]),
                    "modelVersionId": versions[variant.version]["seq"],
                    "weight": variant.weight,
                    "servableName": servables.get(variant.job),
                    "deploymentConfiguration": configurations.get(variant.configuration),
                    "deploymentConfigurationName": variant.configuration or None,
                }
                for variant in stage.variants
            ],
        }
        for at, stage in enumerate(graph.stages)
    ]
    metadata = written.get("metadata")
    return {
        "id": row["seq"],
        "name": row["name"],
        "status": hydrosphere(ApplicationState(row["state"])),
        "message": row["reason"],
        "signature": signature(inferred(contracts)),
        "executionGraph": {"stages": stages},
        "kafkaStreaming": [],
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


def servable(row: asyncpg.Record, status: ServableStatus, model: View) -> View:
    """A row of servables.sql."""
    return {
        "fullName": row["name"],
        "modelVersion": model,
        "modelVersionId": model["id"],
        "status": {"status": status, "msg": row["reason"]},
        "statusMessage": row["reason"],
        "usedApps": [row["application"]] if row["application"] else [],
        "metadata": {},
        "deploymentConfiguration": None,
    }


def models(rows: Sequence[asyncpg.Record]) -> list[View]:
    return [{"id": row["seq"], "name": row["name"]} for row in rows]


def configuration(row: Mapping[str, Any]) -> View:
    """As it was written, without what is not of it; what is not said is null."""
    document = row["document"]
    parts = ("hpa", "pod", "container", "deployment")
    return {"name": row["name"], **{part: document.get(part) for part in parts}}

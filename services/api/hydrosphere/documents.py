"""What Hydrosphere's clients send, as the resource definitions that people write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.api.formats.checks import short
from shared.contract import DTYPES
from shared.contract import DType as Type
from shared.errors import Invalid

DT: Final[dict[Type, str]] = {
    **{name: f"DT_{name.upper()}" for name in DTYPES},
    "float16": "DT_HALF",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
}
_TYPES: Final = {written: name for name, written in DT.items()}
_DEPTH: Final = 10


def model(metadata: Any) -> dict[str, Any]:
    """From the `metadata` of an upload. What is wrong in it, the format's reader says."""
    sent = _mapping(metadata, "metadata")
    contract = _mapping(sent.get("contract"), "contract")
    predict = _mapping(contract.get("predict"), "contract.predict")
    written = {
        "kind": "Model",
        "name": sent.get("name"),
        "runtime": _image(_mapping(sent.get("runtime"), "runtime")),
        "contract": {
            "name": predict.get("signatureName") or None,
            "inputs": _fields(predict.get("inputs"), "contract.predict.inputs", 0),
            "outputs": _fields(predict.get("outputs"), "contract.predict.outputs", 0),
        },
        "install-command": sent.get("installCommand"),
        "metadata": sent.get("metadata"),
    }
    return {key: value for key, value in written.items() if value is not None}


def _image(runtime: Mapping[str, Any]) -> str:
    name, tag, digest = (runtime.get(part) for part in ("name", "tag", "sha256"))
    if not isinstance(name, str):
        raise Invalid("runtime.name", f"{short(name)} is not the name of an image")
    if digest:
        return f"{name}@sha256:{str(digest).removeprefix('sha256:')}"
    return f"{name}:{tag}" if tag else name


def _fields(sent: Any, path: str, depth: int) -> dict[str, Any]:
    """A list of fields with their names, as a mapping."""
    if not isinstance(sent, list) or depth > _DEPTH:
        raise Invalid(path, "must be a list of fields")
    made: dict[str, Any] = {}
    for index, each in enumerate(sent):
        field, at = _mapping(each, f"{path}[{index}]"), f"{path}[{index}]"
        name = field.get("name")
        if not isinstance(name, str) or name in made:
            raise Invalid(f"{at}.name", f"{short(name)} is not the name of a field of its own")
        made[name] = _field(field, at, depth)
    return made


def _field(field: Mapping[str, Any], at: str, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"profile": field.get("profile")}
    subfields = field.get("subfields")
    if isinstance(subfields, dict):
        subfields = subfields.get("data")
    if subfields:
        made["fields"] = _fields(subfields, f"{at}.subfields", depth + 1)
    else:
        dtype = field.get("dtype")
        made["type"] = _TYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    made["shape"] = _shape(field.get("shape"), f"{at}.shape")
    return {key: value for key, value in made.items() if value is not None}


def _shape(sent: Any, at: str) -> Any:
    if sent is None or not isinstance(sent, dict):
        return sent
    if sent.get("unknownRank") is True:
        return None
    dimensions = sent.get("dim")
    if dimensions is None:
        return "scalar"
    if not isinstance(dimensions, list):
        raise Invalid(f"{at}.dim", "must be a list of dimensions")
    return [each.get("size") if isinstance(each, dict) else each for each in dimensions] or "scalar"


def application(sent: Any, models: Mapping[int, str]) -> dict[str, Any]:
    """From what is posted; `models` are the names and versions by number."""
    found = _mapping(sent, "")
    graph = _mapping(found.get("executionGraph"), "executionGraph")
    stages = [
        [
            _variant(each, f"executionGraph.stages[{at}].modelVariants[{index}]", models)
            for index, each in enumerate(variants)
        ]
        for at, variants in enumerate(variants_of(graph))
    ]
    written = {
        "kind": "Application",
        "name": found.get("name"),
        "pipeline": stages,
        "streaming": found.get("kafkaStreaming") or None,
        "metadata": found.get("metadata") or None,
    }
    return {key: value for key, value in written.items() if value is not None}


def variants_of(graph: Mapping[str, Any]) -> list[list[Any]]:
    """The variants of each stage, whatever they are."""
    stages = graph.get("stages")
    if not isinstance(stages, list):
        raise Invalid("executionGraph.stages", "must be a list of stages")
    found = []
    for at, stage in enumerate(stages):
        path = f"executionGraph.stages[{at}]"
        variants = _mapping(stage, path).get("modelVariants")
        if not isinstance(variants, list):
            raise Invalid(f"{path}.modelVariants", "must be a list of variants")
        found.append(variants)
    return found


def numbers(sent: Any) -> list[int]:
    """Of the model versions that an application names."""
    graph = _mapping(_mapping(sent, "").get("executionGraph"), "executionGraph")
    named = (
        each.get("modelVersionId")
        for variants in variants_of(graph)
        for each in variants
        if isinstance(each, dict)
    )
    return sorted({each for each in named if isinstance(each, int) and not isinstance(each, bool)})


def _variant(sent: Any, at: str, models: Mapping[int, str]) -> dict[str, Any]:
    variant = _mapping(sent, at)
    number = variant.get("modelVersionId")
    name = models.get(number) if isinstance(number, int) else None
    if name is None:
        raise Invalid(f"{at}.modelVersionId", f"{short(number)} is not a model version")
    configuration = variant.get("deploymentConfigName")
    made = {"model": name, "weight": variant.get("weight")}
    return made if configuration is None else made | {"deployment-configuration": configuration}


def configuration(sent: Any) -> dict[str, Any]:
    """What is posted is what people write, without its kind; null is what is not said."""
    said = {key: value for key, value in _mapping(sent, "").items() if value is not None}
    return {"kind": "DeploymentConfiguration", **said}


def _mapping(sent: Any, path: str) -> dict[str, Any]:
    if not isinstance(sent, dict):
        raise Invalid(path, "must be an object")
    return sent

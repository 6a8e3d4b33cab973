"""`container.resources`: what a servable is promised, and what it may use."""

from __future__ import annotations

from typing import Final, Literal

from services.api.formats.checks import short
from services.api.formats.hydrosphere.quantity import quantity
from services.api.formats.hydrosphere.report import Report, below
from shared.application import Quantities

NVIDIA: Final = "nvidia.com/gpu"
DISK: Final = "ephemeral-storage"
_MB: Final = 1 << 20
_CORES: Final = 1e6
_MEMORY: Final = 1e9  # MB
_GPUS: Final = 64

Which = Literal["requests", "limits"]


def read(written: object, path: str, report: Report) -> tuple[Quantities, Quantities]:
    """The requests and the limits."""
    resources = report.mapping(written, path) or {}
    report.ignore(resources, ("requests", "limits"), path)
    requests = _quantities(resources.get("requests"), f"{path}.requests", "requests", report)
    limits = _quantities(resources.get("limits"), f"{path}.limits", "limits", report)
    for name, asked, most in (
        ("cpu", requests.cpu, limits.cpu),
        ("memory", requests.memory, limits.memory),
    ):
        if asked is not None and most is not None and asked > most:
            report.wrong(f"{path}.requests.{name}", "is more than its limit")
    if requests.gpus is not None and requests.gpus != limits.gpus:
        said = "must be the same as its limit: GPUs are held whole"
        report.wrong(f"{path}.requests.{NVIDIA}", said)
    return requests, limits


def _quantities(written: object, path: str, which: Which, report: Report) -> Quantities:
    found = report.mapping(written, path) or {}
    for name in found:
        if name == DISK:
            report.note(f"{path}.{DISK}", "is not kept: servables have no limit of their own")
        elif name not in ("cpu", "memory", NVIDIA):
            said = f"{short(name)} is not a resource; allowed: cpu, memory, {NVIDIA}"
            report.wrong(below(path, name), said)
    written = _memory(found.get("memory"), f"{path}.memory", report)
    memory = _amount(written, f"{path}.memory", _MEMORY * _MB, "512Mi", report)
    if memory is not None and 0 < memory < _MB:
        said = f"{short(found['memory'])} is less than 1 MB; write it with a unit, such as 512Mi"
        report.wrong(f"{path}.memory", said)
    cpu = _amount(found.get("cpu"), f"{path}.cpu", _CORES, "500m", report)
    for name, amount in (("cpu", cpu), ("memory", memory)):
        if which == "limits" and amount == 0:
            report.wrong(f"{path}.{name}", "is 0; leave it out for no limit")
    return Quantities(
        cpu=cpu,
        memory=None if memory is None else memory / _MB,
        gpus=_gpus(found.get(NVIDIA), f"{path}.{NVIDIA}", report),
    )


def _memory(written: object, path: str, report: Report) -> object:
    """Hydrosphere's own examples write `2g`, which is none of Kubernetes' units."""
    if not isinstance(written, str) or not written.endswith("g"):
        return written
    report.note(path, f"{short(written)} is taken as {short(written[:-1] + 'G')}")
    return f"{written[:-1]}G"


def _amount(written: object, path: str, most: float, example: str, report: Report) -> float | None:
    if written is None:
        return None
    found = quantity(written)
    if found is None or found > most:
        report.wrong(path, f"{short(written)} is not a quantity; for example {example}")
        return None
    return found


def _gpus(written: object, path: str, report: Report) -> int | None:
    if written is None:
        return None
    found = quantity(written)
    return report.whole(written if found is None else found, path, 0, _GPUS)

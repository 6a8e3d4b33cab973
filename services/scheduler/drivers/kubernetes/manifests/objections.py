"""Why a workload can never run on a cluster: found here, in words for its owner, before the cluster
says so in its own or, worse, takes it for something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import Final

import msgspec

from services.scheduler.driver import Refused, Workload
from services.scheduler.drivers.kubernetes import quantity
from services.scheduler.drivers.kubernetes.manifests import (
    anchor,
    environment,
    init,
    placement,
    secret,
    security,
)
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.affinity import KEY, VALUE, Affinity
from shared.image import ContainerConfig

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY: Final = re.compile(r"[a-z0-9][a-z0-9._:/-]*[a-z0-9]")
_DNS: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_EFFECTS: Final = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
_CLOSED: Final = ("/", "/dev", "/proc", "/sys", "/slipway", "/bin", "/sbin", "/usr", "/lib", "/etc")
_LONGEST: Final = 230  # letters of a variable's name

Objections = Iterator[str]


def objection(workload: Workload, image: ContainerConfig, settings: Settings) -> Refused | None:
    """The first one, or None."""
    who = security.user(image, settings)
    if isinstance(who, Refused):
        return who
    every: Iterable[Callable[[Workload, Settings], Objections]] = (
        _image, _amounts, _nodes, _tolerations, _affinity, _volumes, _variables, _scaling, _files
    )  # fmt: skip
    found = chain(_command(image), *(each(workload, settings) for each in every))
    first = next(found, None) or _sizes(workload, image, settings)
    return Refused(first) if first else None


def _command(image: ContainerConfig) -> Objections:
    if not image.entrypoint:
        yield "the image does not say what to run"
    if any("\0" in each for each in image.entrypoint):
        yield "a command must not hold a NUL"


def _image(workload: Workload, _: Settings) -> Objections:
    if not workload.repository:
        yield "the image is in no registry from which a cluster could pull it"
    elif not _REPOSITORY.fullmatch(workload.repository) or not _DIGEST.fullmatch(workload.image):
        yield f"no name of an image: {_short(f'{workload.repository}@{workload.image}')}"
    if not 1 <= workload.endpoint.port <= 65535:
        yield f"no port: {workload.endpoint.port}"


def _amounts(workload: Workload, _: Settings) -> Objections:
    asked = workload.endpoint.resources
    for name, each in (("cpu", asked.cpu), ("memory", asked.memory), ("disk", asked.disk)):
        for amount in (each.min, each.max):
            if amount is not None and not 0 <= amount <= quantity.MOST:  # nor is it a NaN
                yield f"{name}: no amount: {amount}"
        if each.max is not None and (each.min or 0) > each.max:
            yield f"{name}: at least {each.min} is more than at most {each.max}"
    if workload.endpoint.disk_gib is not None and not 1 <= workload.endpoint.disk_gib <= 1 << 20:
        yield f"no size of a disk: {workload.endpoint.disk_gib} GiB"


def _nodes(workload: Workload, _: Settings) -> Objections:
    written = workload.endpoint.node_selector
    if written and "=" not in written:
        yield f"node-selector: no `key=value`: {_short(written)}"
    for key, value in placement.node_labels(workload).items():
        if not _key(key) or not _value(value):
            yield f"node-selector: no label of a node: {_short(f'{key}={value}')}"


def _tolerations(workload: Workload, _: Settings) -> Objections:
    for each in workload.endpoint.tolerations:
        if not each.key and each.operator != "Exists":
            yield "tolerations: without a key the operator has to be Exists"
        if (each.key and not _key(each.key)) or not _value(each.value):
            yield f"tolerations: no taint of a node: {_short(f'{each.key}={each.value}')}"
        if each.key in (*placement.CLUSTERS, placement.LEAVING):
            yield f"tolerations: such nodes are not for endpoints: {_short(each.key)}"
        if each.operator == "Exists" and each.value:
            yield "tolerations: with the operator Exists there is no value"
        if each.effect not in _EFFECTS:
            yield f"tolerations: no effect of a taint: {_short(each.effect)}"
        if each.seconds is not None and (each.effect != "NoExecute" or each.seconds < 0):
            yield "tolerations: only NoExecute can be tolerated for some seconds"


def _affinity(workload: Workload, _: Settings) -> Objections:
    if workload.endpoint.affinity is None:
        return
    try:  # its bounds hold for what was decoded, so it is
        msgspec.json.decode(msgspec.json.encode(workload.endpoint.affinity), type=Affinity)
    except msgspec.ValidationError as error:
        yield f"affinity: {error}"


def _volumes(workload: Workload, settings: Settings) -> Objections:
    endpoint = workload.endpoint
    for each in endpoint.volumes:
        if not _DNS.fullmatch(each.claim) or len(each.claim) > 253:
            yield f"shared-volumes: no name of a claim: {_short(each.claim)}"
        offered = settings.claims.get(each.claim, ())
        if "*" not in offered and workload.project not in offered:
            whom = _short(workload.project)
            yield f"shared-volumes: no volume {_short(each.claim)} is offered to {whom}"
        sub = PurePosixPath(each.sub_path)
        if sub.is_absolute() or ".." in sub.parts or not _printable(each.sub_path):
            yield f"shared-volumes: no path inside of a volume: {_short(each.sub_path)}"
    paths = [each.mount_path for each in endpoint.volumes]
    if endpoint.workspace is not None:
        paths.append(endpoint.workspace.mount_path)
        storage = endpoint.workspace.storage_class
        if storage and (not _DNS.fullmatch(storage) or len(storage) > 253):
            yield f"workspace-volume: no storage class: {_short(storage)}"
        if not 1 <= endpoint.workspace.size_gib <= 1 << 20:
            yield f"workspace-volume: no size: {endpoint.workspace.size_gib} GiB"
    for path in paths:
        if not _mountable(path):
            yield f"nothing can be mounted at {_short(path)}"
    taken = [*paths, *workload.files]
    if settings.disk == "volume":
        taken += ["/tmp"]
    if workload.devices:
        taken += ["/dev/shm"]
    if len({str(PurePosixPath(path)) for path in taken}) < len(taken):
        yield "two things would be mounted at the same path"


def _variables(workload: Workload, _: Settings) -> Objections:
    for name, value in (workload.endpoint.variables | workload.environment).items():
        if not environment.NAME.fullmatch(name) or len(name) > _LONGEST:
            yield f"no name of a variable: {_short(name)}"
        if name.startswith(init.HIDDEN):
            yield f"a variable's name must not begin with {init.HIDDEN}"
        if "\0" in value:
            yield f"the variable {name} must not hold a NUL"


def _scaling(workload: Workload, settings: Settings) -> Objections:
    asked = workload.endpoint.autoscaling
    if workload.copies < 0 or (workload.copies and len(workload.devices) % workload.copies):
        yield f"{workload.copies} copies can't share {len(workload.devices)} GPUs alike"
    if asked is not None and workload.devices:
        yield "replicas that hold GPUs are not scaled by themselves: GPUs are given out one by one"
    if asked is not None and not (1 <= asked.min <= asked.max and 1 <= asked.cpu_percent <= 100):
        yield f"autoscaling: not from {asked.min} to {asked.max} at {asked.cpu_percent} % CPU"


def _files(workload: Workload, _: Settings) -> Objections:
    for path in workload.files:
        if not path.startswith("/") or ":" in path or ".." in path.split("/"):
            yield f"no path of a file: {_short(path)}"


def _sizes(workload: Workload, image: ContainerConfig, settings: Settings) -> str | None:
    found = environment.environment(image, workload)
    if anchor.size(anchor.anchor(workload, found, settings)) > secret.MOST:
        return f"its files are larger than {secret.MOST} bytes together"
    if sum(len(value.encode()) for value in found.given.values()) > secret.MOST:
        return f"its variables are larger than {secret.MOST} bytes together"
    return None


def _mountable(path: str) -> bool:
    """Where it hides neither what the platform put there nor what makes the image run."""
    clean = PurePosixPath(path)
    if not path.startswith("/") or ":" in path or ".." in clean.parts or not _printable(path):
        return False
    plain = str(clean).replace("//", "/", 1)
    return plain not in _CLOSED and not plain.startswith(("/proc/", "/sys/", "/slipway/"))


def _key(text: str) -> bool:
    return len(text) <= 253 and re.match(KEY, text) is not None


def _value(text: str) -> bool:
    return re.match(VALUE, text) is not None


def _printable(text: str) -> bool:
    return len(text) <= 1024 and all(character.isprintable() for character in text)


def _short(text: str) -> str:
    return repr(text[:100])

"""proxiML endpoints: a GPU type and count, a model's source, and routes or a start command."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Final, Literal, get_args

import msgspec

from services.api.formats import checks
from services.api.formats.checks import Wrongs, short
from services.api.types import JobStatus
from services.api.types_proximl import NewEndpoint, NewEntry, NewEnvironment, NewResources
from shared import packages
from shared.blobs import DIGEST
from shared.endpoint import (
    GPU_TYPES,
    Autoscaling,
    Command,
    Endpoint,
    Entry,
    Gpus,
    Parameter,
    ParameterType,
    Readiness,
    Route,
    Routes,
    Scheduling,
    gpu_type,
)
from shared.lifecycle import State

PORT: Final = 80
MOST_GPUS: Final = 4
CPU: Final = "cpu"
NO_OUTPUT: Final = "Invalid Request - output_type invalid for Notebook and Endpoint jobs"
NO_ROUTES: Final = "Invalid Request - Endpoints must have at least one route specified"
VERBS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
TYPES: Final[dict[str, ParameterType]] = {
    **{name: name for name in get_args(ParameterType)},
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}
STATUS: Final[dict[State, JobStatus]] = {
    State.SUBMITTED: "new",
    State.BUILDING: "waiting for data/model download",
    State.QUEUED: "waiting for resources",
    State.STARTING: "starting",
    State.RUNNING: "running",
    State.STOPPING: "stopping",
    State.STOPPED: "stopped",
    State.FINISHED: "finished",
    State.FAILED: "failed",
    State.TERMINATED: "removed",
    State.PURGED: "removed",
}
"""The words that proxiML's users know. Its own jobs wait for resources before the download, ours
after it: they have their image by then, and start as soon as there are GPUs."""
_TYPES: Final = 50
_ROUTES: Final = 100
_PARAMETERS: Final = 100
_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,999}")
_ENVIRONMENT: Final = re.compile(r"(DEEPLEARNING|PYTORCH|TENSORFLOW|MXNET)_PY\d{2,3}(_\d{1,4})?")
_REQUIREMENT: Final = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"  # name
    r"\s*(?:\[[A-Za-z0-9._,\s-]*\])?"  # extras
    r"\s*(?:[<>=!~]=?=?\s*[A-Za-z0-9.*+_-]+\s*,?\s*)*"  # versions
    r"(?:;[\x20-\x7e]*)?"  # marker
)


def endpoint(
    body: NewEndpoint, *, known: Collection[str] = GPU_TYPES, has_images: bool = False
) -> Endpoint:
    """The endpoint that `body` describes. Raises Invalid with all that is wrong in it.

    `known` are the GPU types that may be asked for: the format's own and the inventory's.
    `has_images`: its target runs images of their own, in which anything can be installed.
    """
    wrongs = Wrongs()
    if checks.unstorable(body.name):
        wrongs.add("name", "contains a NUL character or a lone surrogate")
    _check_model(body, wrongs)
    if body.data.output_type:
        wrongs.add("data.output_type", NO_OUTPUT)
    entry = _entry(body.endpoint, wrongs)
    made = Endpoint(
        name=body.name,
        format="proximl",
        entry=entry,
        port=PORT,
        readiness=_readiness(entry),
        image=_image(body.environment, wrongs),
        gpus=_gpus(body.resources, known, wrongs),
        disk_gib=body.resources.disk_size,
        environment=checks.environment(
            ((variable.key, variable.value) for variable in body.environment.env),
            "environment.env",
            wrongs,
        ),
        pip_packages=_pip_packages(body.environment, wrongs),
        apt_packages=_system_packages("apt", body.environment, has_images, wrongs),
        conda_packages=_system_packages("conda", body.environment, has_images, wrongs),
        serving=checks.serving_of(body.serving),
        scheduling=_scheduling(body),
        replicas=body.replicas,
        autoscaling=_autoscaling(body, wrongs),
    )
    wrongs.check()
    return made


def _scheduling(body: NewEndpoint) -> Scheduling:
    said = checks.scheduling_of(body.scheduling)
    preemptible = said.preemptible or bool(body.resources.preemptible)
    return msgspec.structs.replace(said, preemptible=preemptible)


def _autoscaling(body: NewEndpoint, wrongs: Wrongs) -> Autoscaling | None:
    options, before = body.autoscaling, len(wrongs)
    if options is None:
        return None
    checks.check_autoscaling(options, "autoscaling", wrongs)
    if body.replicas != 1:
        wrongs.add("replicas", "does not go with autoscaling, which begins with its min")
    return checks.autoscaling_of(options) if len(wrongs) == before else None


def _readiness(entry: Entry) -> Readiness:
    """Routes answer /ping. A start command may never open a port (some watch a folder), so one
    that waits for a port would wait for ever: it is ready as soon as its process runs.
    """
    return "ping" if isinstance(entry, Routes) else "none"


def _check_model(body: NewEndpoint, wrongs: Wrongs) -> None:
    """What a git URL may be is for whoever knows the operator's hosts to say."""
    model = body.model
    if model.source_type not in ("local", "git"):
        wrongs.add(
            "model.source_type", f"{short(model.source_type)} is not known; allowed: local, git"
        )
    elif model.source_type == "local" and not DIGEST.fullmatch(model.source_uri):
        wrongs.add(
            "model.source_uri", "must be the digest of an uploaded tar or tar.gz: sha256:<64 hex>"
        )


def _entry(entry: NewEntry, wrongs: Wrongs) -> Entry:
    command = (entry.start_command or "").strip()
    if command and entry.routes:
        wrongs.add("endpoint", "has routes and start_command; give exactly one of them")
    if command:
        if checks.unstorable(command):
            wrongs.add("endpoint.start_command", "contains a NUL character or a lone surrogate")
        return Command(lines=(command,))
    if not entry.routes:
        wrongs.add("endpoint.routes", NO_ROUTES)
    if len(entry.routes) > _ROUTES:
        wrongs.add("endpoint.routes", f"has more than the {_ROUTES} routes allowed")
    return Routes(routes=_routes(entry.routes[:_ROUTES], wrongs))


def _routes(sent: list[Any], wrongs: Wrongs) -> tuple[Route, ...]:
    routes, taken = [], set()
    for index, document in enumerate(sent):
        at = f"endpoint.routes[{index}]"
        route = _route(document, at, wrongs)
        if route is None:
            continue
        if (route.verb, route.path) in taken:
            wrongs.add(f"{at}.path", f"another route has {route.verb} {short(route.path)} already")
        taken.add((route.verb, route.path))
        routes.append(route)
    return tuple(routes)


class _Parameter(msgspec.Struct, frozen=True):
    name: str
    type: str


class _Route(msgspec.Struct, frozen=True):
    """As the SDK sends it; unknown fields are ignored."""

    path: str
    file: str
    function: str
    verb: str = "POST"
    positional: bool = False
    body: list[Any] = []


def _converted(document: object, kind: type[Any], at: str, wrongs: Wrongs) -> Any:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
            wrongs.add(f"{at}{where.rstrip('`')}.{missing[1]}", "is missing")
        else:
            wrongs.add(at + where.rstrip("`"), f"is of the wrong type: {what.lower()}")
        return None


def _route(document: object, at: str, wrongs: Wrongs) -> Route | None:
    sent: _Route | None = _converted(document, _Route, at, wrongs)
    if sent is None:
        return None
    _check_path(sent.path, f"{at}.path", wrongs)
    verb = sent.verb.upper()
    if verb not in VERBS:
        wrongs.add(f"{at}.verb", f"{short(sent.verb)} is no verb; allowed: {', '.join(VERBS)}")
    if not sent.function.isidentifier():
        wrongs.add(f"{at}.function", f"{short(sent.function)} is not the name of a function")
    return Route(
        verb=verb,
        path=sent.path,
        file=_module(sent.file, f"{at}.file", wrongs),
        function=sent.function,
        positional=sent.positional,
        body=_body(sent.body, f"{at}.body", wrongs),
    )


def _check_path(path: str, field: str, wrongs: Wrongs) -> None:
    if not _PATH.fullmatch(path):
        wrongs.add(
            field, f"{short(path)} must begin with / and hold only characters plain in a URL's path"
        )
    elif "//" in path or any(part in (".", "..") for part in path.split("/")):
        wrongs.add(field, f"{short(path)} has an empty, `.` or `..` segment")
    elif path.rstrip("/").lower() == "/ping":
        wrongs.add(field, "/ping is answered by the platform; choose another path")


def _module(file: str, field: str, wrongs: Wrongs) -> str:
    """`predict.py`, `predict`, `lib/predict.py` and `lib.predict` all name a module."""
    plain = file.removeprefix("./").removesuffix(".py")
    parts = plain.split("/") if "/" in plain else plain.split(".")
    if not all(part.isidentifier() for part in parts):
        wrongs.add(
            field,
            f"{short(file)} is not a Python file in the model's folder; "
            "for example predict.py or lib/predict.py",
        )
    return "/".join(parts)


def _body(sent: list[Any], at: str, wrongs: Wrongs) -> tuple[Parameter, ...]:
    if len(sent) > _PARAMETERS:
        wrongs.add(at, f"has more than the {_PARAMETERS} parameters allowed")
    found: dict[str, Parameter] = {}
    for index, document in enumerate(sent[:_PARAMETERS]):
        where = f"{at}[{index}]"
        parameter: _Parameter | None = _converted(document, _Parameter, where, wrongs)
        if parameter is None:
            continue
        name, kind = parameter.name, TYPES.get(parameter.type)
        if not name.isidentifier():
            wrongs.add(f"{where}.name", f"{short(name)} is not the name of an argument")
        elif name in found:
            wrongs.add(f"{where}.name", f"{short(name)} is there twice")
        if kind is None:
            wrongs.add(
                f"{where}.type",
                f"{short(parameter.type)} is not a type; allowed: {', '.join(TYPES)}",
            )
        found[name] = Parameter(name=name, type=kind or "str")
    return tuple(found.values())


def _gpus(resources: NewResources, known: Collection[str], wrongs: Wrongs) -> Gpus:
    count = resources.gpu_count
    asked, field = resources.gpu_types[:_TYPES], "resources.gpu_types"
    if not asked and resources.gpu_type_id is not None:
        asked, field = [resources.gpu_type_id], "resources.gpu_type_id"
    types = tuple(dict.fromkeys(gpu_type(name) for name in asked))
    allowed = f"allowed: {', '.join((CPU, *sorted(known)))}"
    for name in asked:
        if gpu_type(name) not in (CPU, *known):
            wrongs.add(field, f"{short(name)} is not a known GPU type; {allowed}")
    if not types:
        wrongs.add(field, f"name at least one GPU type, or cpu for none; {allowed}")
    if CPU in types and len(types) > 1:
        wrongs.add(field, "cpu means no GPU, so it can't be combined with another type")
    least = 0 if CPU in types else 1  # clients send their default, 1, with cpu as well
    if not least <= count <= MOST_GPUS:
        wrongs.add("resources.gpu_count", f"{count} is out of range; allowed: 1 to {MOST_GPUS}")
    if CPU in types:
        return Gpus(max_price=resources.max_price)
    return Gpus(types=types, count=count, max_price=resources.max_price)


def _image(environment: NewEnvironment, wrongs: Wrongs) -> str:
    """The custom image, or the environment's name, which the builder knows a base image for."""
    custom = environment.custom_image or ""
    if environment.type == "CUSTOM":
        if not custom:
            wrongs.add("environment.custom_image", "is missing; the type CUSTOM needs an image")
            return ""
        return checks.image(custom, "environment.custom_image", wrongs)
    if custom:
        wrongs.add("environment.custom_image", "goes with the type CUSTOM only")
    if not _ENVIRONMENT.fullmatch(environment.type):
        wrongs.add(
            "environment.type",
            f"{short(environment.type)} is not an environment; "
            "allowed: CUSTOM, or for example DEEPLEARNING_PY313, PYTORCH_PY39_20",
        )
    return environment.type


_SYSTEM: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "apt": (packages.is_apt, "ffmpeg, libgomp1=12.2.0-14"),
    "conda": (packages.is_conda, "cudatoolkit=11.8, conda-forge::ffmpeg"),
}


def _system_packages(
    kind: Literal["apt", "conda"], environment: NewEnvironment, has_images: bool, wrongs: Wrongs
) -> tuple[str, ...]:
    names = tuple(name.strip() for name in getattr(environment.packages, kind))
    field = f"environment.packages.{kind}"
    if names and not has_images:
        wrongs.add(field, f"{kind} packages can't be installed on this target; allowed: pip")
        return ()
    if len(names) > packages.MOST:
        wrongs.add(field, f"has more than the {packages.MOST} packages allowed")
    allowed, example = _SYSTEM[kind]
    for index, name in enumerate(names[: packages.MOST]):
        if not allowed(name):
            wrongs.add(
                f"{field}[{index}]", f"{short(name)} is not a package's name; for example {example}"
            )
    return names


def _pip_packages(environment: NewEnvironment, wrongs: Wrongs) -> tuple[str, ...]:
    if len(environment.packages.pip) > 500:
        wrongs.add("environment.packages.pip", "has more than the 500 packages allowed")
    for index, package in enumerate(environment.packages.pip[:500]):
        # anything else could be an option of the installer or a path on the builder's machine
        if len(package) > 300 or not _REQUIREMENT.fullmatch(package.strip()):
            wrongs.add(
                f"environment.packages.pip[{index}]",
                f"{short(package)} is not a package's name, with versions if you like: numpy>=2,<3",
            )
    return tuple(package.strip() for package in environment.packages.pip)

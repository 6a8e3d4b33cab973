"""`valohai.yaml`: its endpoints, read and checked with the `valohai-yaml` package.

The package only ever sees data that shared.safe_yaml has built. What its schema lets through and
we cannot serve (a fractional port, a file outside the code) is refused here, in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import Any, Final

import msgspec
from valohai_yaml.objs import Config
from valohai_yaml.objs.endpoint import Endpoint as Declared

from services.api.formats import checks, valohai_schema
from services.api.formats.checks import Wrongs, short
from services.api.types import AutoscalingOptions, SchedulingOptions, ServingOptions
from shared import safe_yaml
from shared.endpoint import (
    Command,
    Endpoint,
    Entry,
    File,
    Gpus,
    Range,
    Resources,
    Toleration,
    Volume,
    Workspace,
    Wsgi,
)
from shared.errors import Invalid

FILENAME: Final = "valohai.yaml"
PORT: Final = 8000
NVIDIA: Final = "nvidia.com/gpu"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]+")
_LONGEST: Final = 63  # a label in a cluster and in a host name
_DOTTED: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_WSGI: Final = re.compile(rf"(?P<module>{_DOTTED})(?::(?P<callable>{_DOTTED}(?:\(\))?))?", re.ASCII)
_ENDPOINTS: Final = 100
_FILES: Final = 1_000


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file, before anybody chose from it."""

    endpoints: tuple[Endpoint, ...]
    targets: dict[str, str]  # deployment -> its default target
    warnings: tuple[str, ...]


def read(text: str | bytes, *, field: str = "config") -> Document:
    """All endpoints of a `valohai.yaml`. Raises Invalid with all that is wrong in it.

    Of two endpoints with one name the last wins, with a warning. Items of other kinds are checked
    and otherwise left alone.
    """
    data = safe_yaml.load(text, field)
    valohai_schema.check(data, field)
    assert isinstance(data, list)
    ours = [item for item in data if "endpoint" in item or "deployment" in item]
    config = Config.parse(ours)
    wrongs = Wrongs()
    endpoints = tuple(_endpoint(declared, wrongs) for declared in config.endpoints.values())
    if len(endpoints) > _ENDPOINTS:
        wrongs.add("endpoint", f"a file may declare {_ENDPOINTS} endpoints at most")
    wrongs.check()
    return Document(
        endpoints=endpoints,
        targets={
            name: deployment.defaults["target"]
            for name, deployment in config.deployments.items()
            if deployment.defaults
        },
        warnings=tuple(str(message["message"]) for message in config.lint().warnings),
    )


def endpoints(
    text: str | bytes,
    *,
    only: Sequence[str] | None = None,
    files: Mapping[str, Mapping[str, str]] | None = None,
    environment: Mapping[str, str] | None = None,
    serving: Mapping[str, ServingOptions] | None = None,
    scheduling: Mapping[str, SchedulingOptions] | None = None,
    replicas: Mapping[str, int] | None = None,
    autoscaling: Mapping[str, AutoscalingOptions] | None = None,
    field: str = "config",
) -> tuple[Endpoint, ...]:
    """The endpoints of a version: those of the file, or `only` those named, in the file's order.

    The arguments are NewVersion's. Every file that a chosen endpoint declares must be in `files`,
    and nothing else may be. Raises Invalid with all that is wrong; `field` names the text.
    """
    document = read(text, field=field)
    wrongs = Wrongs()
    chosen = _chosen(document.endpoints, only, field, wrongs)
    known = {endpoint.name for endpoint in chosen}
    _check_files(chosen, files or {}, wrongs)
    _check_known("serving", serving or {}, known | {checks.EVERY}, wrongs)
    _check_known("scheduling", scheduling or {}, known | {checks.EVERY}, wrongs)
    _check_known("replicas", replicas or {}, known | {checks.EVERY}, wrongs)
    _check_autoscaling(autoscaling or {}, replicas or {}, known, wrongs)
    variables = checks.environment((environment or {}).items(), "environment", wrongs)
    wrongs.check()
    return tuple(
        msgspec.structs.replace(
            endpoint,
            environment=variables,
            serving=checks.serving(serving or {}, endpoint.name),
            scheduling=checks.scheduling(scheduling or {}, endpoint.name),
            replicas=checks.replicas(replicas or {}, endpoint.name),
            autoscaling=checks.autoscaling(autoscaling or {}, replicas or {}, endpoint.name),
        )
        for endpoint in chosen
    )


def _chosen(
    found: Sequence[Endpoint], only: Sequence[str] | None, field: str, wrongs: Wrongs
) -> list[Endpoint]:
    names = [endpoint.name for endpoint in found]
    if not found:
        raise Invalid(field, "declares no endpoint; add an item `- endpoint:` with name and image")
    if only is None:
        return list(found)
    if not only:
        raise Invalid("endpoints", f"is empty; leave it out or choose from: {_listed(names)}")
    for index, name in enumerate(only):
        if name not in names:
            wrongs.add(
                f"endpoints[{index}]", f"no endpoint {short(name)}; allowed: {_listed(names)}"
            )
    return [endpoint for endpoint in found if endpoint.name in only]


def _check_files(
    chosen: Sequence[Endpoint], given: Mapping[str, Mapping[str, str]], wrongs: Wrongs
) -> None:
    _check_known("files", given, {endpoint.name for endpoint in chosen}, wrongs)
    for endpoint in chosen:
        declared = [file.name for file in endpoint.files]
        for name in declared:
            if name not in given.get(endpoint.name, {}):
                wrongs.add(
                    f"files.{endpoint.name}.{name}",
                    f"{endpoint.name} declares this file; give an uploaded file for it",
                )
        for name in given.get(endpoint.name, {}):
            if name not in declared:
                allowed = _listed(declared) if declared else "none"
                wrongs.add(
                    f"files.{endpoint.name}.{name[:100]}",
                    f"{endpoint.name} declares no such file; allowed: {allowed}",
                )


def _check_autoscaling(
    given: Mapping[str, AutoscalingOptions],
    replicas: Mapping[str, int],
    known: Collection[str],
    wrongs: Wrongs,
) -> None:
    _check_known("autoscaling", given, {*known, checks.EVERY}, wrongs)
    for name, options in given.items():
        checks.check_autoscaling(options, f"autoscaling.{name[:100]}", wrongs)
        if name in replicas:
            said = f"does not go with autoscaling.{name[:100]}, which begins with its min"
            wrongs.add(f"replicas.{name[:100]}", said)


def _check_known(
    field: str, given: Mapping[str, object], known: Collection[str], wrongs: Wrongs
) -> None:
    for name in given:
        if name not in known:
            wrongs.add(
                f"{field}.{name[:100]}", f"no such endpoint; allowed: {_listed(sorted(known))}"
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


class _Report:
    """Where the wrongs of one endpoint go."""

    def __init__(self, name: str, wrongs: Wrongs) -> None:
        self._name = name
        self.wrongs = wrongs

    def add(self, field: str, message: str) -> None:
        self.wrongs.add(f"endpoint.{field}", f"{self._name}: {message}")


def _endpoint(declared: Declared, wrongs: Wrongs) -> Endpoint:
    report = _Report(checks.title(declared.name), wrongs)
    if not _NAME.fullmatch(declared.name) or len(declared.name) > _LONGEST:
        report.add("name", f"may have {_LONGEST} characters: a-z, then a-z, 0-9 and -")
    own = Wrongs()
    checks.image(declared.image, "image", own)
    for wrong in own:
        report.add(wrong.field, wrong.message)
    return Endpoint(
        name=declared.name,
        format="valohai",
        entry=_entry(declared, report),
        port=_port(declared.port, report),
        readiness="listening",  # a probe must not eat the only request of a one-request server
        image=declared.image,
        description=declared.description or "",
        files=_files(declared, report),
        gpus=_gpus(declared.resources or {}, report),
        resources=_resources(declared.resources or {}, report),
        node_selector=declared.node_selector or "",
        tolerations=tuple(Toleration(**toleration) for toleration in declared.tolerations or ()),
        volumes=_volumes(declared, report),
        workspace=_workspace(declared, report),
    )


def _entry(declared: Declared, report: _Report) -> Entry:
    if declared.wsgi is not None:
        match = _WSGI.fullmatch(declared.wsgi.strip())
        if match is None:
            report.add("wsgi", f"{short(declared.wsgi)} is not `module` or `module:callable`")
            return Wsgi(app="")
        return Wsgi(app=f"{match['module']}:{match['callable'] or 'application'}")
    command: str | list[str] = declared.server_command or ""
    lines = [command] if isinstance(command, str) else command
    if not any(line.strip() for line in lines):
        report.add("server-command", "is empty; give the command that runs the server")
    return Command(lines=tuple(line for line in lines if line.strip()))


def _port(port: Any, report: _Report) -> int:
    if port is None:
        return PORT
    if not isfinite(port) or port != int(port):
        report.add("port", f"{short(port)} is not a whole number; allowed: 1025 to 65535")
        return PORT
    return int(port)


def _files(declared: Declared, report: _Report) -> tuple[File, ...]:
    found: dict[str, File] = {}
    paths: set[str] = set()
    for index, file in enumerate(declared.files[:_FILES]):
        path = checks.inside(file.path)
        if path is None:
            report.add(
                f"files[{index}].path",
                f"{short(file.path)} is not a file inside the code folder; give a relative path",
            )
        elif _overlaps(path, paths):
            report.add(f"files[{index}].path", f"{short(path)} is in the way of another file")
        if not file.name.strip() or len(file.name) > 100 or "\n" in file.name:
            report.add(f"files[{index}].name", "may have 1 to 100 characters on one line")
        elif file.name in found:
            report.add(f"files[{index}].name", f"{short(file.name)} is declared twice")
        paths.add(path or "")
        found[file.name] = File(name=file.name, path=path or "", description=file.description or "")
    if len(declared.files) > _FILES:
        report.add("files", f"has more than the {_FILES} files allowed")
    return tuple(found.values())


def _overlaps(path: str, others: Collection[str]) -> bool:
    return any(
        path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
        for other in others
        if other
    )


def _gpus(resources: Mapping[str, Any], report: _Report) -> Gpus:
    devices = resources.get("devices", {})
    count = devices.get(NVIDIA, 0)
    for name in devices:
        if name != NVIDIA:
            report.add("resources.devices", f"no device {short(name)}; allowed: {NVIDIA}")
    if not isfinite(count) or count != int(count) or not 0 <= count <= 64:
        report.add(f"resources.devices.{NVIDIA}", f"{short(count)} is not a whole number to 64")
        return Gpus()
    return Gpus(count=int(count))


def _resources(resources: Mapping[str, Any], report: _Report) -> Resources:
    return Resources(
        cpu=_range("cpu", resources.get("cpu", {}), report),
        memory=_range("memory", resources.get("memory", {}), report),
        disk=_range("ephemeral-storage", resources.get("ephemeral-storage", {}), report),
    )


def _range(what: str, limits: Mapping[str, Any], report: _Report) -> Range:
    for bound, value in limits.items():
        if not isfinite(value) or not 0 <= value <= 1e9:
            report.add(f"resources.{what}.{bound}", f"{short(value)} is not from 0 to 1e9")
            return Range()
    least, most = limits.get("min"), limits.get("max")
    if least is not None and most is not None and least > most:
        report.add(f"resources.{what}", f"min {short(least)} is more than max {short(most)}")
    return Range(min=least, max=most)


def _volumes(declared: Declared, report: _Report) -> tuple[Volume, ...]:
    mounted: set[str] = set()
    volumes = []
    for index, volume in enumerate(declared.shared_volumes or ()):
        at, path, sub = f"shared-volumes[{index}]", volume["mount-path"], volume.get("sub-path", "")
        _check_mount(f"{at}.mount-path", path, mounted, report)
        if sub and checks.inside(sub) is None:
            report.add(f"{at}.sub-path", f"{short(sub)} is not a relative path in the volume")
        read_only = volume.get("read-only", False)
        volumes.append(
            Volume(claim=volume["pvc-name"], mount_path=path, sub_path=sub, read_only=read_only)
        )
    if declared.workspace_volume:
        path = declared.workspace_volume["mount-path"]
        _check_mount("workspace-volume.mount-path", path, mounted, report)
    return tuple(volumes)


def _check_mount(field: str, path: str, mounted: set[str], report: _Report) -> None:
    plain = checks.inside(path.removeprefix("/").rstrip("/"))
    if not path.startswith("/") or plain is None:
        report.add(field, f"{short(path)} is not an absolute path; begin it with /")
    elif plain in mounted:
        report.add(field, f"another volume is mounted at {short(path)} already")
    mounted.add(plain or "")


def _workspace(declared: Declared, report: _Report) -> Workspace | None:
    volume = declared.workspace_volume
    if not volume:
        return None
    size = volume["size"]
    if not 1 <= size <= 1_000_000:
        report.add("workspace-volume.size", f"{short(size)} is not from 1 to 1000000 (GiB)")
        return None
    return Workspace(
        mount_path=volume["mount-path"],
        size_gib=int(size),
        storage_class=volume.get("storage-class-name", ""),
    )

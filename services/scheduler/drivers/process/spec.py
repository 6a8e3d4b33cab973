"""From an image and a workload to what the supervisor is told: decisions without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.scheduler.driver import Workload
from services.scheduler.drivers.command import command, readiness
from services.scheduler.drivers.limits import Limits
from shared.image import CODE, ENDPOINT, HOME, MODEL, PYTHON, ContainerConfig

LINKS: Final = "/slipway/bin"
SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MARK: Final = "SLIPWAY_REPLICA"  # by it strays are found where no PID namespace holds them
BASICS: Final = ("LANG", "LC_ALL", "TZ")


def places(*folders: str) -> re.Pattern[str]:
    """Where a text names a path into one of the folders."""
    names = "|".join(map(re.escape, folders))
    return re.compile(rf"(?<![\w./~-])(?=(?:{names})(?![\w.-]))")


PLACES: Final = places("/slipway", "/valohai", CODE["proximl"])
OF_MODELS: Final = places("/slipway", MODEL)  # a name that others use for things of their own


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """As supervisor/spec.py reads it."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    port: int
    readiness: str
    isolated: bool
    socket: str
    trees: Sequence[tuple[str, bool]] = ()
    hidden: Sequence[str] = ()
    links: Mapping[str, str] = {}
    once: bool = False
    limits: Limits


def environment(
    config: ContainerConfig, workload: Workload, platform: Mapping[str, str]
) -> dict[str, str]:
    """The image's, the workload's on top, and what the target promises. Nothing else is passed."""
    image = dict(entry.partition("=")[::2] for entry in config.env)
    devices = ",".join(workload.devices)
    given = image | workload.environment
    path = given.get("PATH") or f"{PYTHON}/bin:{HOME}/.local/bin:{SYSTEM}"
    return {
        "LANG": "C.UTF-8",
        **{name: platform[name] for name in BASICS if name in platform},
        "HOME": HOME,
        "PORT": str(workload.endpoint.port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUSERBASE": PYTHON,
        **given,
        "PATH": f"{LINKS}:{path}",
        "CUDA_VISIBLE_DEVICES": devices,
        "NVIDIA_VISIBLE_DEVICES": devices or "void",
    }


def isolated(
    config: ContainerConfig,
    workload: Workload,
    *,
    platform: Mapping[str, str],
    python: str,
    trees: Sequence[Path],
    fresh: Path,
    hidden: Sequence[Path],
    socket: str,
    limits: Limits,
) -> Spec:
    """For namespaces: the image's folders are at their own places."""
    return Spec(
        argv=command(config, workload),
        env=environment(config, workload, platform),
        cwd=config.working_dir,
        port=workload.endpoint.port,
        readiness=readiness(workload),
        once=workload.run is not None,
        isolated=True,
        limits=limits,
        socket=socket,
        trees=[*((str(tree), False) for tree in trees), (str(fresh), True)],
        hidden=[str(path) for path in hidden],
        links={f"{LINKS}/{name}": python for name in ("python", "python3")},
    )


def plain(
    config: ContainerConfig,
    workload: Workload,
    *,
    platform: Mapping[str, str],
    root: Path,
    socket: str,
    limits: Limits,
) -> Spec:
    """Without namespaces: the image is in the folder `root`, and paths into it are rewritten."""

    known = OF_MODELS if workload.endpoint.format == "hydrosphere" else PLACES

    def moved(text: str) -> str:
        return known.sub(lambda _: str(root), text)

    env = {name: moved(value) for name, value in environment(config, workload, platform).items()}
    return Spec(
        argv=[moved(argument) for argument in command(config, workload)],
        env={"SLIPWAY_ENDPOINT": f"{root}{ENDPOINT}", **env, MARK: str(root.parent)},
        cwd=moved(config.working_dir),
        port=workload.endpoint.port,
        readiness=readiness(workload),
        once=workload.run is not None,
        isolated=False,
        limits=limits,
        socket=socket,
    )

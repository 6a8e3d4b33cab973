"""What a server finds in its environment beside what its image sets.

An image's own variables stay in the image, so this says only what is new, what has to be emptied,
and what the server alone may see.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Final

import msgspec

from services.scheduler.driver import Workload
from services.scheduler.drivers.container.spec import PATH
from services.scheduler.drivers.kubernetes.manifests import init, resources
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared import doorman
from shared.image import HOME, PYTHON, ContainerConfig

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
NVIDIA: Final = "NVIDIA_VISIBLE_DEVICES"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    given: dict[str, str]  # kept as a secret
    fixed: dict[str, str]  # what anybody may see
    hidden: tuple[str, ...]  # of `given`, there under names that only the server knows
    unset: tuple[str, ...]


def environment(image: ContainerConfig, workload: Workload) -> Environment:
    """The platform's word is last, then the owner's at the start, then the image's."""
    own = dict(entry.partition("=")[::2] for entry in image.env)
    own = {key: value for key, value in own.items() if NAME.fullmatch(key)}
    usual = {
        "LANG": "C.UTF-8",
        "HOME": HOME,
        "PATH": PATH,
        "PORT": str(workload.endpoint.port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUSERBASE": PYTHON,
    }
    told = {key: value for key, value in usual.items() if key not in own}
    told |= workload.endpoint.variables | workload.environment
    loader = {k: v for k, v in (own | told).items() if k.startswith("LD_")}
    told = {k: v for k, v in told.items() if not k.startswith(("LD_", "NVIDIA_")) and k != VISIBLE}
    emptied = {k: "" for k in own if k.startswith(("LD_", "NVIDIA_")) and k != NVIDIA}
    has_gpus = resources.gpus(workload) > 0
    return Environment(
        given=told | {init.HIDDEN + key: value for key, value in loader.items()},
        fixed=emptied if has_gpus else emptied | {VISIBLE: "", NVIDIA: "void"},
        hidden=tuple(sorted(loader)),
        # where it has GPUs, those that count them out say how they are called
        unset=(VISIBLE,) if has_gpus and VISIBLE in own else (),
    )


def entries(found: Environment, secret: str) -> list[dict[str, Any]]:
    """Of the container. Values come from the secret, where nothing in them is taken for a name of
    another variable."""
    told: dict[str, dict[str, Any]] = {
        name: {"valueFrom": {"secretKeyRef": {"name": secret, "key": name}}} for name in found.given
    }
    # Kubernetes keeps no empty values
    told |= {name: {"value": value} if value else {} for name, value in found.fixed.items()}
    return [{"name": name, **told[name]} for name in sorted(told)]


def doorman_secret(workload: Workload, settings: Settings) -> str:
    """By which the router knows that it reached this replica and no other."""
    return doorman.secret(settings.doorman_key, workload.replica.job, workload.replica.attempt)


def mark(found: Environment, workload: Workload, settings: Settings) -> str:
    """Changes with anything that is kept as a secret, and tells nothing of it: pods are replaced
    when their template changes, but not when a secret does."""
    told = msgspec.json.encode([found.given, doorman_secret(workload, settings)], order="sorted")
    return hmac.new(settings.doorman_key.encode(), told, hashlib.sha256).hexdigest()[:32]

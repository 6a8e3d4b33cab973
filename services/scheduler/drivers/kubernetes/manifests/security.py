"""Who a replica's processes are, and that they can become nobody else: the restricted profile of
the Pod Security Standards, but for images that need root where the operator allows that."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from services.scheduler.driver import Refused
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.image import ContainerConfig

DOORMAN: Final = 65532  # any number that no server has
LOW: Final = 1024
SYSCTL: Final = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}

_USER: Final = re.compile(r"([0-9]{1,9})(?::([0-9]{1,9}))?")


class User(NamedTuple):
    uid: int
    gid: int | None  # None: the image's own


def user(image: ContainerConfig, settings: Settings) -> User | Refused:
    """Who the image wants its server to be."""
    wanted = image.user or "0"
    wanted = re.sub(r"^root(?=:|\Z)", "0", wanted)
    wanted = re.sub(r":root\Z", ":0", wanted)
    found = _USER.fullmatch(wanted)
    if found is None:
        return Refused(
            f"the image's user is {image.user[:100]!r}: "
            "a cluster wants a number, which it can see not to be root"
        )
    who = User(int(found[1]), int(found[2]) if found[2] else None)
    if who.uid == 0 and not settings.allow_root:
        return Refused("the image wants to run as root, which the operator does not allow here")
    return who


def server(who: User) -> dict[str, Any]:
    """Of the container of a server."""
    group = {} if who.gid is None else {"runAsGroup": who.gid}
    return {"runAsNonRoot": who.uid != 0, "runAsUser": who.uid, **group, **_NOTHING_MORE}


def doorman() -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": DOORMAN,
        "runAsGroup": DOORMAN,
        "readOnlyRootFilesystem": True,
        **_NOTHING_MORE,
    }


def pod(who: User, port: int, writes_volumes: bool, settings: Settings) -> dict[str, Any]:
    """Of the pod as a whole."""
    found: dict[str, Any] = {
        "runAsNonRoot": who.uid != 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if port < LOW and who.uid != 0 and settings.low_ports:
        found["sysctls"] = [SYSCTL]
    if writes_volumes and who.uid != 0:
        found["fsGroup"] = who.uid
        found["fsGroupChangePolicy"] = "OnRootMismatch"
    return found


_NOTHING_MORE: Final[dict[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

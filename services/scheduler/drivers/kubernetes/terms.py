"""On which terms a cluster runs a workload: the operator's settings, what the cluster is able to,
and the logins by which its nodes pull images."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Final

import msgspec

from services.scheduler.drivers.kubernetes.answers import Version
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.manifests import Manifest, names
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.registry.credentials import Credentials, Login

AUTOSCALING: Final = "autoscaling/v2"


class Terms:
    def __init__(self, cluster: Cluster, settings: Settings, credentials: Credentials) -> None:
        self._cluster = cluster
        self._settings = settings
        self._credentials = credentials
        self._known: Settings | None = None
        self._asking = asyncio.Lock()

    async def of(self, *repositories: str) -> tuple[Settings, tuple[Manifest, ...]]:
        """For what is pulled from there, and the doorman: the settings, and what has to be there
        before. Raises Transient."""
        settings = await self._able()
        registries = {_registry(name) for name in (*repositories, settings.doorman_image)}
        logins = {
            registry: login
            for registry in sorted(registries)
            if (login := self._credentials.login(registry)) is not None
        }
        if not logins:
            return settings, ()
        secret = pull_secret(settings, logins)
        name = secret["metadata"]["name"]
        return msgspec.structs.replace(settings, pull_secret=name), (secret,)

    async def _able(self) -> Settings:
        async with self._asking:
            if self._known is None:
                minor = minor_of(await self._cluster.version())
                offered = await self._cluster.offers(AUTOSCALING)
                self._known = msgspec.structs.replace(
                    self._settings,
                    autoscaling="v2" if offered else "v1",
                    ephemeral_volumes=minor >= 23,
                    low_ports=minor >= 22,
                )
            return self._known


def minor_of(version: Version) -> int:
    """
    >>> minor_of(Version(major="1", minor="20+"))
    20
    """
    found = re.match(r"\d{1,4}", version.minor)
    return int(found[0]) if found else 0


def pull_secret(settings: Settings, logins: dict[str, Login]) -> Manifest:
    """With no other logins than these, since it lies where replicas are."""
    told = msgspec.json.encode({"auths": {one: _entry(login) for one, login in logins.items()}})
    which = f"{settings.platform}/{','.join(logins)}"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"pull-{hashlib.sha256(which.encode()).hexdigest()[:16]}",
            "namespace": settings.namespace,
            "labels": names.ours(settings.platform),
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(told).decode()},
    }


def _entry(login: Login) -> dict[str, str]:
    if login.registry_token:
        return {"registrytoken": login.registry_token}
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    coded = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    return {"auth": coded}


def _registry(reference: str) -> str:
    return reference.partition("/")[0]

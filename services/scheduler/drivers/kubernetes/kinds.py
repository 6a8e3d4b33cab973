"""The kinds of objects that we speak of to a cluster, and where its API keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from shared.errors import Permanent


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests have it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version


def _core(plural: str, name: str, *, namespaced: bool = True) -> Kind:
    return Kind(group="", version="v1", plural=plural, name=name, namespaced=namespaced)


PODS: Final = _core("pods", "Pod")
CONFIGMAPS: Final = _core("configmaps", "ConfigMap")
SECRETS: Final = _core("secrets", "Secret")
SERVICES: Final = _core("services", "Service")
EVENTS: Final = _core("events", "Event")
SERVICEACCOUNTS: Final = _core("serviceaccounts", "ServiceAccount")
VOLUMECLAIMS: Final = _core("persistentvolumeclaims", "PersistentVolumeClaim")
NODES: Final = _core("nodes", "Node", namespaced=False)
NAMESPACES: Final = _core("namespaces", "Namespace", namespaced=False)
DEPLOYMENTS: Final = Kind(group="apps", version="v1", plural="deployments", name="Deployment")
REPLICASETS: Final = Kind(group="apps", version="v1", plural="replicasets", name="ReplicaSet")
JOBS: Final = Kind(group="batch", version="v1", plural="jobs", name="Job")
AUTOSCALERS_V1: Final = Kind(
    group="autoscaling",
    version="v1",
    plural="horizontalpodautoscalers",
    name="HorizontalPodAutoscaler",
)
AUTOSCALERS: Final = msgspec.structs.replace(AUTOSCALERS_V1, version="v2")
NETWORKPOLICIES: Final = Kind(
    group="networking.k8s.io", version="v1", plural="networkpolicies", name="NetworkPolicy"
)

ALL: Final = (
    *(PODS, CONFIGMAPS, SECRETS, SERVICES, EVENTS, SERVICEACCOUNTS, VOLUMECLAIMS),
    *(NODES, NAMESPACES, DEPLOYMENTS, REPLICASETS, JOBS),
    *(AUTOSCALERS, AUTOSCALERS_V1, NETWORKPOLICIES),
)
_BY_NAME: Final = {(kind.api_version, kind.name): kind for kind in ALL}


def root(api_version: str) -> str:
    """Where a group and version begins.

    >>> root("v1"), root("apps/v1")
    ('/api/v1', '/apis/apps/v1')
    """
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def path(kind: Kind, namespace: str, name: str = "") -> str:
    """Where an object is, or all of its kind when `name` is ""; `namespace` is "" for all of them.

    >>> path(DEPLOYMENTS, "a", "b")
    '/apis/apps/v1/namespaces/a/deployments/b'
    >>> path(PODS, ""), path(NODES, "a", "b")
    ('/api/v1/pods', '/api/v1/nodes/b')
    """
    inside = f"/namespaces/{quote(namespace, safe='')}" if kind.namespaced and namespace else ""
    last = f"/{quote(name, safe='')}" if name else ""
    return f"{root(kind.api_version)}{inside}/{kind.plural}{last}"


def of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a manifest; one that we do not know is a mistake of ours."""
    named = (manifest.get("apiVersion", ""), manifest.get("kind", ""))
    try:
        return _BY_NAME[named]
    except KeyError:
        raise Permanent(f"{named[0]} {named[1]} is no kind that we make") from None

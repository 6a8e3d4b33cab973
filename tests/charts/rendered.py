"""The chart as Helm renders it, and the value sets that it is rendered with."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml
from helm_python import _native

from charts.images.recipe import ROOT

CHART: Final = ROOT / "charts" / "slipway"
NAMESPACE: Final = "platform"
RELEASE: Final = "slipway"
DIGEST: Final = "sha256:" + "ab" * 32
KUBERNETES: Final = ("v1.20.2", "v1.33.0")

Object = dict[str, Any]

LEAST: Final[Object] = {"images": {"registry": "registry.example/slipway"}}

DIGESTS: Final[Object] = {
    "images": {
        "registry": "registry.example/slipway",
        **{
            name: {"digest": DIGEST}
            for name in ("api", "builder", "scheduler", "router", "doorman")
        },
    },
    "database": {"bundled": {"image": f"registry.example/postgres@{DIGEST}"}},
    "broker": {"bundled": {"image": f"registry.example/rabbitmq@{DIGEST}"}},
}

EXTERNAL: Final[Object] = {
    **LEAST,
    "database": {"existingSecret": "database"},
    "broker": {"url": "amqps://slipway:secret@broker.example/"},
    "blobs": {"url": "s3://bucket/slipway", "existingSecret": "store"},
    "doorman": {"key": "n" * 32 + "," + "o" * 32},
    "registry": {
        "url": "registry.example/built",
        "baseRegistry": "registry.example",
        "baseImages": {"DEEPLEARNING_PY310": "python:3.10"},
        "authSecret": "logins",
        "signingSecret": "signing",
        "trustedSecret": "trusted",
    },
}

EVERYTHING: Final[Object] = {
    **EXTERNAL,
    "targets": [
        {"name": "here", "namespace": "workloads"},
        {"name": "there", "namespace": "workloads", "kubeconfigSecret": "there", "context": "east"},
    ],
    "certificates": {"configMap": "authorities"},
    "settings": {"LOG_LEVEL": "DEBUG"},
    "api": {
        "autoscaling": {"enabled": True},
        "url": "https://api.example",
        "settings": {"STREAMS": 500},
    },
    "router": {
        "autoscaling": {"enabled": True},
        "url": "https://run.example",
        "domain": "run.example",
    },
    "nodeSelector": {"pool": "platform"},
    "tolerations": [{"key": "platform", "operator": "Exists"}],
    "priorityClassName": "platform",
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "api": {"host": "api.example"},
        "router": {"host": "run.example", "wildcard": "*.run.example"},
        "tls": [{"hosts": ["api.example"], "secretName": "tls"}],
    },
    "gateway": {
        "enabled": True,
        "parentRefs": [{"name": "gateway"}],
        "api": {"hostnames": ["api.example"]},
        "grpc": {"hostnames": ["grpc.example"]},
    },
    "monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
    "networkPolicies": {
        "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    },
}

TARGET: Final[Object] = {
    **LEAST,
    "platform": {"enabled": False},
}

SETS: Final[Mapping[str, Object]] = {
    "least": LEAST,
    "digests": DIGESTS,
    "external": EXTERNAL,
    "everything": EVERYTHING,
    "target": TARGET,
}


def render(
    values: Object, version: str = "v1.33.0", chart: Path = CHART, **options: Any
) -> list[Object]:
    """All objects of the chart, as for a cluster of that version."""
    given = {"name": RELEASE, "namespace": NAMESPACE, "kube_version": version, **options}
    # Python's own `render` has no way to say the version of the cluster
    with helm_python.Chart.load(chart) as loaded:
        text = _native.call_string(
            "helm_render", loaded._raw(), json.dumps(values), json.dumps(given)
        )
    files = {name: body for name, body in json.loads(text).items() if name.endswith(".yaml")}
    return [one for body in files.values() for one in yaml.safe_load_all(body) if one]


def of(objects: list[Object], kind: str, name: str = "") -> list[Object]:
    return [
        one
        for one in objects
        if one["kind"] == kind and (not name or one["metadata"]["name"] == name)
    ]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """What makes pods: its name and the pod's spec."""
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Object) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def changed(values: Object, path: str, to: Any) -> Object:
    """The values with another one at `a.b.c`."""
    found = copy.deepcopy(values)
    at = found
    *folders, last = path.split(".")
    for name in folders:
        at = at.setdefault(name, {})
    at[last] = to
    return found

from __future__ import annotations

from typing import Any

import pytest

from services.scheduler.drivers.kubernetes.drift import drift

APPLIED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "labels": {"x": "1"}, "ownerReferences": [{"uid": "u", "name": "a"}]},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "automountServiceAccountToken": False,
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "containers": [
                    {
                        "name": "server",
                        "image": "a@sha256:1",
                        "args": ["one", "two"],
                        "env": [{"name": "A", "value": "1000m"}, {"name": "B"}],
                        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                    }
                ],
            }
        },
    },
}


def live(**changes: Any) -> dict[str, Any]:
    """As a cluster gives it back, with what it and others add."""
    server = {
        "name": "server",
        "image": "a@sha256:1",
        "args": ["one", "two"],
        "env": [{"name": "Z", "value": "theirs"}, {"name": "B"}, {"name": "A", "value": "1000m"}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": "1"}},
        "terminationMessagePath": "/dev/termination-log",
        **changes.pop("server", {}),
    }
    return {
        "metadata": {
            "name": "a",
            "labels": {"x": "1", "y": "theirs", **changes.pop("labels", {})},
            "annotations": {"slipway.dev/applied": "{}"},
            "ownerReferences": [{"uid": "u", "name": "a", "kind": "ConfigMap"}],
        },
        "spec": {
            "replicas": 7,
            "template": {
                "spec": {
                    "restartPolicy": "Always",
                    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                    "containers": [{"name": "sidecar"}, server],
                    **changes,
                }
            },
        },
    }


def test_what_a_cluster_adds_and_spells_in_its_way_is_no_drift() -> None:
    assert drift(APPLIED, live()) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": {"x": "2"}}, "metadata.labels.x was changed"),
        ({"server": {"image": "b"}}, "spec.template.spec.containers.server.image was changed"),
        ({"server": {"args": ["one"]}}, "spec.template.spec.containers.server.args was changed"),
        (
            {"server": {"env": [{"name": "A", "value": "1"}]}},
            "spec.template.spec.containers.server.env.A.value was changed; "
            "spec.template.spec.containers.server.env.B was removed",
        ),
        (
            {"server": {"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}},
            "spec.template.spec.containers.server.resources.limits.cpu was changed",
        ),
        (
            {"automountServiceAccountToken": True},
            "spec.template.spec.automountServiceAccountToken was changed",
        ),
        ({"containers": []}, "spec.template.spec.containers.server was removed"),
        ({"tolerations": None}, "spec.template.spec.tolerations was removed"),
    ],
)
def test_what_differs_from_what_was_applied_is_told(changes: dict[str, Any], told: str) -> None:
    assert drift(APPLIED, live(**changes)) == told


def test_a_secrets_text_is_compared_as_its_bytes() -> None:
    applied = {"kind": "Secret", "stringData": {"a": "b"}}
    assert drift(applied, {"data": {"a": "Yg=="}}) == ""
    assert drift(applied, {"data": {"a": "Yw=="}}) == "data.a was changed"


def test_many_differences_are_told_shortly() -> None:
    applied = {"data": {str(number): "x" for number in range(9)}}
    told = drift(applied, {"data": {"other": "y"}})
    assert told == "data.0 was removed; data.1 was removed; data.2 was removed and 6 more"

"""What a deployment configuration may say."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.formats.hydrosphere.quantity import quantity
from shared.application import Configuration, Quantities
from shared.endpoint import Autoscaling, Toleration
from tests.api.formats.hydrosphere.documents import configuration, fields, notes, read

WHOLE: dict[str, Any] = {
    "hpa": {"minReplicas": 2, "maxReplicas": 10, "cpuUtilization": 80},
    "deployment": {"replicaCount": 4},
    "container": {
        "resources": {
            "limits": {"cpu": "2", "memory": "4Gi"},
            "requests": {"cpu": "500m", "memory": "512Mi"},
        },
        "env": {"FOO": "bar"},
    },
    "pod": {
        "nodeSelector": {"disk": "ssd", "foo": "bar"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "exp1", "operator": "Exists"}]}
                    ]
                }
            }
        },
        "tolerations": [
            {"effect": "NoSchedule", "key": "equalToleration", "operator": "Equal", "value": "one"},
            {"effect": "NoExecute", "key": "kk", "operator": "Exists", "tolerationSeconds": 30},
        ],
    },
}


def made(**more: Any) -> Configuration:
    found, wrong = read(configuration(**more))
    assert wrong == []
    return found.configurations[0].value.settings


def test_a_whole_configuration_is_taken() -> None:
    settings = made(**WHOLE)
    assert settings.autoscaling == Autoscaling(min=2, max=10, cpu_percent=80)
    assert settings.replicas == 4
    assert settings.requests == Quantities(cpu=0.5, memory=512.0)
    assert settings.limits == Quantities(cpu=2.0, memory=4096.0)
    assert settings.variables == {"FOO": "bar"}
    assert settings.node_labels == {"disk": "ssd", "foo": "bar"}
    assert settings.affinity is not None
    assert settings.tolerations == (
        Toleration(key="equalToleration", value="one", effect="NoSchedule"),
        Toleration(key="kk", operator="Exists", effect="NoExecute", seconds=30),
    )


def test_gigabytes_may_be_written_as_docker_writes_them() -> None:
    written = {"container": {"resources": {"limits": {"memory": "2g"}}}}
    assert (
        made(**written).limits == made(container={"resources": {"limits": {"memory": "2G"}}}).limits
    )
    assert notes(configuration(**written)) == (
        "container.resources.limits.memory: '2g' is taken as '2G'",
    )


def test_seconds_of_a_toleration_that_has_no_use_for_them_are_ignored() -> None:
    toleration = {"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 3}
    written = {"pod": {"tolerations": [toleration]}}
    assert made(**written).tolerations[0].seconds is None
    assert "tolerationSeconds: is ignored" in notes(configuration(**written))[0]


def test_what_is_not_said_is_usual() -> None:
    assert made() == Configuration()
    assert made(hpa=None, pod=None, container={}, deployment={}) == Configuration()
    assert made(hpa={"maxReplicas": 3}).autoscaling == Autoscaling(max=3)
    assert made(deployment={"replicaCount": 0}).replicas == 0


def test_gpus_are_held_whole() -> None:
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    assert made(container={"resources": limits}).limits.gpus == 1
    both = limits | {"requests": {"nvidia.com/gpu": 1}}
    assert made(container={"resources": both}).requests.gpus == 1


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("500m", 0.5),
        ("1.5", 1.5),
        (2, 2.0),
        (0.25, 0.25),
        ("1Ki", 1024.0),
        ("1k", 1000.0),
        ("1e3", 1000.0),
        ("1E", 1e18),
        (".5", 0.5),
        ("+1", 1.0),
        ("-1", None),
        ("1 Gi", None),
        ("1GB", None),
        ("", None),
        ("\u0661", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ("9" * 100, None),
        ("1e999", None),
    ],
)
def test_quantities_are_those_of_kubernetes(written: object, number: float | None) -> None:
    assert quantity(written) == number


def test_what_says_nothing_is_noted() -> None:
    assert "is not kept" in notes(of_limits({"ephemeral-storage": "1Gi"}))[0]
    assert "the platform's to set" in notes(configuration(container={"env": {"APP_PORT": "1"}}))[0]
    assert "says nothing beside hpa" in notes(configuration(**WHOLE | {"pod": {}}))[0]
    assert notes(configuration(spec={}, version=2))[0].startswith("spec: is not known")


def of_limits(limits: Any) -> dict[str, Any]:
    return configuration(container={"resources": {"limits": limits}})


def of_toleration(**more: Any) -> dict[str, Any]:
    return {"pod": {"tolerations": [more]}}


LIMITS = "container.resources.limits"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": None}, "name"),
        ({"hpa": []}, "hpa"),
        ({"hpa": {}}, "hpa.maxReplicas"),
        ({"hpa": {"maxReplicas": 0}}, "hpa.maxReplicas"),
        ({"hpa": {"maxReplicas": 101}}, "hpa.maxReplicas"),
        ({"hpa": {"minReplicas": 3, "maxReplicas": 2}}, "hpa.maxReplicas"),
        ({"hpa": {"minReplicas": 0, "maxReplicas": 2}}, "hpa.minReplicas"),
        ({"hpa": {"maxReplicas": 2, "cpuUtilization": 0}}, "hpa.cpuUtilization"),
        ({"hpa": {"maxReplicas": 2, "cpuUtilization": "80%"}}, "hpa.cpuUtilization"),
        ({"deployment": {"replicaCount": -1}}, "deployment.replicaCount"),
        ({"deployment": {"replicaCount": "2"}}, "deployment.replicaCount"),
        ({"deployment": 2}, "deployment"),
        ({"container": {"env": {"A": 1}}}, "container.env"),
        ({"container": {"env": {"1A": "x"}}}, "container.env"),
        ({"container": {"env": {"A": "x" * 40_000}}}, "container.env.A"),
        ({"container": {"env": ["A=x"]}}, "container.env"),
        ({"container": {"resources": {"limits": {"cpu": "many"}}}}, f"{LIMITS}.cpu"),
        ({"container": {"resources": {"limits": {"cpu": 0}}}}, f"{LIMITS}.cpu"),
        ({"container": {"resources": {"limits": {"memory": 128}}}}, f"{LIMITS}.memory"),
        ({"container": {"resources": {"limits": {"tpu": 1}}}}, f"{LIMITS}.tpu"),
        (
            {"container": {"resources": {"limits": {"nvidia.com/gpu": "500m"}}}},
            f"{LIMITS}.nvidia.com/gpu",
        ),
        (
            {"container": {"resources": {"requests": {"nvidia.com/gpu": 1}}}},
            "container.resources.requests.nvidia.com/gpu",
        ),
        (
            {"container": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": 1}}}},
            "container.resources.requests.cpu",
        ),
        ({"pod": {"nodeSelector": {"a b": "c"}}}, "pod.nodeSelector.a b"),
        ({"pod": {"nodeSelector": {"a": True}}}, "pod.nodeSelector.a"),
        ({"pod": {"nodeSelector": {str(n): "a" for n in range(17)}}}, "pod.nodeSelector"),
        ({"pod": {"affinity": {"nodeAffinity": {"x": 1}}}}, "pod.affinity.nodeAffinity.x"),
        ({"pod": {"affinity": "near"}}, "pod.affinity"),
        ({"pod": {"tolerations": {}}}, "pod.tolerations"),
        ({"pod": {"tolerations": [{"operator": "Exists"}] * 33}}, "pod.tolerations"),
        (of_toleration(operator="Equal"), "pod.tolerations[0].key"),
        (of_toleration(key="a", operator="Like"), "pod.tolerations[0].operator"),
        (of_toleration(key="a", operator="Exists", value="b"), "pod.tolerations[0].value"),
        (of_toleration(key="a", effect="Never"), "pod.tolerations[0].effect"),
        (of_toleration(key="a", value="b c"), "pod.tolerations[0].value"),
        (
            of_toleration(key="a", effect="NoExecute", tolerationSeconds="3"),
            "pod.tolerations[0].tolerationSeconds",
        ),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    assert fields(configuration(**more)) == [f"documents[0].{field}"]

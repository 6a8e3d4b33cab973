"""What the tests believe of the restricted profile: it takes what is right and no more."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.scheduler.kubernetes.manifests import restricted, schemas
from tests.scheduler.kubernetes.manifests.test_manifests import made

RIGHT: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "a",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
    ],
    "volumes": [{"name": "x", "emptyDir": {}}],
}


def test_what_is_right_passes() -> None:
    assert restricted.violations(RIGHT) == []


@pytest.mark.parametrize(
    ("row", "of_pod", "of_container"),
    [
        ("host_namespaces", {"hostNetwork": True}, {}),
        ("host_namespaces", {"hostPID": True}, {}),
        ("host_namespaces", {"hostIPC": True}, {}),
        ("privileged", {}, {"securityContext": {"privileged": True}}),
        ("host_ports", {}, {"ports": [{"containerPort": 1, "hostPort": 1}]}),
        ("volumes", {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, {}),
        ("volumes", {"volumes": [{"name": "x", "nfs": {}}]}, {}),
        ("escalation", {}, {"securityContext": {}}),
        ("capabilities", {}, {"securityContext": {"allowPrivilegeEscalation": False}}),
        (
            "capabilities",
            {},
            {"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}},
        ),
        ("non_root", {"securityContext": {}}, {}),
        ("non_root", {}, {"securityContext": {"runAsNonRoot": False}}),
        ("user", {}, {"securityContext": {"runAsUser": 0}}),
        ("seccomp", {"securityContext": {"runAsNonRoot": True}}, {}),
        ("seccomp", {}, {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        ("sysctls", {"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, {}),
        ("proc_mount", {}, {"securityContext": {"procMount": "Unmasked"}}),
        ("selinux", {"securityContext": {"seLinuxOptions": {"user": "x"}}}, {}),
        ("apparmor", {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, {}),
        ("probes", {}, {"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 1}}}),
    ],
)
def test_what_is_wrong_is_named(
    row: str, of_pod: dict[str, Any], of_container: dict[str, Any]
) -> None:
    wrong = copy.deepcopy(RIGHT) | of_pod
    wrong["containers"] = [wrong["containers"][0] | of_container]
    assert row in {each.partition(":")[0] for each in restricted.violations(wrong)}
    hidden = copy.deepcopy(RIGHT) | of_pod
    hidden["initContainers"] = wrong["containers"]
    assert row in {each.partition(":")[0] for each in restricted.violations(hidden)}


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_a_schema_takes_no_field_that_it_does_not_know(version: str) -> None:
    wrong = made()["Deployment"]
    wrong["spec"]["template"]["spec"]["containers"][0]["privilege"] = True
    assert schemas.objections(made()["Deployment"], version) == []
    assert "privilege" in schemas.objections(wrong, version)[0]

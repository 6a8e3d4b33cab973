"""The restricted profile of the Pod Security Standards, from its text and not from our code.

https://kubernetes.io/docs/concepts/security/pod-security-standards/: each function is a row of its
tables, "baseline" first; field paths are as they are written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Pod = dict[str, Any]
Found = Iterator[str]

VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}


def violations(spec: Pod) -> list[str]:
    """Of the specification of a pod; empty when it passes."""
    rows = (
        _host_process, _host_namespaces, _privileged, _host_ports, _apparmor, _selinux,
        _proc_mount, _sysctls, _probes, _volumes, _escalation, _non_root, _user, _seccomp,
        _capabilities,
    )  # fmt: skip
    return [f"{row.__name__[1:]}: {each}" for row in rows for each in row(spec)]


def containers(spec: Pod) -> list[Pod]:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [each for kind in kinds for each in spec.get(kind) or []]


def contexts(spec: Pod) -> list[Pod]:
    """Of the pod, and of its containers."""
    return [each.get("securityContext") or {} for each in (spec, *containers(spec))]


def _host_process(spec: Pod) -> Found:
    for each in contexts(spec):
        if (each.get("windowsOptions") or {}).get("hostProcess"):
            yield "windowsOptions.hostProcess"


def _host_namespaces(spec: Pod) -> Found:
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))


def _privileged(spec: Pod) -> Found:
    for each in contexts(spec):
        if each.get("privileged"):
            yield "privileged"


def _host_ports(spec: Pod) -> Found:
    for each in containers(spec):
        for port in each.get("ports") or []:
            if port.get("hostPort") or port.get("hostIP"):
                yield "hostPort"


def _apparmor(spec: Pod) -> Found:
    for each in contexts(spec):
        kind = (each.get("appArmorProfile") or {}).get("type", "RuntimeDefault")
        if kind not in ("RuntimeDefault", "Localhost"):
            yield kind


def _selinux(spec: Pod) -> Found:
    for each in contexts(spec):
        options = each.get("seLinuxOptions") or {}
        allowed = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
        if options.get("type", "") not in allowed or options.get("user") or options.get("role"):
            yield str(options)


def _proc_mount(spec: Pod) -> Found:
    for each in contexts(spec):
        if each.get("procMount", "Default") != "Default":
            yield str(each["procMount"])


def _sysctls(spec: Pod) -> Found:
    for each in (spec.get("securityContext") or {}).get("sysctls") or []:
        if each["name"] not in SYSCTLS:
            yield each["name"]


def _probes(spec: Pod) -> Found:
    """Nor may probes and hooks name a host."""
    for each in containers(spec):
        hooks = each.get("lifecycle") or {}
        places = [each.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
        for place in (*places, hooks.get("preStop"), hooks.get("postStart")):
            for way in ("httpGet", "tcpSocket"):
                if ((place or {}).get(way) or {}).get("host"):
                    yield way


def _volumes(spec: Pod) -> Found:
    for each in spec.get("volumes") or []:
        if not set(each) - {"name"} <= VOLUMES:
            yield str(each)


def _escalation(spec: Pod) -> Found:
    for each in containers(spec):
        if (each.get("securityContext") or {}).get("allowPrivilegeEscalation") is not False:
            yield each["name"]


def _non_root(spec: Pod) -> Found:
    """The pod's word holds where a container has none; where it has one, that does."""
    pods = (spec.get("securityContext") or {}).get("runAsNonRoot")
    for each in containers(spec):
        if (each.get("securityContext") or {}).get("runAsNonRoot", pods) is not True:
            yield each["name"]
    if pods not in (None, True):
        yield "the pod"


def _user(spec: Pod) -> Found:
    for each in contexts(spec):
        if each.get("runAsUser") == 0:
            yield "runAsUser 0"


def _seccomp(spec: Pod) -> Found:
    def kind(context: Pod) -> str | None:
        return (context.get("seccompProfile") or {}).get("type")

    pods = kind(spec.get("securityContext") or {})
    allowed = ("RuntimeDefault", "Localhost")
    if pods not in (None, *allowed):
        yield str(pods)
    for each in containers(spec):
        if (kind(each.get("securityContext") or {}) or pods) not in allowed:
            yield each["name"]


def _capabilities(spec: Pod) -> Found:
    for each in containers(spec):
        told = (each.get("securityContext") or {}).get("capabilities") or {}
        if "ALL" not in (told.get("drop") or []):
            yield f"{each['name']} drops not all"
        if set(told.get("add") or []) - {"NET_BIND_SERVICE"}:
            yield f"{each['name']} adds {told['add']}"

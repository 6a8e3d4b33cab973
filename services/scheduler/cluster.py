"""The settings of a target that is a Kubernetes cluster, read from what operators write."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Final, Literal

import msgspec

from services.scheduler.drivers import Kubernetes
from shared import config, doorman
from shared.errors import Invalid

_LABEL: Final = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9._-]{1,63}=[A-Za-z0-9._-]{0,63}")


class Config(config.Config, frozen=True, kw_only=True):
    """Read by schedulers whose target is a cluster."""

    kubeconfig: str = ""  # a file; empty: the cluster that the scheduler runs in
    kube_context: str = ""  # of that file; empty: its current one
    kubernetes_namespace: str = "slipway-workloads"  # where replicas are; it must be there
    platform: str = "slipway"  # whose replicas these are: two platforms may share a namespace
    doorman_image: str = ""  # `registry/name@digest`, as nodes pull it
    doorman_key: str = ""  # as the router has it; several, with commas, while it is changed
    pod_drain: float = 5.0  # seconds that a pod whose end others began serves on
    allow_root: bool = False  # images whose user is root
    router_labels: str = ""  # of the routers' pods, `name=value`; empty: those that the chart gives
    scheduler_labels: str = ""  # of the schedulers' pods, likewise
    router_namespace: str = ""  # labels of the namespace of both; empty: any
    router_networks: str = ""  # of both where they are no pods, such as 10.2.0.0/16
    dns_networks: str = ""  # where names are asked that no pod labelled kube-dns answers
    closed_networks: str = ""  # that replicas must not reach, beside private ones
    volume_claims: str = "{}"  # JSON: volume claim -> projects that may mount it, `*` for all
    network_policies: Literal["warn", "required"] = "warn"  # where the cluster enforces none


def kubernetes(config: Config, target: str, grace: float) -> Kubernetes:
    """As the driver takes them. Raises Invalid naming the variable."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", config.platform):
        raise Invalid("PLATFORM", "must be a label's value: up to 63 letters, digits, ., _ and -")
    try:
        keys = doorman.keys(config.doorman_key)
    except ValueError as error:
        raise Invalid("DOORMAN_KEY", str(error)) from error
    return Kubernetes(
        kubeconfig=config.kubeconfig,
        context=config.kube_context,
        namespace=config.kubernetes_namespace,
        platform=config.platform,
        target=target,
        doorman_image=config.doorman_image,
        doorman_key=keys[0] if keys else "",
        grace=grace,
        drain=config.pod_drain,
        allow_root=config.allow_root,
        routers=_labels(config.router_labels, "ROUTER_LABELS"),
        schedulers=_labels(config.scheduler_labels, "SCHEDULER_LABELS"),
        router_namespace=_labels(config.router_namespace, "ROUTER_NAMESPACE"),
        router_networks=_networks(config.router_networks, "ROUTER_NETWORKS"),
        dns_networks=_networks(config.dns_networks, "DNS_NETWORKS"),
        closed_networks=_networks(config.closed_networks, "CLOSED_NETWORKS"),
        claims=_claims(config.volume_claims),
        network_policies=config.network_policies,
    )


def _labels(text: str, field: str) -> dict[str, str] | None:
    items = [item.strip() for item in text.split(",") if item.strip()]
    for item in items:
        if not _LABEL.fullmatch(item):
            raise Invalid(field, f"{item[:80]!r} is not a label, such as app=router")
    pairs = (item.partition("=") for item in items)
    return {name: value for name, _, value in pairs} or None


def _networks(text: str, field: str) -> tuple[str, ...]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    try:
        return tuple(str(ip_network(item)) for item in items)
    except ValueError as error:
        raise Invalid(field, f"{error}; networks are written as 10.2.0.0/16") from error


def _claims(text: str) -> dict[str, tuple[str, ...]]:
    try:
        return msgspec.json.decode(text, type=dict[str, tuple[str, ...]])
    except msgspec.DecodeError as error:
        raise Invalid("VOLUME_CLAIMS", 'is no JSON such as {"models": ["ann/house"]}') from error

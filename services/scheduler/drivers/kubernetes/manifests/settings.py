"""What the operator decides for everything on one cluster, and where a replica may go."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from shared.endpoint import Range, Resources


class Peers(msgspec.Struct, frozen=True, kw_only=True):
    """Pods by their labels, in namespaces by theirs; no labels means all of them."""

    namespace: dict[str, str] = {}
    pods: dict[str, str] = {}


PRIVATE: Final = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",  # where Azure tells machines who they are: a public address, and is none
    "169.254.0.0/16",  # also where clouds tell machines who they are
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",  # may hold any address of the other family, as the next does
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)
"""Networks that are not the internet."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one target."""

    platform: str
    namespace: str
    doorman_image: str
    doorman_key: str  # of shared.doorman.keys, the first
    grace: int = 30  # seconds that a server has to end
    drain: int = 5  # and before it hears of its end, so that routers hear first
    progress: int = 600  # seconds without progress after which a rollout counts as stuck
    routers: Peers = Peers(pods={"app.kubernetes.io/component": "router"})
    schedulers: Peers = Peers(pods={"app.kubernetes.io/component": "scheduler"})
    router_networks: tuple[str, ...] = ()  # of routers and schedulers that are no pods
    dns: Peers = Peers(pods={"k8s-app": "kube-dns"})
    dns_networks: tuple[str, ...] = ("169.254.20.10/32",)  # where nodes have a cache of their own
    closed_networks: tuple[str, ...] = ()  # that replicas must not reach, beside private ones
    allow_root: bool = False
    pull_secret: str = ""
    defaults: Resources = Resources(
        cpu=Range(min=0.1, max=2),
        memory=Range(min=256, max=2048),
        disk=Range(min=256, max=10 * 1024),
    )
    gpu_resource: str = "nvidia.com/gpu"
    disk: Literal["ephemeral-storage", "volume"] = "ephemeral-storage"
    storage_class: str = ""  # of disks that are volumes
    claims: dict[
        str, tuple[str, ...]
    ] = {}  # volume claim -> `owner/name` of its projects; `*`: all
    autoscaling: Literal["v1", "v2"] = "v2"  # v2: Kubernetes 1.23 and newer
    ephemeral_volumes: bool = True  # 1.23 and newer
    low_ports: bool = True  # may be opened without root: 1.22 and newer


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Where the GPUs are that a replica was given: any node whose `label` is one of `values` will
    do, one of `nodes` is best."""

    nodes: tuple[str, ...]
    label: str = ""  # "": nodes do not say what GPUs they have
    values: tuple[str, ...] = ()

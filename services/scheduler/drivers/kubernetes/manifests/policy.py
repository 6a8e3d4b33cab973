"""The NetworkPolicy of a project: nobody but routers and schedulers comes in, and only to doormen;
its replicas reach names and the internet, and nothing else of the cluster, not even one another."""

from __future__ import annotations

import ipaddress
from typing import Any

from services.scheduler.drivers.kubernetes.manifests import doors, names
from services.scheduler.drivers.kubernetes.manifests.settings import PRIVATE, Peers, Settings


def policy(project: str, settings: Settings) -> dict[str, Any]:
    """`project` is `owner/name`. No replica owns it: it stays while there may be some."""
    ours = names.ours(settings.platform)
    whose = names.owner_and_project(project)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": names.policy(settings.platform, project),
            "namespace": settings.namespace,
            "labels": ours | whose,
            "annotations": {names.PROJECT: project},
        },
        "spec": {
            "podSelector": {"matchLabels": ours | whose},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [
                        _pods(settings.routers),
                        _pods(settings.schedulers),  # they ask models whether they serve
                        *_networks(settings.router_networks),
                    ],
                    "ports": [_port(each.door) for each in (doors.USUAL, doors.OTHER)],
                }
            ],
            "egress": [
                {
                    "to": [_pods(settings.dns), *_networks(settings.dns_networks)],
                    "ports": [_port(53, "UDP"), _port(53)],
                },
                {"to": [_internet("0.0.0.0/0", settings), _internet("::/0", settings)]},
            ],
        },
    }


def _port(port: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"protocol": protocol, "port": port}


def _pods(peers: Peers) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": peers.namespace} if peers.namespace else {},
        "podSelector": {"matchLabels": peers.pods} if peers.pods else {},
    }


def _networks(networks: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": each}} for each in networks]


def _internet(everything: str, settings: Settings) -> dict[str, Any]:
    """All of one family but what is not the internet."""
    family = ipaddress.ip_network(everything).version
    closed = dict.fromkeys((*PRIVATE, *settings.closed_networks))
    told = [each for each in closed if ipaddress.ip_network(each).version == family]
    return {"ipBlock": {"cidr": everything, "except": told}}

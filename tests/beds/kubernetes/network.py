"""The cluster's network: a namespace of its own, joined to this machine by a pair of devices.

The node is 10.200.0.1 on the bridge `host0` there, this machine 10.200.0.254 on `slw-k8s` here. From
here pods and services are reached by their own addresses; what they send elsewhere leaves with this
machine's.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.beds.debian import program
from tests.beds.kubernetes.place import (
    ALL_PODS,
    HOST,
    INTERNET,
    METADATA,
    NETNS,
    NODE,
    NODES,
    SERVICES,
)

HERE: Final = "slw-k8s"
FOLDER: Final = Path("/run/netns") / NETNS

RULES: Final = (
    ("nat", "POSTROUTING", "-s", NODES, "!", "-o", HERE, "-j", "MASQUERADE"),
    ("nat", "POSTROUTING", "-s", ALL_PODS, "!", "-o", HERE, "-j", "MASQUERADE"),
    # others may have closed forwarding
    ("filter", "FORWARD", "-i", HERE, "-j", "ACCEPT"),
    ("filter", "FORWARD", "-o", HERE, "-j", "ACCEPT"),
)


def inside(*command: str) -> list[str]:
    """That command, in the cluster's network and otherwise here."""
    return [program("nsenter", "util-linux"), f"--net={FOLDER}", "--", *command]


def up() -> None:
    ip("netns", "add", NETNS)
    there = ("-n", NETNS)
    ip(*there, "link", "set", "lo", "up")
    for address in (METADATA, INTERNET):
        ip(*there, "addr", "add", f"{address}/32", "dev", "lo")
    ip(*there, "link", "add", "host0", "type", "bridge")
    ip(*there, "addr", "add", f"{NODE}/24", "dev", "host0")
    ip(*there, "link", "set", "host0", "up")
    ip("link", "add", HERE, "type", "veth", "peer", "name", "host1", "netns", NETNS)
    ip(*there, "link", "set", "host1", "master", "host0", "up")
    ip("addr", "add", f"{HOST}/24", "dev", HERE)
    ip("link", "set", HERE, "up")
    ip(*there, "route", "add", "default", "via", HOST)
    for network in (ALL_PODS, SERVICES):
        ip("route", "add", network, "via", NODE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # left on: others rely on it as well
    for table, chain, *rule in RULES:
        subprocess.run(
            [program("iptables", "iptables"), "-w", "-t", table, "-I", chain, *rule], check=True
        )


def down() -> None:
    """All of it, as far as it is there."""
    for table, chain, *rule in RULES:
        command = [program("iptables", "iptables"), "-w", "-t", table, "-D", chain, *rule]
        while subprocess.run(command, capture_output=True).returncode == 0:
            pass
    for what in (("link", "del", HERE), ("netns", "del", NETNS)):
        subprocess.run([program("ip", "iproute2"), *what], capture_output=True)


def ip(*arguments: str) -> None:
    subprocess.run([program("ip", "iproute2"), *arguments], check=True)

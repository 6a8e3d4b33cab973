"""Where the bed keeps its things, and the addresses that it has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.beds.bases import cache

_GIVEN: Final = os.environ.get("SLIPWAY_KUBERNETES")

HOME: Final = Path(_GIVEN).absolute() if _GIVEN else cache().parent / "kubernetes"
"""Kept from one start to the next: programs, keys, and what was pushed to the registry."""

BIN: Final = HOME / "bin"
PKI: Final = HOME / "pki"
RUN: Final = HOME / "run"
"""Of the cluster that is up: made by `up`, removed by `down`."""

KUBECONFIG: Final = HOME / "kubeconfig"
"""The administrator's; the same one for every start, good on this machine and in the namespace."""

AUTHORITIES: Final = PKI / "bundle.crt"
"""This machine's certificate authorities and the bed's: what SSL_CERT_FILE has to name."""

STATE: Final = Path("/run/slipway-k8s")  # of containerd; a socket's path must be short
SOCKET: Final = STATE / "containerd.sock"

NETNS: Final = "slipway-k8s"
HOST: Final = "10.200.0.254"  # this machine, as the node and its pods see it
NODE: Final = "10.200.0.1"
NODE_NAME: Final = "testbed"
NODES: Final = "10.200.0.0/24"
METADATA: Final = "169.254.169.254"  # where clouds tell machines who they are: the node's, too
INTERNET: Final = "192.0.2.1"  # nobody's own, and here the node's: what is not private
PODS: Final = "10.244.0.0/22"
ALL_PODS: Final = "10.244.0.0/16"
SERVICES: Final = "10.96.0.0/16"
DOMAIN: Final = "cluster.local"
SERVER: Final = f"https://{NODE}:6443"
REGISTRY: Final = f"{NODE}:5005"

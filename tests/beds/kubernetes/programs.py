"""What the cluster runs: Debian's packages, and five programs compiled from its source once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.beds import debian
from tests.beds.debian import NotHad
from tests.beds.kubernetes.place import BIN, HOME

COMPILED: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)

RUN_BY: Final = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "conntrack": "conntrack",
    "socat": "socat",  # kubectl port-forward
    "iptables": "iptables",
    "ip": "iproute2",
    "gcc": "gcc",
    "docker-registry": "docker-registry",
    "kubectl": "kubernetes-client",
}
"""Program -> its package. Two more packages have no program on a PATH."""

NOT_ON_PATH: Final = {
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/include/stdio.h": "libc6-dev",
}

BUILT_BY: Final = (
    "golang-go",
    "golang-github-modern-go-reflect2-dev",
    "dpkg-dev",
    "make",
    "rsync",
    "git",
)


def have() -> None:
    """Everything, in about a minute where only packages are missing. Raises NotHad."""
    if os.geteuid() != 0:
        raise NotHad("a cluster of our own needs root; set KUBECONFIG and REGISTRY to use another")
    missing = [package for name, package in RUN_BY.items() if debian.which(name) is None]
    missing += [package for path, package in NOT_ON_PATH.items() if not Path(path).exists()]
    _install(*missing)
    build()


def built() -> bool:
    return all((BIN / name).exists() for name in COMPILED)


def build() -> None:
    """Compile what is not there yet. Raises NotHad."""
    if built():
        return
    _install(*BUILT_BY)
    script = Path(__file__).with_name("build.sh")
    if subprocess.run(["sh", script, HOME]).returncode or not built():
        raise NotHad(f"Kubernetes could not be compiled; see {HOME}/build.log")


def _install(*packages: str) -> None:
    trouble = debian.install(*packages) if packages else ""
    if trouble:
        raise NotHad(f"{trouble}; run: apt-get install {' '.join(packages)}")

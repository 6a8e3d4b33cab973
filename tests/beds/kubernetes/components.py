"""The cluster's processes in the order in which they start, with what each is told."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.beds.debian import program
from tests.beds.kubernetes import network
from tests.beds.kubernetes.place import (
    BIN,
    DOMAIN,
    HOME,
    NODE,
    NODE_NAME,
    PKI,
    PODS,
    REGISTRY,
    RUN,
    SERVICES,
    SOCKET,
    STATE,
)

PAUSE: Final = "docker.io/testbed/pause:1"

CONTAINERD: Final = """\
version = 2
root = "{run}/containerd"
state = "{state}/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  # as Docker and containerd 2 have it by themselves
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{run}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{run}/hosts"
"""

HOSTS: Final = """\
server = "https://{registry}"
[host."https://{registry}"]
  ca = "{pki}/ca.crt"
"""

STORED: Final = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{home}/registry"}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http:
  addr: {registry}
  tls: {{certificate: "{pki}/registry.crt", key: "{pki}/registry.key"}}
"""

KUBELET: Final = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": f"{PKI}/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "cgroupDriver": "cgroupfs",
    "clusterDNS": [NODE],
    "clusterDomain": DOMAIN,
    "resolvConf": f"{RUN}/resolv.conf",
    "failSwapOn": False,
    "enforceNodeAllocatable": [],
    "oomScoreAdj": 0,
    "maxPods": 250,
    "serializeImagePulls": False,
    "registryPullQPS": 0,
    "eventRecordQPS": 0,
    "kubeAPIQPS": 50,
    "kubeAPIBurst": 100,
    "imageGCHighThresholdPercent": 100,  # images are ours to remove
    "evictionHard": {
        "memory.available": "50Mi",
        "nodefs.available": "1%",
        "imagefs.available": "1%",
    },
}

BRIDGE: Final = {
    "cniVersion": "0.4.0",
    "name": "testbed",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "subnet": PODS, "routes": [{"dst": "0.0.0.0/0"}]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def write() -> None:
    """Their files."""
    (RUN / "cni").mkdir(parents=True)
    (RUN / "cni" / "10-bridge.conflist").write_text(json.dumps(BRIDGE))
    (RUN / "kubelet.yaml").write_text(json.dumps(KUBELET))
    (RUN / "resolv.conf").write_text(f"nameserver {NODE}\n")
    hosts = RUN / "hosts" / REGISTRY
    hosts.mkdir(parents=True)
    (hosts / "hosts.toml").write_text(HOSTS.format(registry=REGISTRY, pki=PKI))
    (RUN / "registry.yml").write_text(STORED.format(registry=REGISTRY, pki=PKI, home=HOME))
    (RUN / "containerd.toml").write_text(
        CONTAINERD.format(
            run=RUN, state=STATE, socket=SOCKET, pause=PAUSE, snapshotter=_snapshotter()
        )
    )


def _snapshotter() -> str:
    """Overlays, where the kernel lays them over one another; else copies of everything."""
    kinds = (line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines())
    return "native" if ["/", "overlay"] in kinds else "overlayfs"


def _etcd() -> list[str]:
    at, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return [
        *(program("etcd", "etcd-server"), "--data-dir", f"{RUN}/etcd", "--log-level=warn"),
        *("--listen-client-urls", at, "--advertise-client-urls", at, "--listen-peer-urls", peers),
    ]


def _apiserver() -> list[str]:
    return [
        f"{BIN}/kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        *("--bind-address=0.0.0.0", "--secure-port=6443", f"--advertise-address={NODE}"),
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        *("--authorization-mode=Node,RBAC", "--allow-privileged=true"),
        f"--service-account-key-file={PKI}/service-account.key",
        f"--service-account-signing-key-file={PKI}/service-account.key",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--kubelet-client-certificate={PKI}/admin.crt",
        f"--kubelet-client-key={PKI}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _controllers() -> list[str]:
    return [
        f"{BIN}/kube-controller-manager",
        f"--kubeconfig={PKI}/controllers.conf",
        *("--leader-elect=false", "--use-service-account-credentials=true"),
        f"--service-account-private-key-file={PKI}/service-account.key",
        f"--root-ca-file={PKI}/ca.crt",
        *("--kube-api-qps=100", "--kube-api-burst=200"),
    ]


def _scheduler() -> list[str]:
    return [
        f"{BIN}/kube-scheduler",
        f"--kubeconfig={PKI}/scheduler.conf",
        *("--leader-elect=false", "--kube-api-qps=100", "--kube-api-burst=200"),
    ]


def _containerd() -> list[str]:
    return [program("containerd", "containerd"), "-c", f"{RUN}/containerd.toml"]


def _kubelet() -> list[str]:
    return [
        f"{BIN}/kubelet",
        f"--config={RUN}/kubelet.yaml",
        f"--kubeconfig={PKI}/kubelet.conf",
        *("--container-runtime=remote", f"--container-runtime-endpoint=unix://{SOCKET}"),
        *(f"--hostname-override={NODE_NAME}", f"--node-ip={NODE}", f"--root-dir={RUN}/kubelet"),
    ]


def _proxy() -> list[str]:
    return [
        f"{BIN}/kube-proxy",
        f"--kubeconfig={PKI}/proxy.conf",
        *(f"--hostname-override={NODE_NAME}", f"--cluster-cidr={PODS}"),
        # of the whole machine, which are not ours to set
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]


def _registry() -> list[str]:
    return [program("docker-registry", "docker-registry"), "serve", f"{RUN}/registry.yml"]


def _ours(name: str) -> list[str]:
    return [sys.executable, "-m", f"tests.beds.kubernetes.{name}"]


COMMANDS: Final[dict[str, Callable[[], list[str]]]] = {
    "etcd": _etcd,
    "apiserver": _apiserver,
    "containerd": _containerd,
    "registry": _registry,
    "dns": partial(_ours, "dns"),
    "volumes": partial(_ours, "volumes"),
    "policies": partial(_ours, "policies"),
    "controllers": _controllers,
    "scheduler": _scheduler,
    "kubelet": _kubelet,
    "proxy": _proxy,
}

HERE: Final = ("dns", "volumes")
"""What runs in this machine's network; the DNS listens in the cluster's all the same."""


def command(name: str) -> list[str]:
    """All that is to be run."""
    told = COMMANDS[name]()
    return told if name in HERE else network.inside(*told)


def clear() -> None:
    """What was written while the cluster was up."""
    for folder in (RUN, STATE):
        shutil.rmtree(folder, ignore_errors=True)

"""A real Kubernetes 1.20 of one node on this machine, from Debian's packages alone. Needs root and
Debian 12; no image comes from anywhere.

  up                   have it run (half a minute; compiled first where it never was: 5 to 9 minutes)
  down                 end it; programs, keys and the registry's images stay
  build                only install and compile
  built                whether it was compiled: exit code 0 or 1
  kubeconfig           print the path of the administrator's kubeconfig
  gpus N [PRODUCT]     make the node offer so many GPUs, with the labels of that product
  load FILE            have the images of an OCI or Docker archive on the node
  exec CMD...          run a command inside the cluster's network, KUBECONFIG set
  pids                 the processes by name
  stop|start|restart|kill|freeze|thaw NAME
                       do that to one of them, for drills

Network: node 10.200.0.1 (API server :6443, registry :5005 with TLS, DNS :53), this machine
10.200.0.254, pods 10.244.0.0/22, services 10.96.0.0/16; both are reached from here by their own
addresses. KUBECONFIG needs nothing else. For the registry, SSL_CERT_FILE must name pki/bundle.crt,
which lies beside the kubeconfig. Claims of volumes get
folders of this machine (the class `testbed`, the default). Network policies are enforced, unless
`policies` is stopped, or in a namespace with the label slipway.dev/testbed-open. It lacks
metrics-server, a GPU, and what is newer than 1.20 (autoscaling/v2, policy/v1, admission of pod
security).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.beds.debian import NotHad
from tests.beds.kubernetes import api, cluster, components, daemons, gpus, network, programs
from tests.beds.kubernetes.place import KUBECONFIG


def main(words: list[str]) -> int:
    match words:
        case ["up"]:
            cluster.up()
        case ["down"]:
            cluster.down()
        case ["build"]:
            programs.have()
        case ["built"]:
            return 0 if programs.built() else 1
        case ["kubeconfig"]:
            print(KUBECONFIG)
        case ["gpus", count, *product]:
            gpus.offer(int(count), *product)
        case ["load", path]:
            cluster.load(Path(path))
        case ["exec", *command] if command:
            os.environ["KUBECONFIG"] = str(KUBECONFIG)
            told = network.inside(*command)
            os.execv(told[0], told)
        case ["pids"]:
            for name, process in daemons.pids().items():
                print(f"{name}\t{process}")
        case [what, name] if name in components.COMMANDS:
            return drill(what, name)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def drill(what: str, name: str) -> int:
    match what:
        case "start":
            cluster.start(name)
        case "stop":
            daemons.stop(name)
        case "restart":
            daemons.stop(name)
            cluster.start(name)
        case "kill":
            daemons.stop(name, signal.SIGKILL)
        case "freeze":
            daemons.send(name, signal.SIGSTOP)
        case "thaw":
            daemons.send(name, signal.SIGCONT)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (NotHad, daemons.NotUp, api.Refused, subprocess.CalledProcessError) as error:
        sys.exit(f"setup: {error}")

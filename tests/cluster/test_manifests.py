"""What a real cluster makes of manifests: it takes them, keeps them as they were written, and what
runs gets its arguments and its environment as its owner wrote them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how

from services.scheduler.driver import Refused, Workload
from services.scheduler.drivers.kubernetes import manifests
from services.scheduler.drivers.kubernetes.door import open_cluster
from services.scheduler.drivers.kubernetes.drift import drift
from services.scheduler.drivers.kubernetes.manifests.applied import applied, summary
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.endpoint import Command, Endpoint
from shared.image import ContainerConfig
from tests.beds.kubernetes.bed import Cluster
from tests.scheduler.kubernetes.manifests import workloads as those

SAMPLES = 60
DEBIAN = "debian:bookworm"
HOSTILE = ["a b", "$(HOME)", "$$(HOME)", "$HOME", "$$", "`id`", "'\"", "*", "", "ä\n", "\\n", "-e"]


def options(namespace: str, **more: Any) -> Settings:
    """What the oldest cluster takes."""
    return Settings(
        platform="slipway",
        namespace=namespace,
        doorman_image="doorman:1",
        doorman_key="k" * 32,
        claims=dict.fromkeys(those.CLAIMS, ("*",)),
        autoscaling="v1",
        ephemeral_volumes=False,
        **more,
    )


def sampled(settings: Settings) -> list[dict[str, Any]]:
    """All that random workloads are made of."""
    found: list[dict[str, Any]] = []

    @how(
        max_examples=SAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(those.workloads(), those.images, those.rooms)
    def take(workload: Workload, image: ContainerConfig, room: Any) -> None:
        made = manifests.manifests(workload, image, settings, owner="uid", room=room)
        assert not isinstance(made, Refused)
        found.extend(made)

    take()
    return found


async def test_a_cluster_takes_them_and_keeps_them_as_they_were_written(
    cluster: Cluster, namespace: str
) -> None:
    """So nothing that it does to them by itself is taken for somebody's hand."""
    told = sampled(options(namespace))
    assert len(told) > 5 * SAMPLES - 1
    async with open_cluster(str(cluster.kubeconfig), "", namespace) as door:
        for each in told:
            live = await door.apply(each, dry_run=True)
            before = applied(live)
            assert before == applied(each)
            assert drift(before, summary(live)) == ""


async def test_arguments_and_variables_arrive_as_they_were_written(
    cluster: Cluster, namespace: str
) -> None:
    digest = await pushed(cluster)
    script = (
        'for each in "$@" "$TOKEN" "$LD_LIBRARY_PATH" "$HOME" "$(id -u)" "$(cat /given/file)"; do'
        ' printf "<%s>" "$each"; done; exit 7'
    )
    image = ContainerConfig(
        entrypoint=("/bin/sh", "-c", script, "server", *HOSTILE),
        env=("LD_LIBRARY_PATH=/nowhere",),
        user="1000:1000",
    )
    token = "$(HOME) ${HOME}\n'\"`"
    workload = Workload(
        replica=those.Replica(those.JobId("j7x0k2m4q9tzd"), 1),
        image=digest,
        endpoint=Endpoint(
            name="arrives",
            format="valohai",
            entry=Command(lines=("serve",)),
            port=8000,
            readiness="none",
            variables={"TOKEN": token},
        ),
        environment={},
        devices=(),
        files={"/given/file": b"\xffgiven"},
        repository=f"{cluster.registry}/debian",
        project="alice/whales",
    )
    settings = options(namespace)
    labels = ("enforce=restricted", "warn=restricted")
    words = [f"pod-security.kubernetes.io/{each}" for each in labels]
    await cluster.kubectl("label", "namespace", namespace, *words)
    begun = manifests.first(workload, image, settings, once=True)
    assert not isinstance(begun, Refused)
    policy, anchor = begun
    await cluster.apply(policy, anchor)
    name = anchor["metadata"]["name"]
    uid = (await cluster.get("-n", namespace, "configmap", name))["metadata"]["uid"]
    rest = manifests.batch(workload, image, settings, owner=uid)
    assert not isinstance(rest, Refused)
    await cluster.apply(*rest)
    job = f"job/{name}"
    await cluster.kubectl("-n", namespace, "wait", job, "--for=condition=failed", "--timeout=120s")
    pods = await cluster.get("-n", namespace, "pods", "-l", f"slipway.dev/replica={name}")
    states = [each["status"]["containerStatuses"][0]["state"] for each in pods["items"]]
    assert [each["terminated"]["exitCode"] for each in states] == [7]
    said = await cluster.kubectl("-n", namespace, "logs", job)
    arrived = [*HOSTILE, token, "/nowhere", "/slipway/home", "1000", "\ufffdgiven"]
    assert said == "".join(f"<{each}>" for each in arrived)

    await cluster.kubectl("-n", namespace, "delete", "configmap", name, "--wait=false")
    for kind in ("secret", "job"):  # which go with their anchor
        await cluster.kubectl(
            "-n", namespace, "wait", f"{kind}/{name}", "--for=delete", "--timeout=60s"
        )


async def pushed(cluster: Cluster) -> str:
    """The digest of a plain Debian in the cluster's registry."""
    program = (
        "import asyncio, sys; from tests.beds.bases import bases;"
        "print(asyncio.run(bases(*sys.argv[1:]))[sys.argv[2]])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cluster.registry, DEBIAN,
        env={**os.environ, **cluster.environment},  # authorities are read when a process starts
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode().split()[-1]

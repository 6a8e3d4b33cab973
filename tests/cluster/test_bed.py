"""The cluster that the other tests here stand on."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from tests.beds.kubernetes.bed import Cluster, Failed

BASE = "python:3.11"


@pytest.fixture
def pod(ground: Cluster, namespace: str):
    """What a pod says that runs this Python code."""

    async def run(code: str, *, image: str = BASE, **options) -> str:
        spec = dict(options)
        name = f"p-{abs(hash(code)) % 1_000_000}"
        container = {
            "name": "main",
            "image": f"{ground.registry}/{image}",
            "command": ["python3", "-c", code],
            "resources": spec.pop("resources", {}),
            "volumeMounts": spec.pop("mounts", []),
        }
        await ground.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"restartPolicy": "Never", "containers": [container], **spec},
            }
        )
        status = await ended(ground, namespace, name)
        said = await ground.kubectl("-n", namespace, "logs", name)
        assert status["phase"] == "Succeeded", (status, said)
        return said.strip()

    return run


async def ended(cluster: Cluster, namespace: str, name: str) -> dict:
    async with asyncio.timeout(120):
        while True:
            status = (await cluster.get("-n", namespace, "pod", name))["status"]
            if status["phase"] in ("Succeeded", "Failed"):
                return status
            await asyncio.sleep(0.2)


@asynccontextmanager
async def answering(word: bytes):
    """A server on this machine, at every address that it has; its port."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_node_is_ready(cluster: Cluster) -> None:
    nodes = (await cluster.get("nodes"))["items"]
    conditions = [each for node in nodes for each in node["status"]["conditions"]]
    assert {"Ready": "True"} in [{each["type"]: each["status"]} for each in conditions]


async def test_an_image_is_pulled_by_its_digest_and_runs(
    ground: Cluster, namespace: str, pod
) -> None:
    await pod("print('pulled by name')")
    [named] = (await ground.get("-n", namespace, "pods"))["items"]
    digest = named["status"]["containerStatuses"][0]["imageID"].rpartition("@")[2]
    assert await pod("print('and by digest')", image=f"python@{digest}") == "and by digest"


async def test_pods_find_services_and_their_pods_by_name(
    ground: Cluster, namespace: str, pod
) -> None:
    ports = [{"port": 80}]
    labels = {"app": "served"}
    await ground.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "served", "namespace": namespace, "labels": labels},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": f"{ground.registry}/{BASE}",
                        "command": ["python3", "-m", "http.server", "80"],
                    }
                ]
            },
        },
        *(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": labels, "ports": ports, **more},
            }
            for name, more in (("one", {}), ("headless", {"clusterIP": "None"}))
        ),
    )
    await ground.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/served")
    served = (await ground.get("-n", namespace, "pod", "served"))["status"]["podIP"]
    one = (await ground.get("-n", namespace, "service", "one"))["spec"]["clusterIP"]
    found = await pod(
        f"""
import json, socket, time
def ask(name):
    for _ in range(100):
        try: return sorted({{found[4][0] for found in socket.getaddrinfo(name, 80)}})
        except OSError as error: last = str(error)
        time.sleep(0.1)
    return last
names = ("one", "one.{namespace}", "headless.{namespace}.svc.cluster.local")
print(json.dumps([ask(name) for name in names]))
"""
    )
    assert json.loads(found) == [[one], [one], [served]]


async def test_a_name_that_is_not_there_is_told_at_once(pod) -> None:
    told = await pod(
        "import socket\n"
        "try: print(socket.gethostbyname('nobody'))\n"
        "except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)"
    )
    assert told == "True"


async def test_pods_reach_this_machine(cluster: Cluster, pod) -> None:
    if not cluster.host:
        return  # a cluster of somebody else's owes us nothing
    async with answering(b"here") as port:
        said = await pod(
            f"import socket; print(socket.create_connection(('{cluster.host}', {port})).recv(9))"
        )
    assert said == "b'here'"


async def test_a_claimed_volume_is_had_by_whoever_is_not_root(
    ground: Cluster, namespace: str, pod
) -> None:
    await ground.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "kept", "namespace": namespace},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )
    spec = {
        "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}],
        "mounts": [{"name": "kept", "mountPath": "/kept"}],
        "securityContext": {"runAsUser": 65532},
    }
    await pod("print(open('/kept/word', 'w').write('word'))", **spec)
    assert await pod("print(open('/kept/word').read())", **spec) == "word"


async def test_gpus_are_offered_and_given(cluster: Cluster, pod) -> None:
    product = "NVIDIA-A100-SXM4-80GB"
    async with cluster.gpus(4, product):
        [node] = (await cluster.get("nodes", "-l", f"nvidia.com/gpu.product={product}"))["items"]
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
        two = {"limits": {"nvidia.com/gpu": "2"}}
        assert await pod("print('has two')", resources=two) == "has two"
    assert not (await cluster.get("nodes", "-l", f"nvidia.com/gpu.product={product}"))["items"]


async def test_what_kubectl_refuses_is_raised_with_its_words(
    cluster: Cluster, namespace: str
) -> None:
    with pytest.raises(Failed, match="not found"):
        await cluster.get("-n", namespace, "pod", "nobody")

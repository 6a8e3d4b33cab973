"""What we rely on in an API server. The fake and real ones answer the same questions.

Who imports these tests has a fixture `stage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
import pytest

from services.scheduler.drivers.kubernetes.answers import Event, Object
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.errors import Conflict, Missing, Rejected, Taken
from services.scheduler.drivers.kubernetes.kinds import CONFIGMAPS, DEPLOYMENTS, PODS, SERVICES
from services.scheduler.drivers.kubernetes.metadata import Seen
from services.scheduler.drivers.kubernetes.place import normal

T = TypeVar("T")
LONG = 90.0


class Stage(msgspec.Struct, frozen=True):
    """A cluster with a namespace for this test alone, and an image that has a shell."""

    cluster: Cluster
    image: str


def configmap(name: str, *, labels: dict[str, str] | None = None, **data: Any) -> Object:
    meta: Object = {"name": name, "labels": {"test": "door"} | (labels or {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(name: str, image: str, **spec: Any) -> Object:
    labels = {"app": name}
    limits = {"cpu": "100m", "memory": "64Mi"}
    container = {
        "name": "server",
        "image": image,
        "command": ["/bin/sh", "-c", "echo server began; exec sleep 1000"],
        "resources": {"limits": limits, "requests": {"cpu": "1m", "memory": "8Mi"}},
    }
    pod = {
        "containers": [container],
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        | spec,
    }


async def until(found: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    async with asyncio.timeout(LONG):
        while not good(value := await found()):
            await asyncio.sleep(0.05)
        return value


async def take(events: AsyncGenerator[Event[T]], count: int) -> list[Event[T]]:
    """The next events, but for bookmarks."""
    found: list[Event[T]] = []
    async with asyncio.timeout(LONG):
        while len(found) < count:
            event = await anext(events)
            if event.type != "BOOKMARK":
                found.append(event)
    return found


async def pods(cluster: Cluster, app: str) -> list[Object]:
    page = await cluster.list(PODS, dict[str, Any], selector=f"app={app}")
    return list(page.items)


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def test_a_server_says_which_it_is_and_what_it_offers(stage: Stage) -> None:
    assert (await stage.cluster.version()).major == "1"
    assert "deployments" in await stage.cluster.offers("apps/v1")
    assert "pods" in await stage.cluster.offers("v1")
    assert not await stage.cluster.offers("nowhere.example/v1")


async def test_what_is_applied_twice_changes_once(stage: Stage) -> None:
    first = await stage.cluster.apply(configmap("a", one="1"))
    again = await stage.cluster.apply(configmap("a", one="1"))
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    assert await stage.cluster.get(CONFIGMAPS, "a") == again


async def test_what_is_applied_no_more_goes_and_what_others_set_stays(stage: Stage) -> None:
    await stage.cluster.apply(configmap("a", one="1", two="2"))
    await stage.cluster.patch_merge(CONFIGMAPS, "a", {"data": {"theirs": "x", "one": "changed"}})
    after = await stage.cluster.apply(configmap("a", one="1"))
    assert after["data"] == {"one": "1", "theirs": "x"}


async def test_a_service_gets_an_address_and_keeps_it(stage: Stage) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a"},
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "protocol": "TCP"}]},
    }
    made = await stage.cluster.apply(service)
    again = await stage.cluster.apply(service)
    assert made["spec"]["clusterIP"] == again["spec"]["clusterIP"] != ""
    assert made["spec"]["ports"][0]["targetPort"] == 80
    await stage.cluster.delete(SERVICES, "a")


async def test_a_dry_run_leaves_nothing(stage: Stage) -> None:
    assert (await stage.cluster.apply(configmap("a", one="1"), dry_run=True))["data"]
    with pytest.raises(Missing):
        await stage.cluster.get(CONFIGMAPS, "a")


async def test_a_name_is_created_once(stage: Stage) -> None:
    made = await stage.cluster.create(configmap("a", one="1"))
    with pytest.raises(Taken, match="already exists"):
        await stage.cluster.create(configmap("a", one="2"))
    assert await stage.cluster.get(CONFIGMAPS, "a") == made


async def test_what_is_wrong_is_rejected_with_words(stage: Stage) -> None:
    with pytest.raises(Rejected, match="Invalid value"):
        await stage.cluster.apply(configmap("A_", one="1"))
    with pytest.raises(Rejected, match="string"):
        await stage.cluster.apply(configmap("a", one=1))
    with pytest.raises(Rejected):
        await stage.cluster.apply(configmap("a", one="1" * (4 << 20)))


async def test_nothing_is_put_where_no_namespace_is(stage: Stage) -> None:
    nowhere = configmap("a", one="1")
    nowhere["metadata"]["namespace"] = "t-nowhere"
    with pytest.raises(Missing, match="t-nowhere"):
        await stage.cluster.apply(nowhere)


async def test_deleting_what_is_gone_is_done(stage: Stage) -> None:
    await stage.cluster.delete(CONFIGMAPS, "a")
    await stage.cluster.apply(configmap("a", one="1"))
    await stage.cluster.delete(CONFIGMAPS, "a")
    await stage.cluster.delete(CONFIGMAPS, "a")
    with pytest.raises(Missing):
        await stage.cluster.get(CONFIGMAPS, "a")


async def test_only_the_one_that_was_meant_is_deleted(stage: Stage) -> None:
    first = await stage.cluster.apply(configmap("a", one="1"))
    await stage.cluster.delete(CONFIGMAPS, "a", uid=first["metadata"]["uid"])
    second = await stage.cluster.apply(configmap("a", one="1"))
    await stage.cluster.delete(CONFIGMAPS, "a", uid=first["metadata"]["uid"])
    assert await stage.cluster.get(CONFIGMAPS, "a") == second


async def test_what_is_applied_to_one_object_makes_no_other(stage: Stage) -> None:
    first = await stage.cluster.apply(configmap("a", one="1"))
    again = configmap("a", one="2")
    again["metadata"]["uid"] = first["metadata"]["uid"]
    assert (await stage.cluster.apply(again))["data"] == {"one": "2"}
    await stage.cluster.delete(CONFIGMAPS, "a")
    with pytest.raises(Conflict):
        await stage.cluster.apply(again)
    await stage.cluster.apply(configmap("a", one="1"))
    with pytest.raises(Rejected, match=r"metadata\.uid"):
        await stage.cluster.apply(again)


async def test_what_is_owned_goes_with_its_owner(stage: Stage) -> None:
    owner = await stage.cluster.apply(configmap("owner", one="1"))
    owned = configmap("owned", one="1")
    owned["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
        }
    ]
    await stage.cluster.apply(owned)
    await stage.cluster.delete(CONFIGMAPS, "owner")

    async def left() -> int:
        page = await stage.cluster.list(CONFIGMAPS, Seen, selector="test=door")
        return len(page.items)

    await until(left, lambda count: count == 0)


async def test_a_list_comes_in_pages_and_by_labels_and_fields(stage: Stage) -> None:
    names = [f"a-{number}" for number in range(5)]
    for name in names:
        await stage.cluster.apply(configmap(name, labels={"even": str(name[-1] in "024")}))
    seen, token, pages = [], "", 0
    while True:
        page = await stage.cluster.list(
            CONFIGMAPS, Seen, selector="test=door", limit=2, token=token
        )
        seen += [item.metadata.name for item in page.items]
        pages += 1
        if not (token := page.token):
            break
    assert (seen, pages) == (names, 3)
    even = await stage.cluster.list(CONFIGMAPS, Seen, selector="even=True,test in (door)")
    assert [item.metadata.name for item in even.items] == ["a-0", "a-2", "a-4"]
    one = await stage.cluster.list(CONFIGMAPS, Seen, fields="metadata.name=a-1")
    assert [item.metadata.name for item in one.items] == ["a-1"]


async def test_a_watch_tells_what_happens_after_a_list(stage: Stage) -> None:
    cluster = stage.cluster
    page = await cluster.list(CONFIGMAPS, Seen, selector="test=door")
    watch = cluster.watch(CONFIGMAPS, Seen, version=page.version, selector="test=door")
    async with aclosing(watch) as events:
        made = await cluster.apply(configmap("a", one="1"))
        await cluster.apply(configmap("a", one="2"))
        await cluster.patch_merge(CONFIGMAPS, "a", {"metadata": {"labels": {"test": "other"}}})
        await cluster.apply(configmap("a", one="2"))
        await cluster.delete(CONFIGMAPS, "a")
        found = await take(events, 5)
    assert [event.type for event in found] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    assert found[0].version == made["metadata"]["resourceVersion"]
    versions = [int(event.version) for event in found]
    assert versions == sorted(set(versions))
    assert {event.object.metadata.uid for event in found if event.object} == {
        made["metadata"]["uid"]
    }


async def test_a_watch_ends_when_its_time_is_over(stage: Stage) -> None:
    page = await stage.cluster.list(CONFIGMAPS, Seen)
    async for event in stage.cluster.watch(CONFIGMAPS, Seen, version=page.version, seconds=1):
        assert event.type == "BOOKMARK" or event.object


async def test_a_large_object_comes_whole_by_list_and_by_watch(stage: Stage) -> None:
    cluster = stage.cluster
    page = await cluster.list(CONFIGMAPS, Seen, selector="test=door")
    large = "x" * 1_000_000
    await cluster.apply(configmap("a", one=large))
    watch = cluster.watch(CONFIGMAPS, dict[str, Any], version=page.version, selector="test=door")
    async with aclosing(watch) as events:
        [event] = await take(events, 1)
    assert event.object
    assert event.object["data"]["one"] == large
    listed = await cluster.list(CONFIGMAPS, dict[str, Any], selector="test=door")
    assert listed.items[0]["data"]["one"] == large


async def test_a_deployment_has_pods_with_addresses_which_print_and_go(stage: Stage) -> None:
    cluster = stage.cluster
    made = await cluster.apply(deployment("d", stage.image, replicas=2))

    async def now() -> list[Object]:
        return await pods(cluster, "d")

    up = await until(now, lambda found: len(found) == 2 and all(is_ready(each) for each in found))
    assert len({pod["status"]["podIP"] for pod in up}) == 2
    statuses = [pod["status"]["containerStatuses"][0] for pod in up]
    assert all("startedAt" in status["state"]["running"] for status in statuses)

    async def status() -> Object:
        return (await cluster.get(DEPLOYMENTS, "d"))["status"]

    await until(status, lambda said: said.get("readyReplicas") == 2)

    name = up[0]["metadata"]["name"]
    async with asyncio.timeout(LONG), aclosing(cluster.log(name, "server")) as lines:
        stamp, _, word = (await anext(lines)).partition(b" ")
        assert word == b"server began"
        later = [
            line
            async for line in cluster.log(
                name, "server", since="2999-01-01T00:00:00Z", follow=False
            )
        ]
        assert later == []
        again = [
            line async for line in cluster.log(name, "server", since=stamp.decode(), follow=False)
        ]
        assert again == [stamp + b" server began"]
        # one goes by hand, with a word to it alone, and another comes
        await cluster.delete(PODS, name, uid=up[0]["metadata"]["uid"])
        # what has no stamp is the node's own word: that the container has gone while it was read
        assert [line async for line in lines if normal(line.partition(b" ")[0].decode())] == []
    await until(
        now,
        lambda found: (
            len([each for each in found if is_ready(each)]) == 2
            and name not in [each["metadata"]["name"] for each in found]
        ),
    )

    await cluster.delete(DEPLOYMENTS, "d", uid=made["metadata"]["uid"])
    await until(now, lambda found: not found)


async def test_a_container_that_has_not_begun_has_no_log(stage: Stage) -> None:
    cluster = stage.cluster
    await cluster.apply(deployment("nothing", "nowhere.invalid/nothing:1", replicas=1))

    async def now() -> list[Object]:
        return await pods(cluster, "nothing")

    def is_waiting(found: list[Object]) -> bool:
        return any(pod["status"].get("containerStatuses") for pod in found)

    [pod] = await until(now, is_waiting)
    with pytest.raises(Rejected, match="waiting to start"):
        _ = [line async for line in cluster.log(pod["metadata"]["name"], "server")]
    with pytest.raises(Missing):
        _ = [line async for line in cluster.log("nobody", "server")]
    await cluster.delete(DEPLOYMENTS, "nothing")

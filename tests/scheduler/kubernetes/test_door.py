"""The door, and the fake that answers as real clusters do; what only a fake can do to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from services.scheduler.drivers.kubernetes.door import Cluster, open_cluster
from services.scheduler.drivers.kubernetes.errors import Away, Conflict, Denied, Expired, Missing
from services.scheduler.drivers.kubernetes.kinds import CONFIGMAPS, PODS
from services.scheduler.drivers.kubernetes.metadata import Seen
from services.scheduler.drivers.kubernetes.wire import Limits
from shared.errors import Permanent
from tests.keys import openssl
from tests.scheduler.kubernetes import contract
from tests.scheduler.kubernetes.contract import *  # noqa: F403
from tests.scheduler.kubernetes.contract import Stage, configmap, take
from tests.scheduler.kubernetes.fake import Fake, Fault, open_fake

QUICK = Limits(attempt=1.0, silence=2.0, log_silence=2.0, rate=1000.0)


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Fake]:
    async with open_fake(tmp_path) as fake:
        fake.kubelet.fates["nothing"] = "pull-fail"
        yield fake


@pytest.fixture
async def cluster(fake: Fake) -> AsyncIterator[Cluster]:
    async with open_cluster(str(fake.kubeconfig), "", fake.namespace, QUICK) as cluster:
        yield cluster


@pytest.fixture
def stage(cluster: Cluster) -> Stage:
    return Stage(cluster, "registry.example/shell:1")


@pytest.mark.parametrize(
    "streams",
    [
        contract.test_a_watch_tells_what_happens_after_a_list,
        contract.test_a_watch_ends_when_its_time_is_over,
        contract.test_a_large_object_comes_whole_by_list_and_by_watch,
        contract.test_a_deployment_has_pods_with_addresses_which_print_and_go,
    ],
)
def test_streams_are_the_same_on_the_loop_that_services_have(
    streams: Callable[[Stage], Awaitable[None]], tmp_path: Path
) -> None:
    async def on_stage() -> None:
        async with (
            open_fake(tmp_path) as fake,
            open_cluster(str(fake.kubeconfig), "", fake.namespace, QUICK) as cluster,
        ):
            await streams(Stage(cluster, "registry.example/shell:1"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(on_stage())


@pytest.mark.parametrize(
    "fault", [Fault.BUSY, Fault.CONFLICT, Fault.ERROR, Fault.UNAVAILABLE, Fault.RESET]
)
async def test_k05_what_fails_once_is_asked_again(
    fake: Fake, cluster: Cluster, fault: Fault
) -> None:
    fake.trouble.arm(fault, "patch")
    await cluster.apply(configmap("a", one="1"))
    fake.trouble.arm(fault, "delete")
    await cluster.delete(CONFIGMAPS, "a")
    assert fake.truth(CONFIGMAPS) == {}
    assert fake.trouble.met[fault] == 2


async def test_k05_a_server_that_stays_in_trouble_is_left_after_a_few_tries(
    fake: Fake, cluster: Cluster
) -> None:
    fake.trouble.arm(Fault.ERROR, "get", times=99)
    with pytest.raises(Away, match="leader changed"):
        await cluster.get(CONFIGMAPS, "a")
    assert fake.server.requests["get", "configmaps"] == 5
    assert cluster.calls["get", "configmaps"] == 5
    assert cluster.failed == {"Away": 5}


async def test_k05_conflicts_that_stay_are_told(fake: Fake, cluster: Cluster) -> None:
    fake.trouble.arm(Fault.CONFLICT, "patch", times=99)
    with pytest.raises(Conflict):
        await cluster.apply(configmap("a", one="1"))


async def test_another_of_the_name_is_an_answer_and_not_asked_about_again(
    fake: Fake, cluster: Cluster
) -> None:
    await cluster.apply(configmap("a", one="1"))
    await cluster.delete(CONFIGMAPS, "a", uid="of-another")
    assert fake.server.requests["delete", "configmaps"] == 1


@pytest.mark.parametrize("fault", [Fault.DONE_ERROR, Fault.DONE_RESET, Fault.DONE_SILENT])
async def test_k04_what_was_done_unheard_is_done_once(
    fake: Fake, cluster: Cluster, fault: Fault
) -> None:
    fake.trouble.arm(fault, "patch")
    made = await cluster.apply(configmap("a", one="1"))
    assert made["metadata"]["generation"] == 1
    fake.trouble.arm(fault, "delete")
    await cluster.delete(CONFIGMAPS, "a", uid=made["metadata"]["uid"])
    fake.trouble.arm(fault, "create")
    with pytest.raises(Away):
        await cluster.create(configmap("b", one="1"))
    assert await cluster.get(CONFIGMAPS, "b")
    assert fake.server.requests["create", "configmaps"] == 1


async def test_k06_a_new_token_is_read_when_the_old_one_is_refused(
    fake: Fake, cluster: Cluster
) -> None:
    await cluster.apply(configmap("a", one="1"))
    fake.rotate("second")
    assert await cluster.get(CONFIGMAPS, "a")
    fake.rotate("third")
    page = await cluster.list(CONFIGMAPS, Seen)
    fake.rotate("fourth")
    async with aclosing(cluster.watch(CONFIGMAPS, Seen, version=page.version)) as events:
        fake.add(CONFIGMAPS, "b")
        [event] = await take(events, 1)
    assert event.type == "ADDED"


async def test_k06_who_is_not_known_any_more_says_so_and_goes_on_later(
    fake: Fake, cluster: Cluster
) -> None:
    fake.rotate("second", told=False)
    with pytest.raises(Denied):
        await cluster.get(CONFIGMAPS, "a")
    fake.rotate("second")
    with pytest.raises(Missing):
        await cluster.get(CONFIGMAPS, "a")


async def test_k01_what_is_too_old_has_expired_however_it_is_said(
    fake: Fake, cluster: Cluster
) -> None:
    page = await cluster.list(CONFIGMAPS, Seen)
    async with aclosing(cluster.watch(CONFIGMAPS, Seen, version=page.version)) as events:
        await anext(events)
        fake.trouble.arm(Fault.EXPIRE)
        with pytest.raises(Expired):
            await take(events, 1)
    fake.store.compact()
    with pytest.raises(Expired):
        await take(cluster.watch(CONFIGMAPS, Seen, version=page.version), 1)


async def test_k01_pages_of_a_list_that_is_too_old_expire(fake: Fake, cluster: Cluster) -> None:
    for name in "abc":
        fake.add(CONFIGMAPS, name)
    page = await cluster.list(CONFIGMAPS, Seen, limit=2)
    fake.store.compact()
    with pytest.raises(Expired):
        await cluster.list(CONFIGMAPS, Seen, limit=2, token=page.token)


async def test_k01_an_empty_answer_is_a_watch_that_ends(fake: Fake, cluster: Cluster) -> None:
    fake.trouble.arm(Fault.EMPTY, "watch")
    assert [event async for event in cluster.watch(CONFIGMAPS, Seen, version="1")] == []


async def test_k02_a_watch_that_says_nothing_is_given_up(fake: Fake, cluster: Cluster) -> None:
    page = await cluster.list(CONFIGMAPS, Seen)
    async with aclosing(cluster.watch(CONFIGMAPS, Seen, version=page.version)) as events:
        await anext(events)
        fake.trouble.arm(Fault.SILENT)
        with pytest.raises(Away, match="in time"):
            await take(events, 1)


async def test_a_watch_that_breaks_off_is_away(fake: Fake, cluster: Cluster) -> None:
    page = await cluster.list(CONFIGMAPS, Seen)
    async with aclosing(cluster.watch(CONFIGMAPS, Seen, version=page.version)) as events:
        await anext(events)
        fake.trouble.arm(Fault.CUT)
        with pytest.raises(Away):
            await take(events, 1)


async def test_k10_a_line_beyond_the_limit_is_refused_and_one_below_is_read(fake: Fake) -> None:
    limits = msgspec.structs.replace(QUICK, watch_line=2 << 20)
    async with open_cluster(str(fake.kubeconfig), "", fake.namespace, limits) as cluster:
        page = await cluster.list(CONFIGMAPS, Seen)
        async with aclosing(cluster.watch(CONFIGMAPS, Seen, version=page.version)) as events:
            fake.add(CONFIGMAPS, "a", data={"one": "x" * 1_500_000})
            [event] = await take(events, 1)
            assert event.object is not None
            fake.add(CONFIGMAPS, "b", data={"one": "x" * 2_500_000})
            with pytest.raises(Away, match="a line of more than"):
                await take(events, 1)


async def test_k10_five_thousand_pods_come_in_pages(fake: Fake, cluster: Cluster) -> None:
    for number in range(5000):
        fake.add(
            PODS,
            f"p-{number:04}",
            spec={"containers": [], "nodeName": "elsewhere"},
            status={"phase": "Succeeded"},
        )
    names: list[str] = []
    token = ""
    while True:
        page = await cluster.list(PODS, Seen, token=token, everywhere=True)
        assert len(page.items) <= 500
        names += [item.metadata.name for item in page.items]
        if not (token := page.token):
            break
    assert names == [f"p-{number:04}" for number in range(5000)]


async def test_long_lines_of_a_log_are_cut_and_the_next_ones_are_whole(fake: Fake) -> None:
    fake.add(PODS, "p", spec={"containers": [{"name": "c"}]}, status={"phase": "Succeeded"})
    fake.log("p", "c", b"2026-01-01T00:00:00Z " + b"x" * 5000, b"2026-01-01T00:00:01Z y")
    limits = msgspec.structs.replace(QUICK, log_line=1000)
    async with open_cluster(str(fake.kubeconfig), "", fake.namespace, limits) as cluster:
        lines = [line async for line in cluster.log("p", "c", follow=False)]
    assert [len(line) for line in lines] == [1000, 22]


async def test_three_hundred_calls_at_once_are_no_storm(fake: Fake) -> None:
    limits = Limits(in_flight=8, rate=10_000.0)
    most = now = 0

    async def counted(request: Any, handler: Any) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)  # so that others come meanwhile
        try:
            return await handler(request)
        finally:
            now -= 1

    fake.middle.append(counted)
    async with open_cluster(str(fake.kubeconfig), "", fake.namespace, limits) as cluster:
        names = [f"a-{number}" for number in range(300)]
        await asyncio.gather(*(cluster.apply(configmap(name, one="1")) for name in names))
    assert len(fake.truth(CONFIGMAPS)) == 300
    assert most == 8


async def test_nothing_to_log_in_with_is_told_at_once(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", "nothing: here", "a: [", '{"current-context": "x"}'):
        (tmp_path / "kubeconfig").write_text(text)
        with pytest.raises(Permanent, match="credentials"):
            async with open_cluster(str(tmp_path / "kubeconfig"), "", "n"):
                pass
    with pytest.raises(Permanent, match="credentials"):
        async with open_cluster(str(tmp_path / "none"), "", "n"):
            pass


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    certificate, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=fake"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    )
    return certificate, key


async def test_k06_in_a_pod_its_own_account_is_used_and_its_new_token_is_read(
    tmp_path: Path, authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    async with open_fake(tmp_path, context=context) as fake:
        inside = "kubernetes_asyncio.config.incluster_config"
        monkeypatch.setattr(f"{inside}.SERVICE_TOKEN_FILENAME", str(fake.token))
        monkeypatch.setattr(f"{inside}.SERVICE_CERT_FILENAME", str(authority[0]))
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(fake.port))
        async with open_cluster("", "", fake.namespace, QUICK) as cluster:
            await cluster.apply(configmap("a", one="1"))
            fake.rotate("second")
            assert await cluster.get(CONFIGMAPS, "a")


async def test_outside_of_a_pod_there_is_no_account_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Permanent, match="credentials"):
        async with open_cluster("", "", "n"):
            pass


async def test_a_server_that_somebody_else_vouches_for_is_not_spoken_to(
    tmp_path: Path, authority: tuple[Path, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    async with open_fake(tmp_path, context=context) as fake:
        fake.kubeconfig.write_text(fake.kubeconfig.read_text().replace("http:", "https:"))
        async with open_cluster(str(fake.kubeconfig), "", fake.namespace, QUICK) as cluster:
            with pytest.raises(Away, match="certificate"):
                await cluster.get(CONFIGMAPS, "a")
        assert not fake.server.requests


async def test_a_server_that_is_not_there_is_away(fake: Fake) -> None:
    fake.write(1)
    async with open_cluster(str(fake.kubeconfig), "", fake.namespace, QUICK) as cluster:
        with pytest.raises(Away):
            await cluster.get(CONFIGMAPS, "a")

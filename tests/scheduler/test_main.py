"""The scheduler as it is composed: with a bus, a database and a target that is only remembered."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from services.scheduler.cluster import kubernetes
from services.scheduler.drivers import open_driver
from services.scheduler.main import WAKE, Config, compose
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import Misconfigured
from shared.events import JobScaled, JobStopping
from shared.lifecycle import MOVES
from shared.service import Floor
from tests.scheduler.stage import Stage


@pytest.fixture
async def stage(database):
    stage = Stage(database)
    await stage.prepare()
    return stage


def config(url, **more):
    return Config(database_url=url, target="fake", scheduler_port=0, look_every=0.05, **more)


def floor(database, tmp_path):
    return Floor(database, LocalBus(), Blobs.open(f"file:{tmp_path}"))


async def become(stage, job, state):
    async with asyncio.timeout(20):
        while await stage.state(job) != state:
            await asyncio.sleep(0.02)


async def test_a_job_runs_on_a_declared_gpu_and_stops(stage, database_url, tmp_path):
    stopping = asyncio.Event()
    settings = config(database_url, slipway_gpus="t4:1", slipway_prices="t4:0.4", drain=0.01)
    async with compose(settings, floor(stage.database, tmp_path)) as loops:
        tasks = [asyncio.ensure_future(loop(stopping)) for loop in loops]
        job = await stage.job(gpus=1, types=["t4"], target="fake")
        await become(stage, job, "running")
        held = await stage.database.fetch(
            "SELECT gpus.id, allocations.price FROM allocations JOIN gpus ON gpus.id = gpu"
        )
        assert [tuple(row) for row in held] == [("fake/t4-0", 0.4)]
        await stage.say(JobStopping(job=job))
        await become(stage, job, "stopped")
        stopping.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


async def test_its_door_tells_health_and_numbers(stage, database_url, tmp_path, unused_tcp_port):
    stopping = asyncio.Event()
    settings = config(database_url)
    settings = type(settings)(
        **{f: getattr(settings, f) for f in settings.__struct_fields__}
        | {"scheduler_port": unused_tcp_port}
    )
    async with compose(settings, floor(stage.database, tmp_path)) as loops:
        tasks = [asyncio.ensure_future(loop(stopping)) for loop in loops]
        job = await stage.job(target="fake")
        await become(stage, job, "running")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as session:
            for path in ("/livez", "/readyz"):
                async with session.get(path) as answer:
                    assert answer.status == 200
            async with session.get("/metrics") as answer:
                body = await answer.text()
        assert "slipway_admission_seconds_count 1.0" in body
        stopping.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slipway_gpus": "t4"}, "SLIPWAY_GPUS: 't4' is not TYPE:NUMBER"),
        ({"slipway_prices": "t4:x"}, "SLIPWAY_PRICES: the price of t4 is not a number"),
    ],
)
async def test_a_wrong_setting_stops_the_process_with_its_name(
    database, database_url, tmp_path, given, message
):
    with pytest.raises(Misconfigured) as caught:
        async with compose(config(database_url, **given), floor(database, tmp_path)):
            raise AssertionError
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "Moon!"}, "TARGET: 'Moon!' is no target"),
        ({"target": "x" * 64}, "TARGET: "),
        ({}, "DOORMAN_IMAGE: is needed for a cluster"),
        ({"doorman_image": "d", "doorman_key": ""}, "DOORMAN_KEY: is needed for a cluster"),
        ({"doorman_key": "short"}, "DOORMAN_KEY: a key must have 32 characters"),
        ({"platform": "-"}, "PLATFORM: must be a label's value"),
        ({"router_labels": "app"}, "ROUTER_LABELS: 'app' is not a label"),
        ({"router_namespace": "a=b=c"}, "ROUTER_NAMESPACE: 'a=b=c' is not a label"),
        ({"router_networks": "10.0.0.1/8"}, "ROUTER_NETWORKS: "),
        ({"dns_networks": "there"}, "DNS_NETWORKS: "),
        ({"closed_networks": "here"}, "CLOSED_NETWORKS: "),
        ({"volume_claims": "[]"}, "VOLUME_CLAIMS: is no JSON"),
    ],
)
async def test_a_wrong_setting_of_a_cluster_is_named(
    database, database_url, tmp_path, given, message
):
    settings = {"target": "moon", "doorman_key": "k" * 32} | given
    with pytest.raises(Misconfigured) as caught:
        async with compose(
            Config(database_url=database_url, **settings), floor(database, tmp_path)
        ):
            raise AssertionError
    assert message in str(caught.value)


def test_it_wakes_for_facts_that_exist():
    assert set(MOVES) & set(WAKE)
    assert JobScaled in WAKE


def test_the_settings_of_a_cluster_are_what_its_driver_is_told():
    told = kubernetes(
        Config(
            database_url="",
            kubeconfig="/k",
            kube_context="eu",
            doorman_image="registry/doorman@sha256:0",
            doorman_key=f"{'a' * 32}, {'b' * 32}",
            router_labels="app=router,tier=front",
            scheduler_labels="app=scheduler",
            router_networks="10.2.0.0/16, 10.3.0.1",
            dns_networks="169.254.169.254",
            volume_claims='{"models": ["ann/house"]}',
            network_policies="required",
        ),
        "eu",
        7.0,
    )
    assert (told.kubeconfig, told.context, told.target, told.grace) == ("/k", "eu", "eu", 7.0)
    assert told.doorman_key == "a" * 32
    assert told.routers == {"app": "router", "tier": "front"}
    assert told.schedulers == {"app": "scheduler"}
    assert told.router_namespace is None
    assert told.router_networks == ("10.2.0.0/16", "10.3.0.1/32")
    assert told.dns_networks == ("169.254.169.254/32",)
    assert told.claims == {"models": ("ann/house",)}
    assert told.network_policies == "required"


async def test_the_process_target_opens_in_the_platforms_folder(database, tmp_path):
    async with open_driver("process", tmp_path, Blobs.open(f"file:{tmp_path}")) as driver:
        assert await driver.observe() == {}


async def test_an_engine_that_is_away_does_not_keep_it_from_ending(stage, database_url, tmp_path):
    settings = Config(
        database_url=database_url,
        target="container",
        scheduler_port=0,
        container_socket=str(tmp_path / "nobody.sock"),
        end_replicas=True,
    )
    async with compose(settings, floor(stage.database, tmp_path)) as loops:
        assert loops

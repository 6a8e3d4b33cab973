"""The engine and the registry behind it: away, restarted, wanting a login."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from services.scheduler.driver import Phase, Refused
from services.scheduler.drivers.container import open_container, socket_url
from services.scheduler.drivers.fake import FakeDriver
from shared.blobs import Blobs
from shared.errors import Invalid, Transient
from shared.registry import Credentials
from tests.beds.podman import podman, served
from tests.beds.registry import registry
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import Base
from tests.scheduler.targets import Target, get


async def test_replicas_and_their_lines_outlive_a_restart_of_the_engines_service(
    bed: Bed, tmp_path: Path
) -> None:
    home, folder = tmp_path / "home", tmp_path / "engine"
    for each in (home, folder):
        each.mkdir()
    blobs = Blobs.open(f"file:{home / 'blobs'}")
    async with podman(folder, registries=[bed.registry], serving=False) as engine:
        own = Bed(engine, bed.registry, bed.base)
        async with open_container(home, own.url) as driver:
            on = Target("container", driver, blobs, home, own)
            work = await on.serving()
            with pytest.raises(Transient):
                await driver.start(work)
            async with served(engine):
                address = await on.started(work)
                await on.until(work.replica, Phase.READY)
            with pytest.raises(Transient):
                await driver.observe()
            assert json.loads(await get(address, "/hello")) == "hello"
            async with served(engine):
                assert (await driver.observe())[work.replica].phase is Phase.READY
                await own.inside(home, work.replica, "sh", "-c", "echo late >/proc/1/fd/1")
                assert await on.texts(work.replica, 2) == ["serving", "late"]
                await driver.stop(work.replica, 1)
                assert await driver.observe() == {}


async def test_a_registry_that_wants_a_login_gets_ours(tmp_path: Path) -> None:
    home, kept = tmp_path / "home", tmp_path / "registry"
    for each in (home, tmp_path / "engine"):
        each.mkdir()
    async with registry(kept) as address:
        bed = Bed(None, address, Base())
        blobs = Blobs.open(f"file:{home / 'blobs'}")
        work = await Target("container", FakeDriver(), blobs, home, bed).shell("true")
    port, login = int(address.rpartition(":")[2]), {"username": "us", "password": "secret"}
    ours = Credentials.decode(msgspec.json.encode({"auths": {address: login}}))
    async with (
        registry(kept, port=port, users={"us": "secret"}),
        podman(tmp_path / "engine", registries=[address]) as engine,
    ):
        async with open_container(home, engine.url) as driver:
            refused = await driver.start(work)
            assert isinstance(refused, Refused)
            assert "registry does not give" in refused.reason
        async with open_container(home, engine.url, ours) as driver:
            refused = await driver.start(work)  # it came, and it has no shell
            assert isinstance(refused, Refused)
            assert "its image has no /bin/sh" in refused.reason
            assert await driver.observe() == {}
        assert engine.run("ps", "--all", "--quiet") == ""
        assert "slipway" not in engine.run("network", "ls")


async def test_a_registry_that_is_away_is_trouble_that_passes(bed: Bed, tmp_path: Path) -> None:
    blobs = Blobs.open(f"file:{tmp_path / 'blobs'}")
    async with open_container(tmp_path, bed.url) as driver:
        # an image that the engine has from nowhere else: it knows them by their digests
        work = await Target("container", driver, blobs, tmp_path, bed).shell("echo nobody has this")
        nobody = msgspec.structs.replace(work, repository="127.0.0.1:9/tests/app")
        with pytest.raises(Transient, match="can't be pulled now"):
            await driver.start(nobody)
        await driver.stop(work.replica, 0)


def test_the_engine_is_where_it_was_said_to_be() -> None:
    assert socket_url("/x/podman.sock", "tcp://10.0.0.1:2375") == "unix:///x/podman.sock"
    assert socket_url("tcp://10.0.0.2:2375", "") == "tcp://10.0.0.2:2375"
    assert socket_url("", "tcp://10.0.0.1:2375") == "tcp://10.0.0.1:2375"


def test_without_a_word_it_is_looked_for_where_engines_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path == f"{tmp_path}/podman/podman.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert socket_url("", "") == f"unix://{tmp_path}/podman/podman.sock"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(Invalid, match="CONTAINER_SOCKET"):
        socket_url("", "")

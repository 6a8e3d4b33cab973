from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from services.builder.recipe import Host, container
from services.scheduler.drivers.process.spec import environment as target
from services.scheduler.workload import METADATA, workload
from shared.database.jobs import Job
from shared.database.versions import Version, VersionState
from shared.endpoint import Command, Definition, Endpoint, File
from shared.ids import DeploymentId, JobId, VersionId
from shared.lifecycle import State

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ENDPOINT = Endpoint(
    name="predict-digit",
    format="valohai",
    entry=Command(lines=("serve",)),
    port=5000,
    readiness="listening",
    files=(File(name="model", path="model.pb"),),
    environment={"MODE": "fast", "SLIPWAY_JOB": "mine"},
)
HOST = Host(python="3.11.7", platform="linux-x86_64", architecture="amd64")
JOB = Job(
    seq=1,
    id=JobId("j1"),
    owner="ruksi",
    project="mnist",
    kind="endpoint",
    name="americas/20181002.0/predict-digit",
    version=VersionId("v1"),
    endpoint="predict-digit",
    target="process",
    gpu_types=(),
    gpu_count=0,
    state=State.STARTING,
    attempt=3,
    reason="",
    addresses=(),
    copies=3,
    granted=2,
    restarts=0,
    created_at=NOW,
    changed_at=NOW,
    queued_at=NOW,
)


def version(endpoint=ENDPOINT, **changes):
    found = Version(
        seq=1,
        id=VersionId("v1"),
        owner="ruksi",
        project="mnist",
        deployment=DeploymentId("d1"),
        deployment_name="americas",
        name="20181002.0",
        state=VersionState.READY,
        definition=Definition(
            source="sha256:" + "a" * 64,
            endpoints=(endpoint,),
            files={"predict-digit": {"model": "sha256:" + "b" * 64}},
        ),
        images={endpoint.name: "sha256:" + "c" * 64},
        notes=(),
        reason="",
        created_at=NOW,
        changed_at=NOW,
    )
    return msgspec.structs.replace(found, **changes)


def made(endpoint=ENDPOINT):
    found = workload(JOB, version(endpoint), ("0", "1"), "http://router:8000/")
    assert found is not None
    return found


def test_a_valohai_endpoint_is_told_its_prefix_and_port():
    assert made().environment == {
        "SLIPWAY_JOB": "j1",
        "SLIPWAY_ATTEMPT": "3",
        "VH_DEFAULT_PREFIX": "/ruksi/mnist/americas/20181002.0/predict-digit",
        "VALOHAI_PORT": "5000",
    }


def test_the_metadata_is_where_people_look_for_it_and_says_what_is_known():
    files = made().files
    assert set(files) == {f"/valohai/{METADATA}", f"/valohai/code/{METADATA}"}
    assert len(set(files.values())) == 1
    document = msgspec.json.decode(files[f"/valohai/{METADATA}"])
    assert set(document) == {"deployment", "endpoint", "meta", "project", "version"}
    assert document["version"]["commit"] == {"identifier": "~" + "a" * 64}
    assert document["version"]["endpoint_urls"] == {
        "predict-digit": "http://router:8000/ruksi/mnist/americas/20181002.0/predict-digit"
    }
    assert document["endpoint"]["files"] == [
        {"name": "model", "path": "model.pb", "datum": {"name": "model", "sha256": "b" * 64}}
    ]
    assert document["deployment"]["name"] == "americas"


def test_a_proximl_endpoint_gets_neither():
    found = made(msgspec.structs.replace(ENDPOINT, format="proximl"))
    assert found.files == {}
    assert set(found.environment) == {"SLIPWAY_JOB", "SLIPWAY_ATTEMPT"}


@pytest.mark.parametrize("promised", ["PATH", "PORT", "HOME", "PYTHONPATH", "PYTHONUSERBASE"])
def test_what_the_image_promises_wins_over_what_its_owner_set(promised):
    owned = msgspec.structs.replace(ENDPOINT, format="proximl", environment={promised: "/theirs"})
    env = target(container(owned, HOST), made(owned), {})
    assert env[promised] != "/theirs"
    if promised in ("PATH", "PYTHONPATH"):
        assert env[promised].endswith(":/theirs")


def test_its_gpus_go_with_it():
    assert made().devices == ("0", "1")


@pytest.mark.parametrize(
    "broken",
    [version(images={}), version(msgspec.structs.replace(ENDPOINT, name="other"))],
    ids=["no image", "no such endpoint"],
)
def test_without_an_image_there_is_nothing_to_run(broken):
    assert workload(JOB, broken, (), "") is None

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from services.builder.recipe import Host, container
from services.scheduler.drivers.process.spec import environment as target
from services.scheduler.workload import METADATA, PROMISED, workload
from shared.affinity import Affinity
from shared.application import Configuration, Quantities
from shared.contract import Contract, Field
from shared.database.jobs import Job
from shared.database.versions import Version, VersionState
from shared.endpoint import (
    Autoscaling,
    Command,
    Definition,
    Endpoint,
    File,
    Model,
    Range,
    Resources,
    Run,
    Toleration,
)
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

X = Field(name="x", dtype="int64", shape=())
MODEL = Endpoint(
    name="predict-digit",
    format="hydrosphere",
    entry=Model(contract=Contract(inputs=(X,), outputs=(X,))),
    port=9091,
    readiness="listening",
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


def made(endpoint=ENDPOINT, configuration=None):
    job = msgspec.structs.replace(JOB, configuration=configuration or Configuration())
    found = workload(job, version(endpoint), ("0", "1"), "http://router:8000/")
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


def test_a_batch_job_has_its_command_and_what_was_said_with_it():
    scaled = msgspec.structs.replace(ENDPOINT, autoscaling=Autoscaling(max=3), replicas=2)
    run = Run(lines=("train",), variables={"SEED": "1", "SLIPWAY_OUTPUTS": "/elsewhere"})
    made = workload(msgspec.structs.replace(JOB, run=run), version(scaled), (), "")
    assert made is not None
    assert (made.run, made.endpoint.autoscaling, made.endpoint.replicas) == (run, None, 1)
    assert made.environment["SEED"] == "1"
    assert made.environment["SLIPWAY_OUTPUTS"] == "/slipway/outputs"
    assert made.environment["SLIPWAY_ATTEMPT"] == "3"


def test_a_model_is_told_its_port_and_its_folder():
    found = made(MODEL)
    assert found.files == {}
    assert found.environment == {
        "SLIPWAY_JOB": "j1",
        "SLIPWAY_ATTEMPT": "3",
        "APP_PORT": "9091",
        "MODEL_DIR": "/model",
    }


def test_without_a_configuration_its_endpoint_is_as_it_was_built():
    assert made(MODEL).endpoint == MODEL
    assert made(ENDPOINT).endpoint == ENDPOINT


def test_a_configuration_is_laid_over_the_endpoint():
    said = Configuration(
        replicas=7,
        autoscaling=Autoscaling(max=4),
        requests=Quantities(cpu=0.5, memory=256.0),
        limits=Quantities(cpu=2.0, memory=1024.0, gpus=1),
        variables={"MODE": "fast"},
        node_labels={"disk": "ssd"},
        affinity=Affinity(),
        tolerations=(Toleration(key="gpu", operator="Exists"),),
    )
    found = made(MODEL, said)
    assert found.endpoint == msgspec.structs.replace(
        MODEL,
        autoscaling=Autoscaling(max=4),
        resources=Resources(cpu=Range(min=0.5, max=2.0), memory=Range(min=256.0, max=1024.0)),
        variables={"MODE": "fast"},
        node_labels={"disk": "ssd"},
        affinity=Affinity(),
        tolerations=(Toleration(key="gpu", operator="Exists"),),
    )
    assert found.environment["MODE"] == "fast"
    assert found.copies == JOB.granted


def test_what_a_configuration_does_not_say_stays():
    own = msgspec.structs.replace(
        MODEL,
        resources=Resources(cpu=Range(min=1.0, max=2.0), disk=Range(max=100.0)),
        node_labels={"zone": "a"},
        variables={"A": "1", "B": "1"},
        autoscaling=Autoscaling(max=2),
    )
    said = Configuration(
        limits=Quantities(cpu=4.0), node_labels={"disk": "ssd"}, variables={"B": "2"}
    )
    found = made(own, said).endpoint
    assert found.resources == Resources(cpu=Range(min=1.0, max=4.0), disk=Range(max=100.0))
    assert found.node_labels == {"zone": "a", "disk": "ssd"}
    assert found.variables == {"A": "1", "B": "2"}
    assert found.autoscaling == Autoscaling(max=2)


def test_a_target_is_not_told_of_autoscaling_that_the_platform_does_itself():
    for scaling in (Autoscaling(max=4, requests=8), Autoscaling(max=4, waiting=2)):
        own = msgspec.structs.replace(MODEL, autoscaling=scaling)
        assert made(own).endpoint.autoscaling is None
        assert made(own).copies == JOB.granted


@pytest.mark.parametrize("name", [*PROMISED, "APP_PORT", "MODEL_DIR", "SLIPWAY_JOB"])
def test_a_configuration_can_not_take_from_an_image_what_it_needs(name):
    found = made(MODEL, Configuration(variables={name: "theirs", "MODE": "fast"}))
    assert "theirs" not in found.environment.values()
    assert found.environment["MODE"] == "fast"
    assert name not in PROMISED or name not in found.endpoint.variables

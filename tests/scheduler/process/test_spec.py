"""What a server is told, from its image, its job and this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.scheduler.drivers.limits import Limits
from services.scheduler.drivers.process.spec import PLACES, environment, plain
from shared.image import ContainerConfig
from tests.scheduler.images import workload

CONFIG = ContainerConfig(
    entrypoint=("/bin/sh", "-c", "cd /valohai/code && python /slipway/runtime/wsgi.py"),
    env=("A=1=2", "B=image", "PATH=/opt/x/bin"),
    working_dir="/valohai/code",
)


def test_the_workload_wins_over_the_image_and_the_target_over_both() -> None:
    work = workload(
        "sha256:0",
        environment={"B": "job", "CUDA_VISIBLE_DEVICES": "0,1,2,3", "PORT": "9"},
        devices=("3",),
    )
    env = environment(CONFIG, work, {"TZ": "UTC", "SECRET": "x"})
    assert (env["A"], env["B"], env["PORT"], env["TZ"]) == ("1=2", "job", "9", "UTC")
    assert env["CUDA_VISIBLE_DEVICES"] == env["NVIDIA_VISIBLE_DEVICES"] == "3"
    assert env["PATH"] == "/slipway/bin:/opt/x/bin"
    assert "SECRET" not in env


def test_without_a_device_it_sees_none() -> None:
    env = environment(CONFIG, workload("sha256:0"), {})
    assert (env["CUDA_VISIBLE_DEVICES"], env["NVIDIA_VISIBLE_DEVICES"]) == ("", "void")


def test_without_mounts_paths_into_the_image_are_rewritten() -> None:
    told = plain(
        CONFIG,
        workload("sha256:0"),
        platform={},
        root=Path("/h/r/image"),
        socket="/s.sock",
        limits=Limits(),
    )
    assert told.argv[2] == (
        "cd /h/r/image/valohai/code && python /h/r/image/slipway/runtime/wsgi.py"
    )
    assert told.cwd == "/h/r/image/valohai/code"
    assert told.env["PYTHONUSERBASE"] == "/h/r/image/slipway/python"


def test_a_models_folder_is_rewritten_for_models_alone() -> None:
    config = ContainerConfig(
        entrypoint=("python", "/slipway/runtime/model_server.py"),
        env=("MODEL_DIR=/model", "PYTHONPATH=/model/files/src", "OTHER=/models:/valohai"),
        working_dir="/model/files",
    )
    work = workload("sha256:0")
    model = msgspec.structs.replace(
        work, endpoint=msgspec.structs.replace(work.endpoint, format="hydrosphere")
    )
    told = plain(
        config, model, platform={}, root=Path("/h/r/image"), socket="/s.sock", limits=Limits()
    )
    assert told.argv[1] == "/h/r/image/slipway/runtime/model_server.py"
    assert told.cwd == "/h/r/image/model/files"
    assert told.env["MODEL_DIR"] == "/h/r/image/model"
    assert told.env["PYTHONPATH"] == "/h/r/image/model/files/src"
    assert told.env["OTHER"] == "/models:/valohai"
    others = plain(
        config, work, platform={}, root=Path("/h/r/image"), socket="/s.sock", limits=Limits()
    )
    assert others.env["MODEL_DIR"] == "/model"


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("/slipway", "!/slipway"),
        ("x=/valohai/code:/opt/ml/models/m", "x=!/valohai/code:!/opt/ml/models/m"),
        ("/home/me/valohai/code", "/home/me/valohai/code"),
        ("/slipways /valohai.d", "/slipways /valohai.d"),
        ("https://x.io/valohai/", "https://x.io/valohai/"),
        ("'/opt/ml/models'", "'!/opt/ml/models'"),
    ],
)
def test_only_whole_paths_are_rewritten(text: str, moved: str) -> None:
    assert PLACES.sub("!", text) == moved

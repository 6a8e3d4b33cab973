"""How an image starts and what it sees, as values."""

from __future__ import annotations

import msgspec
import pytest

from services.builder import recipe
from shared.endpoint import Endpoint, Route, Routes, Wsgi
from shared.image import ContainerConfig
from tests.builder import made

HOST = recipe.Host(python="3.11.7", platform="linux-x86_64-glibc-2.36", architecture="amd64")
ROUTES = Routes(routes=(Route(verb="POST", path="/predict", file="predict", function="f"),))


@pytest.mark.parametrize(
    ("endpoint", "entrypoint"),
    [
        (made.endpoint(), ("/bin/sh", "-c", "exec python serve.py")),
        (
            made.endpoint(entry=Wsgi(app="pkg.app:create")),
            ("python", "/slipway/runtime/wsgi.py", "pkg.app:create"),
        ),
        (
            made.endpoint(format="proximl", entry=ROUTES),
            ("python", "/slipway/runtime/routes.py"),
        ),
    ],
)
def test_each_kind_of_endpoint_has_its_start(
    endpoint: Endpoint, entrypoint: tuple[str, ...]
) -> None:
    assert recipe.entrypoint(endpoint, HOST) == entrypoint


BASE = ContainerConfig(
    entrypoint=("/entry",),
    env=(
        "PATH=/opt/conda/bin:/usr/bin",
        "LANG=C.UTF-8",
        "LD_PRELOAD=/evil.so",
        "LD_LIBRARY_PATH=/x",
        "NVIDIA_VISIBLE_DEVICES=all",
        "MODEL=base",
        "broken",
    ),
    user="root",
)
IN_BASE = msgspec.structs.replace(HOST, executable="/usr/bin/python3.11")


def test_of_a_base_only_harmless_variables_are_inherited() -> None:
    found = recipe.environment(made.endpoint(environment={"MODEL": "mine"}), HOST, BASE)
    assert (found["LANG"], found["MODEL"]) == ("C.UTF-8", "mine")
    assert not [name for name in found if name.startswith(("LD_", "NVIDIA_"))]


def test_a_bases_path_is_searched_after_ours_and_before_our_names_for_its_python() -> None:
    found = recipe.environment(made.endpoint(), HOST, BASE)["PATH"].split(":")
    assert found[0] == "/slipway/python/bin"
    assert found[-3:] == ["/opt/conda/bin", "/usr/bin", "/slipway/bin"]


def test_what_tools_of_the_machine_would_obey_is_nobodys_to_set() -> None:
    found = recipe.environment(
        made.endpoint(environment={"LD_PRELOAD": "/x", "LD_AUDIT": "/y"}), HOST
    )
    assert not {"LD_PRELOAD", "LD_AUDIT"} & found.keys()


def test_our_launchers_are_started_by_the_bases_own_python() -> None:
    container = recipe.container(made.endpoint(entry=Wsgi(app="app")), IN_BASE, BASE)
    assert container.entrypoint[0] == "/usr/bin/python3.11"
    assert container.user == "1000:1000"
    assert recipe.runtime_links(IN_BASE)["/slipway/bin/python"] == "/usr/bin/python3.11"
    assert recipe.runtime_links(HOST) == {}


def test_a_virtual_environment_of_the_base_is_told_where_packages_are() -> None:
    host = msgspec.structs.replace(IN_BASE, venv=True)
    found = recipe.environment(made.endpoint(environment={"PYTHONPATH": "/own"}), host, BASE)
    assert found["PYTHONPATH"] == "/own:/slipway/python/lib/python3.11/site-packages"


def test_valohai_sees_its_port_and_our_python_first() -> None:
    found = recipe.environment(made.endpoint(port=5000), HOST)
    assert found["PORT"] == found["VALOHAI_PORT"] == "5000"
    assert found["PATH"].split(":")[:2] == ["/slipway/python/bin", "/slipway/home/.local/bin"]
    assert found["PYTHONUSERBASE"] == "/slipway/python"
    assert found["HOME"] == "/slipway/home"
    assert found["PYTHONUNBUFFERED"] == "1"
    assert "PYTHONPATH" not in found


def test_proximl_sees_its_folders_under_all_three_names() -> None:
    found = recipe.environment(made.endpoint(format="proximl"), HOST)
    for prefix in ("ML", "TRAINML", "PROXIML"):
        assert found[f"{prefix}_MODEL_PATH"] == "/opt/ml/models"
        assert found[f"{prefix}_DATA_PATH"] == "/opt/ml/input"
        assert found[f"{prefix}_OUTPUT_PATH"] == "/opt/ml/output"
        assert found[f"{prefix}_CHECKPOINT_PATH"] == "/opt/ml/checkpoint"
    assert found["PYTHONPATH"] == "/opt/ml/models"
    assert "VALOHAI_PORT" not in found


def test_the_owners_variables_stand_under_what_is_promised() -> None:
    own = {"PORT": "1", "HOME": "/", "MODEL": "m", "PATH": "/opt/bin", "PYTHONUNBUFFERED": ""}
    found = recipe.environment(made.endpoint(environment=own), HOST)
    assert (found["PORT"], found["HOME"], found["MODEL"]) == ("8000", "/slipway/home", "m")
    assert found["PATH"].endswith(":/opt/bin")
    assert found["PATH"].startswith("/slipway/python/bin:")
    assert found["PYTHONUNBUFFERED"] == ""


@pytest.mark.parametrize(
    ("asked_for", "packages"),
    [((), ("gunicorn",)), (("gunicorn",), ()), (("flask",), ("gunicorn",))],
)
def test_the_server_is_added_where_our_launchers_need_it(
    asked_for: tuple[str, ...], packages: tuple[str, ...]
) -> None:
    assert recipe.packages(made.endpoint(entry=ROUTES), asked_for) == packages
    assert recipe.packages(made.endpoint(), asked_for) == ()


def test_packages_of_the_endpoint_come_first() -> None:
    endpoint = made.endpoint(entry=ROUTES, pip_packages=("numpy==2.0",))
    assert recipe.packages(endpoint, ()) == ("numpy==2.0", "gunicorn")


def test_a_key_tells_every_input_apart() -> None:
    keys = {
        recipe.python_key(project, host, files, extra, indexes, tree)
        for project in ("acme/web", "acme/api")
        for host in (HOST, msgspec.structs.replace(HOST, python="3.12.1"))
        for files in ({"requirements.txt": "six"}, {"requirements.txt": "rich"}, {})
        for extra in ((), ("gunicorn",))
        for indexes in ("a", "b")
        for tree in ("", "sha256:x")
    }
    assert len(keys) == 2 * 2 * 3 * 2 * 2 * 2


def test_a_key_does_not_depend_on_the_order_of_names() -> None:
    one = recipe.files_key("acme/web", {"/c/a": "1", "/c/b": "2"})
    assert one == recipe.files_key("acme/web", {"/c/b": "2", "/c/a": "1"})
    assert one.startswith("files:")


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert recipe.key("k", "ab", "c") != recipe.key("k", "a", "bc")


def test_a_base_image_that_is_not_used_is_spoken_of() -> None:
    said = recipe.note(
        made.endpoint("predict-digit", image="tensorflow/tensorflow:1.3.0-py3"), HOST
    )
    assert said == (
        "endpoint predict-digit: base image tensorflow/tensorflow:1.3.0-py3 is not used on this "
        "target; the machine's Python 3.11.7 runs the code"
    )
    assert recipe.note(made.endpoint(), HOST) is None

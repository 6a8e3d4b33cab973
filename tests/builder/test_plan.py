"""Who does a model's install lines, by what its runtime is and what there is on the target."""

from __future__ import annotations

import pytest

from services.builder.base.look import Look, Package, Python
from services.builder.plan import Plan, plan
from services.builder.python.request import NOTHING, Request
from tests.builder import made

LINE = "pip install -r requirements.txt"
ASKED = Request(files=("requirements.txt",))
PLAIN = Look()
WITH_PIP = Look(distributions=(Package(name="pip", version="24.0"),))
VENV = Look(python=Python(executable="/venv/bin/python", version="3.11.2", names=(), venv=True))


@pytest.mark.parametrize("look", [None, PLAIN, WITH_PIP])
@pytest.mark.parametrize("engine", [True, False])
def test_pip_for_our_model_server_is_the_installers(look: Look | None, engine: bool) -> None:
    assert plan(made.model(LINE), look, engine=engine) == Plan(request=ASKED)


def test_a_runtime_of_its_owner_runs_its_own_pip_where_it_can() -> None:
    own = made.model(LINE, server="runtime", image="acme/runtime:1")
    found = plan(own, WITH_PIP, engine=True)
    assert (found.request, found.lines) == (NOTHING, (LINE,))
    assert "PIP_USER" not in found.environment
    assert plan(own, PLAIN, engine=True) == Plan(request=ASKED)
    assert plan(own, WITH_PIP, engine=False) == Plan(request=ASKED)


def test_what_is_more_than_pip_is_run_beside_what_our_server_needs() -> None:
    found = plan(made.model("make model"), PLAIN, engine=True)
    assert found.shell
    assert found.environment["PYTHONUSERBASE"] == "/slipway/python"
    assert found.environment["PIP_USER"] == "1"
    assert "PIP_USER" not in plan(made.model("make model"), VENV, engine=True).environment


def test_without_a_line_nothing_is_asked_for_not_even_the_projects_requirements() -> None:
    assert plan(made.model(), None, engine=False) == Plan(request=NOTHING)


def test_other_formats_have_their_lines_run_inside_their_base_as_ever() -> None:
    assert plan(made.endpoint(install=(LINE,)), WITH_PIP, engine=True) == Plan(lines=(LINE,))

"""Imports an example's files as the platform does: with its folder first on the path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

Import = Callable[[str], ModuleType]


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Imports a module of the example that the test's module names as EXAMPLE."""
    monkeypatch.syspath_prepend(str(EXAMPLES / request.module.EXAMPLE))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:  # other examples have modules of the same names
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(EXAMPLES):
            del sys.modules[name]

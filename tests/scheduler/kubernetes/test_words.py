"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from services.scheduler.drivers.kubernetes import errors, kinds, pace, picture


@pytest.mark.parametrize("module", [errors, kinds, pace, picture])
def test_examples_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed

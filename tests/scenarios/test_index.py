"""Every situation of the catalogue has a test, and every test that is named is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scenarios import HELD_BY

ROOT = Path(__file__).parents[2]
GROUPS = {"S": 19, "L": 10, "C": 6, "D": 9}
ALL = [f"{group}{number:02}" for group, last in GROUPS.items() for number in range(1, last + 1)]
ALL += ["D13"]


def test_every_situation_has_a_test():
    assert sorted(HELD_BY) == sorted(ALL)


@pytest.mark.parametrize("situation", ALL)
def test_the_tests_of_a_situation_are_there(situation):
    for named in HELD_BY[situation]:
        path, _, name = named.partition("::")
        text = (ROOT / path).read_text()
        assert re.search(rf"^(async )?def {name}", text, re.M), named

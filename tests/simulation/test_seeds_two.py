"""Every rule holds in the other thousand seeds. (Two files, for two workers to share them.)"""

from __future__ import annotations

import pytest

from tests.simulation.seeds import FIRSTS, hold


@pytest.mark.parametrize("first", FIRSTS[4:8])
def test_every_rule_holds_from_seed(postgres_url, first):
    hold(postgres_url, first)

"""Every rule holds in the first thousand seeds. (Two files, for two workers to share them.)"""

from __future__ import annotations

import pytest

from tests.simulation.seeds import FIRSTS, hold


@pytest.mark.parametrize("first", FIRSTS[0:4])
def test_every_rule_holds_from_seed(postgres_url, first):
    hold(postgres_url, first)

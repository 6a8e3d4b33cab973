"""Names fit wherever they are used."""

from __future__ import annotations

import re

from shared import ids


def test_a_name_is_a_dns_label_and_a_file_name_and_tells_what_it_names() -> None:
    assert re.fullmatch(r"j[0-9a-hjkmnp-tv-z]{12}", ids.new("j"))


def test_names_do_not_repeat() -> None:
    assert len({ids.new("v") for _ in range(10_000)}) == 10_000

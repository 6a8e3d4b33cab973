"""What a service consists of is not looked through for garbage."""

from __future__ import annotations

import subprocess
import sys

SETTLED = """
import gc
from shared import garbage
garbage.settle()
print(gc.get_freeze_count() > 1_000, gc.get_threshold()[0] == garbage.YOUNG, gc.isenabled())
"""


def test_what_was_imported_is_left_alone_and_what_comes_later_is_not() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["True", "True", "True"], said.stderr

"""When Python looks for cycles of objects that nobody can reach any more.

A service makes thousands of objects for each request and each look, nearly none of them in a cycle,
and by default is held up every few hundred to look through the young ones, and now and then through
all that it consists of: tens of milliseconds, in the middle of a decision.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 50_000  # objects made, beyond those freed, until it looks through these: some 10 MB
OLDER: Final = (20, 20)  # looks of one age until it looks through the next


def settle() -> None:
    """For all of this process, once it has imported what it needs: that is never garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *OLDER)

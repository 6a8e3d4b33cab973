"""The ports of a pod: the doorman's, and the one at which it says whether its server is ready."""

from __future__ import annotations

from typing import Final, NamedTuple

from shared.doorman import PORT, STATUS


class Doors(NamedTuple):
    door: int
    status: int


USUAL: Final = Doors(PORT, STATUS)
OTHER: Final = Doors(PORT + 10, STATUS + 10)  # of replicas whose server wants one of the usual ones


def doors(port: int) -> Doors:
    """Beside a server that listens at `port`.

    >>> doors(8000).door, doors(7201).door
    (7200, 7210)
    """
    return OTHER if port in USUAL else USUAL

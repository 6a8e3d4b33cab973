"""The ports of a pod: the doorman's, and the one at which it says whether its server is ready."""

from __future__ import annotations

from typing import Final, NamedTuple


class Doors(NamedTuple):
    door: int
    status: int


USUAL: Final = Doors(7200, 7201)
OTHER: Final = Doors(7210, 7211)  # of replicas whose server wants one of the usual ones


def doors(port: int) -> Doors:
    """Beside a server that listens at `port`.

    >>> doors(8000).door, doors(7201).door
    (7200, 7210)
    """
    return OTHER if port in USUAL else USUAL

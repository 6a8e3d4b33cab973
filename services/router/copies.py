"""The copies of one job: how much each has in hand, who could not be reached, and who is next.

Whoever can't be reached is left alone for a while, longer each time in a row. While all are left
alone one is tried now and then, so that what can't be reached is not stormed with connections, and
is found again soon. What is in hand at a copy that has left goes on to its end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from random import Random
from typing import Final

from services.router.table import Route
from shared import doorman
from shared.address import Address, has_doorman
from shared.ids import JobId

log = logging.getLogger(__name__)

SHORTEST: Final = 1.0  # seconds that a copy is left alone for the first time; then doubled
LONGEST: Final = 30.0
TRIAL: Final = 0.25  # seconds between two tries while all are left alone
MANY: Final = 16  # copies, from which on two are compared, not all


class Copy:
    __slots__ = ("address", "inside", "refused", "until")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.inside = 0  # requests in hand
        self.refused = 0  # times in a row
        self.until = 0.0  # when it may be asked again


class Copies:
    def __init__(
        self,
        job: JobId,
        keys: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self.secrets: tuple[str, ...] = ()  # that its doormen may have
        self._job = job
        self._keys = keys
        self._clock = clock
        self._random = random or Random()
        self._attempt = 0
        self._addresses: tuple[Address, ...] = ()
        self._copies: list[Copy] = []
        self._trial = 0.0  # when the next is due

    def __len__(self) -> int:
        return len(self._copies)

    def __iter__(self) -> Iterator[Copy]:
        return iter(self._copies)

    def take(self, route: Route | None) -> None:
        """The news: where they are now; None: nowhere."""
        addresses = route.addresses if route is not None and route.runs else ()
        if route is not None and route.attempt != self._attempt:
            self._attempt = route.attempt
            self.secrets = tuple(
                doorman.secret(key, self._job, route.attempt) for key in self._keys
            )
            self._copies, self._addresses = [], ()
        if addresses != self._addresses:
            known = {copy.address: copy for copy in self._copies}
            self._addresses = addresses
            self._copies = [
                known.get(address) or Copy(address) for address in dict.fromkeys(addresses)
            ]
            if not self._keys and any(map(has_doorman, addresses)):
                log.error(
                    "%s can't be reached: it has doormen, and DOORMAN_KEY is empty", self._job
                )

    def pick(self, tried: Collection[Copy] = ()) -> Copy | None:
        """Who is to be asked next, and has not been `tried`; None: nobody, now."""
        copies = self._copies
        if len(copies) == 1:
            return None if copies[0] in tried else copies[0]
        now = self._clock()
        fit = [copy for copy in copies if copy.until <= now and copy not in tried]
        if fit:
            if len(fit) > MANY:
                fit = self._random.sample(fit, 2)
            least = min(copy.inside for copy in fit)
            return self._random.choice([copy for copy in fit if copy.inside == least])
        left = [copy for copy in copies if copy not in tried]
        if not left or now < self._trial:
            return None
        self._trial = now + TRIAL
        return self._random.choice(left)

    def reached(self, copy: Copy) -> None:
        copy.refused, copy.until = 0, 0.0

    def missed(self, copy: Copy, why: str) -> None:
        """It could not be reached, and nothing was sent."""
        now = self._clock()
        if copy.until > now:  # so somebody has just said
            return
        copy.until = now + min(LONGEST, SHORTEST * 2.0 ** min(copy.refused, 10))
        copy.refused += 1
        if len(self._copies) > 1 or has_doorman(copy.address):
            log.warning("%s-%d at %s: %s", self._job, self._attempt, copy.address, why)

"""Which variant of a stage answers: drawn by the weights as they were written.

Hydrosphere drew a number from 0 to 99 and took the first variant whose weight was not less, which
made 40/60 of 80/20. What its documents promise is what is done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.router.gateway.targets import Variant


def pick(variants: Sequence[Variant], random: Random) -> Variant:
    """Each with a chance of its weight in all the weights; one of weight 0 never."""
    if len(variants) == 1:
        return variants[0]
    drawn = random.random() * sum(variant.weight for variant in variants)
    for variant in variants:
        drawn -= variant.weight
        if drawn < 0:
            return variant
    return max(variants, key=lambda variant: variant.weight)  # all are 0, or rounding

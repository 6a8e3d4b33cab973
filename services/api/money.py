"""What holding GPUs cost, exactly. Pure.

A cost is in seconds times the price of an hour, as the database sums it: nothing of it is rounded.
Money is that divided by 3600, which decimals can't always say, so it is rounded once, half to even,
to millionths. Lines are rounded at the running sum rather than one by one: so they add up to the
total to the last digit, whatever they are by, and each is within a millionth of its own cost.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

HOUR: Final = 3600
PLACES: Final = 6


def money(cost: Decimal) -> Decimal:
    """`cost` as money.

    >>> money(Decimal("5400") * Decimal("0.5")), money(Decimal("0.0018"))
    (Decimal('0.750000'), Decimal('0.000000'))
    """
    parts, of = cost.as_integer_ratio()
    whole, rest = divmod(parts * 10**PLACES, of * HOUR)
    twice = 2 * rest - of * HOUR
    return Decimal(whole + (twice > 0 or (twice == 0 and whole % 2))).scaleb(-PLACES)


def part(cost: Decimal, upto: Decimal) -> Decimal:
    """The money of a line of this cost, where it and all lines before it cost `upto`.

    >>> [str(part(Decimal("0.0024"), Decimal("0.0024") * n)) for n in (1, 2, 3)]
    ['0.000001', '0.000000', '0.000001']
    """
    return money(upto) - money(upto - cost)

"""Kubernetes' quantities: `500m`, `1.5`, `2Gi`, `1e3` are numbers, and one has many spellings.

We write them as Kubernetes itself would: what was applied must look like what is stored.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_FORM: Final = re.compile(
    r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:([eE][+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i))?"
)
MB: Final = 1 << 20
MOST: Final = 1e12  # more vCPUs or MB than anything has; below what fits 64 bits
_UNITS: Final = {
    "": Decimal(1),
    **{unit: Decimal(10) ** power for unit, power in zip("num", (-9, -6, -3), strict=True)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def quantity(text: str | float | None) -> Decimal | None:
    """None when it is none.

    >>> quantity("1000m") == quantity(1), quantity("1Gi"), quantity("many")
    (True, Decimal('1073741824'), None)
    """
    found = _FORM.fullmatch(str(text))
    if found is None or isinstance(text, bool):
        return None
    number, exponent, unit = found.groups()
    return Decimal(number + (exponent or "")) * _UNITS[unit or ""]


def size(text: str | float | None) -> str:
    """Bytes for a person, as the formats write them: MB are 1024 * 1024.

    >>> size("512Mi"), size("1Gi"), size(None)
    ('512 MB', '1024 MB', 'none')
    """
    found = quantity(text)
    return "none" if found is None else f"{found / MB:.0f} MB"


def cpu(cores: float) -> str:
    """At least a thousandth: none would mean as many as there are.

    >>> cpu(0.5), cpu(2), cpu(1.25), cpu(4000), cpu(0)
    ('500m', '2', '1250m', '4k', '1m')
    """
    return _largest(max(1, round(cores * 1000)), 1000, ("m", "", "k", "M", "G", "T"))


def memory(mb: float) -> str:
    """At least 1 MB: none would mean as much as there is.

    >>> memory(512), memory(2048), memory(1.5), memory(0)
    ('512Mi', '2Gi', '1536Ki', '1Mi')
    """
    size = max(MB, round(mb * MB))
    return _largest(size, 1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))


def _largest(amount: int, step: int, units: tuple[str, ...]) -> str:
    """In the largest unit in which it is a whole number."""
    unit = 0
    while amount % step == 0 and unit + 1 < len(units):
        amount //= step
        unit += 1
    return f"{amount}{units[unit]}"

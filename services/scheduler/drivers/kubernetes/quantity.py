"""Kubernetes' quantities: `500m`, `1.5`, `2Gi`, `1e3` are numbers, and one has many spellings."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_FORM: Final = re.compile(
    r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:([eE][+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i))?"
)
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
    return "none" if found is None else f"{found / (1 << 20):.0f} MB"

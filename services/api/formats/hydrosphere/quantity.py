"""Kubernetes' quantities: `500m`, `1.5`, `2Gi` and `1e3` are numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_FORM: Final = re.compile(
    r"(\+?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}))"
    r"(?:([eE][+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i))?"
)
_UNITS: Final = {
    "": Decimal(1),
    **{unit: Decimal(10) ** power for unit, power in zip("num", (-9, -6, -3), strict=True)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def quantity(written: object) -> float | None:
    """None when it is none, or less than nothing.

    >>> quantity("1500m"), quantity("1Gi"), quantity(2), quantity("many"), quantity(True)
    (1.5, 1073741824.0, 2.0, None, None)
    """
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        return None
    if isinstance(written, str) and len(written) > 60:
        return None
    found = _FORM.fullmatch(str(written))
    if found is None:
        return None
    number, exponent, unit = found.groups()
    return float(Decimal(number + (exponent or "")) * _UNITS[unit or ""])

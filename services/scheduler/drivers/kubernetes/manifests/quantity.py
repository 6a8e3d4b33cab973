"""Amounts as Kubernetes itself would write them: what was applied must look like what is stored."""

from __future__ import annotations

from typing import Final

MB: Final = 1 << 20
MOST: Final = 1e12  # more vCPUs or MB than anything has; below what fits 64 bits


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

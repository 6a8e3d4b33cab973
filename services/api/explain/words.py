"""Words that several answers need. Pure."""

from __future__ import annotations

from collections.abc import Sequence

FAR = 100
"""Beyond so many jobs ahead the scheduler does not count exactly."""


def several(number: int, what: str, *, many: str = "") -> str:
    """
    >>> several(1, "job"), several(2, "copy", many="copies")
    ('1 job', '2 copies')
    """
    return f"{number} {what}" if number == 1 else f"{number} {many or what + 's'}"


def span(seconds: float) -> str:
    """As a person would say it, the rougher the longer.

    >>> span(0.4), span(70), span(3500), span(7300), span(200000)
    ('1 s', '70 s', '58 min', '2 h', '2 d')
    """
    for size, unit, most in ((1, "s", 120), (60, "min", 90), (3600, "h", 48)):
        if seconds <= size * most:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{round(seconds / 86400)} d"


def either(names: Sequence[str]) -> str:
    return " or ".join(names)


def wish(count: int, types: Sequence[str]) -> str:
    """
    >>> wish(2, ["t4", "a100"]), wish(1, []), wish(2, [])
    ('2 t4 or a100', '1 GPU of any type', '2 GPUs of any one type')
    """
    if types:
        return f"{count} {either(types)}"
    return f"{count} GPU of any type" if count == 1 else f"{count} GPUs of any one type"


def first_line(text: str) -> str:
    return text.partition("\n")[0].strip()

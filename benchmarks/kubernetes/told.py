"""What the scheduler's process tells of itself."""

from __future__ import annotations

import msgspec


class Told(msgspec.Struct, frozen=True, kw_only=True):
    calls: dict[str, int]  # `verb plural` -> requests sent
    failed: dict[str, int]  # attempts that failed, by the name of the error
    memory: int  # bytes, now
    peak: int

    def minus(self, before: Told) -> dict[str, int]:
        """The calls since then."""
        more = {what: n - before.calls.get(what, 0) for what, n in self.calls.items()}
        return {what: count for what, count in more.items() if count}

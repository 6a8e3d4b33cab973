"""Everything that the command line writes. Results go to stdout, the rest to stderr.

On a terminal tables are drawn and progress moves; in a pipe there are plain columns, no colour and
nothing moves; with --json there is JSON alone, one document, or one a line for what is followed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slipway.errors import SlipwayError

COLOURS = {
    "running": "green",
    "ready": "green",
    "failed": "red",
    "create": "green",
    "update": "yellow",
    "queued": "yellow",
    "building": "cyan",
    "starting": "cyan",
}
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def plain(text: str) -> str:
    """`text` without what would steer a terminal: logs are written by strangers."""
    return _CONTROL.sub("", text)


class Output:
    def __init__(self, *, json: bool) -> None:
        self.json = json
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def pretty(self) -> bool:
        return self._out.is_terminal and not self.json

    def value(self, value: Any, show: Callable[[], None]) -> None:
        """`value` as JSON when that is wanted, else what `show` writes."""
        if self.json:
            self.document(value)
        else:
            show()

    def document(self, value: Any) -> None:
        """JSON: indented for one document."""
        encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
        print(encoded.decode(), flush=True)

    def record(self, value: Any, show: Callable[[], None]) -> None:
        """One of many that come one after another."""
        if self.json:
            print(msgspec.json.encode(value).decode(), flush=True)
        else:
            show()

    def line(self, text: str, style: str = "") -> None:
        """A line of the result."""
        self._out.print(Text(plain(text), style=style))

    def say(self, text: str, style: str = "") -> None:
        """News for whoever watches; nothing with --json."""
        if not self.json:
            self._err.print(Text(plain(text), style=style))

    def rows(
        self, values: Sequence[Any], columns: Sequence[str], row: Callable[[Any], Sequence[Any]]
    ) -> None:
        """A list: JSON, a drawn table, or plain columns."""
        self.value(list(values), lambda: self.table(columns, [row(value) for value in values]))

    def fields(self, value: Any, given: Sequence[tuple[str, Any]]) -> None:
        """One thing: JSON, or a line for each field that has something to say."""
        self.value(value, lambda: self._fields([(k, cell(v)) for k, v in given if cell(v)]))

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """Something that moves while we wait; call what it yields to change the words."""
        if self.json or not self._err.is_terminal:
            yield lambda text: None
            return
        with self._err.status(Text(plain(text))) as status:
            yield lambda text: status.update(Text(plain(text)))

    def error(self, error: SlipwayError) -> None:
        if self.json:
            sys.stderr.write(msgspec.json.encode(error.problem).decode() + "\n")
            return
        self._err.print(Text.assemble(("error: ", "bold red"), plain(str(error))))
        told = str(error)
        for wrong in error.errors:
            said = f"{wrong.field}: {wrong.message}" if wrong.field else wrong.message
            if not told.endswith(said):  # one that is wrong alone is in the detail already
                self._err.print(Text(f"  {plain(said)}"))
        if error.hint:
            self._err.print(Text(plain(error.hint), style="dim"))

    def interrupted(self, hint: str) -> None:
        self.say(f"\ninterrupted. {hint}".rstrip())

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Drawn on a terminal, else plain columns."""
        cells = [[plain(cell(value)) for value in row] for row in rows]
        if self.pretty:
            self._draw(columns, cells)
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in [[name.upper() for name in columns], *cells]:
            padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            print("  ".join(padded).rstrip())

    def _draw(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in cells:
            table.add_row(*(Text(text, style=COLOURS.get(text, "")) for text in row))
        self._out.print(table, soft_wrap=False)

    def _fields(self, given: Sequence[tuple[str, str]]) -> None:
        width = max((len(name) for name, _ in given), default=0) + 2
        for name, text in given:
            said = plain(text).replace("\n", "\n" + " " * width)
            self._out.print(
                Text.assemble((name.ljust(width), "dim"), (said, COLOURS.get(said, "")))
            )


def cell(value: Any) -> str:
    """One value as text; nothing for what is not there."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(cell(item) for item in value)
        case dict():
            return ", ".join(f"{key}={cell(item)}" for key, item in value.items())
        case _:
            return str(value)


def ago(then: datetime, now: datetime | None = None) -> str:
    """`3 min`: how long ago that was."""
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

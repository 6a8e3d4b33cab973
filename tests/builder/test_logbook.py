"""The build log: safe to show, numbered without gaps, bounded, and never lost for a while's trouble."""

from __future__ import annotations

import pytest

from services.builder import logbook
from services.builder.logbook import Logbook, clean
from shared.database import logs
from shared.database.pool import Database
from shared.errors import Transient
from tests.builder import made


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("nul\0byte", "nulbyte"),
        ("10%\r50%\r100%", "100%"),
        ("done\r", "done"),
        ("bell\x07 back\x08 c1\x9b31m", "bell back c131m"),
        ("tab\tstays", "tab\tstays"),
        ("two\nlines", "twolines"),
        ("half \ud83d surrogate", "half ? surrogate"),
        ("\x1b", ""),
        ("ünïcode ✓", "ünïcode ✓"),
    ],
)
def test_a_line_is_safe_to_keep_and_to_show(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize("letter", ["x", "ü", "✓"])
def test_a_long_line_is_cut_between_letters(letter: str) -> None:
    shown = clean(letter * 10_000)
    assert shown.endswith(" …")
    assert len(shown.removesuffix(" …").encode()) <= logbook.LONGEST
    assert set(shown.removesuffix(" …")) == {letter}


async def test_numbers_go_on_where_the_last_builder_stopped(database: Database) -> None:
    for texts in (["a", "b"], ["c"]):
        async with Logbook.open(database, "v1") as book:
            for text in texts:
                book.write(text, "stdout")
    rows = await database.fetch("SELECT line, text FROM logs ORDER BY line")
    assert [tuple(row) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]


async def test_lines_are_kept_while_the_book_is_open(database: Database) -> None:
    async with Logbook.open(database, "v1") as book:
        book.write("a")
        while not await made.log_text(database):
            pass
        assert await made.log_text(database) == ["a"]


async def test_more_lines_than_allowed_are_counted_and_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logbook, "MOST", 1200)
    async with Logbook.open(database, "v1") as book:
        for number in range(1500):
            book.write(str(number))
    texts = await made.log_text(database)
    assert texts[1198:] == ["1198", "1199", "300 more lines were dropped"]


async def test_who_lost_the_version_writes_nothing(database: Database) -> None:
    async with Logbook.open(database, "v1", ours=lambda: False) as book:
        book.write("a")
    assert await made.log_text(database) == []


async def test_lines_wait_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = logs.keep, 0

    async def keep(*given: object) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Transient("away")
        await real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(logs, "keep", keep)
    async with Logbook.open(database, "v1") as book:
        book.write("a")
        while not await made.log_text(database):
            pass
    assert await made.log_text(database) == ["a"]

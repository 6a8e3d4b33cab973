"""Texts: how long they are, which words they are made of, and in which scripts they are written."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from services.builder.profiles.categories import Categories
from services.builder.profiles.numbers import Numbers
from shared.profile import TextSummary, tidy

WORD: Final = re.compile(r"\w+")
LONGEST: Final = 20_000  # characters of a text that are read
SCRIPTS: Final = 500  # letters of a text that are looked up


class _Kept(msgspec.Struct, frozen=True):
    rows: int
    length: bytes
    words: bytes
    scripts: dict[str, int]


class Texts:
    def __init__(self) -> None:
        self.rows = 0
        self.length = Numbers()
        self.words = Categories()
        self.scripts: Counter[str] = Counter()

    def add(self, values: Iterable[str | None]) -> None:
        texts = [value for value in values if value is not None]
        self.rows += len(texts)
        self.length.add(np.array([len(text) for text in texts], dtype=np.float64))
        for text in texts:
            head = text[:LONGEST]
            self.words.add(word.casefold() for word in WORD.findall(head))
            self.scripts.update(map(script, filter(str.isalpha, head[:SCRIPTS])))

    def merge(self, other: Texts) -> None:
        self.rows += other.rows
        self.length.merge(other.length)
        self.words.merge(other.words)
        self.scripts.update(other.scripts)

    def summary(self) -> TextSummary:
        letters = self.scripts.total() or 1
        return TextSummary(
            rows=self.rows,
            length=self.length.summary(),
            words=self.words.summary(),
            scripts={name: tidy(n / letters) for name, n in self.scripts.most_common(20)},
        )

    def dump(self) -> bytes:
        kept = _Kept(self.rows, self.length.dump(), self.words.dump(), dict(self.scripts))
        return msgspec.msgpack.encode(kept)

    @classmethod
    def load(cls, kept: bytes) -> Texts:
        found = msgspec.msgpack.decode(kept, type=_Kept)
        made = cls()
        made.rows = found.rows
        made.length = Numbers.load(found.length)
        made.words = Categories.load(found.words)
        made.scripts = Counter(found.scripts)
        return made


def script(letter: str) -> str:
    """The script of a letter: the first word of its name in Unicode tells them apart.

    >>> script("a"), script("ж"), script("漢"), script("あ")
    ('latin', 'cyrillic', 'cjk', 'hiragana')
    """
    return unicodedata.name(letter, "unknown").partition(" ")[0].lower()

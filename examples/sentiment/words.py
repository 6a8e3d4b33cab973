"""How a text becomes words, the same in training and in serving."""

from __future__ import annotations

import re

NEGATIONS = frozenset(("not", "no", "never", "hardly", "isn't", "wasn't", "don't", "didn't"))


def words(text: str) -> list[str]:
    """Small letters; the word behind a negation is a word of its own: `not_good`."""
    found = re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())
    return [
        f"not_{word}" if before in NEGATIONS else word
        for before, word in zip(["", *found], found, strict=False)
    ]

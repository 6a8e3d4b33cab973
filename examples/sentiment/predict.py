"""Tells a good review from a bad one: naive Bayes over words, loaded once when this is imported."""

from __future__ import annotations

import json
import math
from pathlib import Path

from words import words

MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
print(f"the model knows {len(MODEL['weights'])} words")  # it is in the endpoint's log


def predict(text: str) -> dict[str, object]:
    """`POST /predict`: whether a review is good, and how sure that is."""
    positive = 1 / (1 + math.exp(-score(text)))
    label = "positive" if positive >= 0.5 else "negative"
    return {"label": label, "positive": round(positive, 4)}


def explain(*, text: str, most: int) -> dict[str, object]:
    """`POST /explain`: the same, with the words that weigh most, for and against."""
    weighty = sorted(set(words(text)), key=lambda word: (-abs(weight(word)), word))
    told = {word: round(weight(word), 3) for word in weighty[: max(most, 0)] if weight(word)}
    return {**predict(text), "words": told}


def score(text: str) -> float:
    """The logarithm of the odds that a review is good."""
    found = MODEL["bias"] + sum(weight(word) for word in words(text))
    return max(-30.0, min(30.0, found))


def weight(word: str) -> float:
    return float(MODEL["weights"].get(word, 0.0))

"""Trains the model: `python train.py` counts the words of reviews.tsv and writes model.json."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TypedDict

from words import words

HERE = Path(__file__).parent


class Model(TypedDict):
    bias: float
    weights: dict[str, float]


def reviews() -> list[tuple[str, str]]:
    """Label (`+` or `-`) and text of each."""
    lines = (HERE / "reviews.tsv").read_text().splitlines()
    return [(line[0], line[2:]) for line in lines if line]


def train(labelled: list[tuple[str, str]]) -> Model:
    """For each word, the logarithm of how much likelier it is in a good review (add one).

    A word of one review alone says more about that review than about reviews.
    """
    counts: dict[str, Counter[str]] = {"+": Counter(), "-": Counter()}
    for label, text in labelled:
        counts[label].update(set(words(text)))
    good, bad = (sum(label == which for label, _ in labelled) for which in "+-")
    weights = {
        word: round(
            math.log((counts["+"][word] + 1) / (good + 2) * (bad + 2) / (counts["-"][word] + 1)), 4
        )
        for word in sorted(counts["+"] | counts["-"])
        if counts["+"][word] + counts["-"][word] > 1
    }
    return {"bias": round(math.log(good / bad), 4), "weights": weights}


def held_out(labelled: list[tuple[str, str]], folds: int = 6) -> float:
    """How often it is right about reviews that it was trained without.

    Good and bad reviews were written in pairs, so a pair is always left out together: a model that
    has seen one half would take the other half's rare words for signs of the opposite.
    """
    number = {"+": 0, "-": 0}
    fold_of = []
    for label, _ in labelled:
        fold_of.append(number[label] % folds)
        number[label] += 1
    right = 0
    for fold in range(folds):
        model = train([each for each, at in zip(labelled, fold_of, strict=True) if at != fold])
        unseen = [each for each, at in zip(labelled, fold_of, strict=True) if at == fold]
        right += sum((odds(model, text) >= 0) == (label == "+") for label, text in unseen)
    return right / len(labelled)


def odds(model: Model, text: str) -> float:
    return model["bias"] + sum(model["weights"].get(word, 0.0) for word in words(text))


def main() -> None:
    labelled = reviews()
    (HERE / "model.json").write_text(json.dumps(train(labelled), indent=0) + "\n")
    print(f"{len(labelled)} reviews; right about {held_out(labelled):.0%} of those held out")


if __name__ == "__main__":
    main()

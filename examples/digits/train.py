"""Trains the model: `python train.py` writes model.npz and sample.json, the same on every run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from glyphs import drawings, examples
from predict_wsgi import probabilities

HERE = Path(__file__).parent
HIDDEN, EXAMPLES, STEPS, BATCH, RATE = 48, 10_000, 2_500, 100, 0.05


def start(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "w1": rng.normal(0, (2 / 64) ** 0.5, (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": rng.normal(0, (2 / HIDDEN) ** 0.5, (HIDDEN, 10)),
        "b2": np.zeros(10),
    }


def gradients(
    images: np.ndarray, digits: np.ndarray, w: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Of the cross-entropy, by the chain rule."""
    hidden = np.maximum(images @ w["w1"] + w["b1"], 0)
    error = probabilities(images, w)
    error[np.arange(len(digits)), digits] -= 1
    error /= len(digits)
    back = (error @ w["w2"].T) * (hidden > 0)
    return {
        "w1": images.T @ back,
        "b1": back.sum(axis=0),
        "w2": hidden.T @ error,
        "b2": error.sum(axis=0),
    }


def train(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Gradient descent with momentum on a few examples at every step."""
    images, digits = examples(EXAMPLES, rng)
    w = start(rng)
    speed = {name: np.zeros_like(each) for name, each in w.items()}
    for step in range(STEPS):
        rate = RATE * (1 - step / STEPS)
        few = rng.integers(EXAMPLES, size=BATCH)
        slope = gradients(images[few], digits[few], w)
        for name in w:
            speed[name] = 0.9 * speed[name] - rate * slope[name]
            w[name] += speed[name]
    return {name: each.astype(np.float32) for name, each in w.items()}


def accuracy(w: dict[str, np.ndarray], rng: np.random.Generator, count: int = 2_000) -> float:
    images, digits = examples(count, rng)
    return float((probabilities(images, w).argmax(axis=1) == digits).mean())


def main() -> None:
    w = train(np.random.default_rng(20261121))
    right = accuracy(w, np.random.default_rng(1))
    np.savez_compressed(HERE / "model.npz", **w)
    sample = drawings()[0][6].astype(int).tolist()  # a clean 3
    rows = ",\n   ".join(json.dumps(row) for row in sample)
    (HERE / "sample.json").write_text(f'{{"image": [\n   {rows}\n]}}\n')
    print(json.dumps({"vh_metadata": {"accuracy": round(right, 4)}}))


if __name__ == "__main__":
    main()

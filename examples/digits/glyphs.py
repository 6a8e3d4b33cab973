"""Digits to learn from: drawn here by hand, 8 by 8, then moved, thickened, blurred and soiled.

The data is synthetic. The drawings are the only source; what a pen and a scanner do to them is
random, from a generator that the caller seeds.
"""

from __future__ import annotations

import numpy as np

DRAWINGS = [
    (0, "..####.. .##..##. .#....#. .#....#. .#....#. .#....#. .##..##. ..####.."),
    (0, "...##... ..#..#.. ..#..#.. ..#..#.. ..#..#.. ..#..#.. ..#..#.. ...##..."),
    (1, "...##... ..###... .#.##... ...##... ...##... ...##... ...##... .######."),
    (1, "....#... ...##... ..#.#... ....#... ....#... ....#... ....#... ....#..."),
    (2, "..####.. .#....#. ......#. .....#.. ....#... ...#.... ..#..... .######."),
    (2, "..###... .#...#.. .....#.. ....##.. ...##... ..##.... .##..... .#####.."),
    (3, "..####.. .#....#. ......#. ...###.. ......#. ......#. .#....#. ..####.."),
    (3, ".#####.. .....#.. ....#... ...###.. ......#. ......#. .#...##. ..###..."),
    (4, "....##.. ...#.#.. ..#..#.. .#...#.. .######. .....#.. .....#.. .....#.."),
    (4, ".#...#.. .#...#.. .#...#.. .#...#.. .######. .....#.. .....#.. .....#.."),
    (5, ".######. .#...... .#...... .#####.. ......#. ......#. .#....#. ..####.."),
    (5, "..#####. ..#..... ..#..... ..####.. ......#. ......#. .....##. ..###..."),
    (6, "...###.. ..#..... .#...... .#####.. .#....#. .#....#. .#....#. ..####.."),
    (6, ".....#.. ....#... ...#.... ..####.. .##...#. .#....#. .##..#.. ..###..."),
    (7, ".######. ......#. .....#.. .....#.. ....#... ....#... ...#.... ...#...."),
    (7, ".######. ......#. .....#.. ..#####. ....#... ...#.... ...#.... ..#....."),
    (8, "..####.. .#....#. .#....#. ..####.. .#....#. .#....#. .#....#. ..####.."),
    (8, "...##... ..#..#.. ..#..#.. ...##... ..#..#.. .#....#. .#....#. ..####.."),
    (9, "..####.. .#....#. .#....#. .#....#. ..#####. ......#. .....#.. ..###..."),
    (9, "...###.. ..#...#. ..#...#. ..#..##. ...##.#. ......#. .....#.. ....#..."),
]


def drawings() -> tuple[np.ndarray, np.ndarray]:
    """The clean images, 20 of 8 by 8, and which digit each is."""
    images = [[[mark == "#" for mark in row] for row in art.split()] for _, art in DRAWINGS]
    return np.array(images, dtype=np.float32), np.array([digit for digit, _ in DRAWINGS])


def examples(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` images as rows of 64 grey values from 0 to 1, and their digits."""
    clean, digits = drawings()
    chosen = rng.integers(len(clean), size=count)
    images = np.stack([_worn(clean[index], rng) for index in chosen])
    return images.reshape(count, 64), digits[chosen]


def _worn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = _moved(image, *rng.integers(-1, 2, size=2))
    beside = np.maximum(image, _moved(image, 0, 1))
    image = image + rng.choice([0.0, 0.7]) * rng.random() * (beside - image)  # a thicker pen
    image = image + rng.random() * 0.5 * (_blurred(image) - image)
    image = image * rng.uniform(0.6, 1.0) + rng.normal(0, 0.08, image.shape)
    lost = rng.random(image.shape) < 0.02
    return np.clip(np.where(lost, 0, image), 0, 1).astype(np.float32)


def _moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    padded = np.pad(image, 1)
    return padded[1 - down : 9 - down, 1 - right : 9 - right]


def _blurred(image: np.ndarray) -> np.ndarray:
    padded = np.pad(image, 1)
    around = [padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    return np.asarray(sum(around) / 9)

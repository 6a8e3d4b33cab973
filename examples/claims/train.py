"""Makes claims.csv, and the weights of both versions of the model from it. Needs numpy.

python train.py
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "preprocessing" / "src"))

from func_main import KINDS, prepare  # noqa: E402

ROWS = 2000
STEPS = 3000


def claims(random):
    """People's claims, and whether each was a false one. Drawn, not anybody's."""
    for _ in range(ROWS):
        kind = KINDS[random.choice(3, p=[0.5, 0.35, 0.15])]
        age = int(np.clip(random.normal(45, 14), 18, 90))
        amount = float(np.round(random.lognormal(7, 1), 2))
        days = float(np.round(random.exponential(9), 1))
        odds = 0.9 * (np.log1p(amount) - 7) + 0.05 * days + (kind == "travel") - 0.02 * age - 1.2
        yield age, amount, days, kind, int(random.random() < 1 / (1 + np.exp(-odds)))


def fitted(features, false, used):
    """The weights of a logistic regression on the columns `used`."""
    weights, bias = np.zeros(features.shape[1]), 0.0
    for _ in range(STEPS):
        wrong = 1 / (1 + np.exp(-(features @ weights + bias))) - false
        weights -= 0.5 * used * (features.T @ wrong / len(false))
        bias -= 0.5 * wrong.mean()
    return weights, bias


def main():
    rows = list(claims(np.random.default_rng(7)))
    with (HERE / "claims.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["age", "amount", "days", "kind", "false"])
        writer.writerows(rows)
    features = np.array([prepare(*row[:4])["client_profile"] for row in rows])
    false = np.array([row[4] for row in rows])
    for version, used in ((1, [1, 1, 0, 0, 0, 0]), (2, [1, 1, 1, 1, 1, 1])):
        weights, bias = fitted(features, false, np.array(used))
        model = {
            "weights": [round(float(each), 6) for each in weights],
            "bias": round(float(bias), 6),
            "threshold": 0.5,
        }
        path = HERE / f"model-{version}" / "weights.json"
        path.write_text(json.dumps(model, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How likely a claim is to be a false one, by a logistic regression (see train.py)."""

import json
from pathlib import Path

import numpy as np

MODEL = json.loads((Path(__file__).parents[1] / "weights.json").read_text())


def predict(client_profile):
    score = float(np.dot(MODEL["weights"], client_profile) + MODEL["bias"])
    risk = 1.0 / (1.0 + np.exp(-score))
    return {"risk": float(risk), "decision": "review" if risk > MODEL["threshold"] else "pay"}

"""From a claim as people file it to the numbers that the model was trained on."""

import numpy as np

KINDS = ("motor", "home", "travel")


def prepare(age, amount, days, kind):
    known = [1.0 if str(kind) == name else 0.0 for name in KINDS]
    features = [float(age) / 100.0, np.log1p(float(amount)) / 12.0, min(float(days), 60.0) / 60.0]
    return {"client_profile": np.array(features + known, dtype=np.float64)}

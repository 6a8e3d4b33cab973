"""Says which digit a small image shows: a plain WSGI function around a model of two layers.

`POST {"image": [[8 rows of 8 grey values from 0 to 1]]}` answers
`{"digit": 3, "confidence": 0.98, "probabilities": [...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

MODEL = Path(__file__).with_name("model.npz")
LARGEST = 1 << 16  # bytes of a request
USAGE = {"usage": 'POST {"image": 8 rows of 8 grey values from 0 to 1}'}


class BadImage(ValueError):
    """What was sent is not an image; the message says what to send."""


@lru_cache(maxsize=1)
def weights() -> dict[str, np.ndarray]:
    """Loaded by the first request of each worker process, since workers fork."""
    with np.load(MODEL, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def probabilities(images: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """A row of ten probabilities for each row of 64 grey values."""
    hidden = np.maximum(images @ w["w1"] + w["b1"], 0)
    scores = hidden @ w["w2"] + w["b2"]
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    return likely / likely.sum(axis=1, keepdims=True)


def image_of(document: Any) -> np.ndarray:
    try:
        image = np.asarray(document["image"], dtype=np.float32).reshape(-1)
    except (TypeError, KeyError, ValueError) as error:
        raise BadImage("send a JSON object whose `image` is 8 rows of 8 numbers") from error
    if image.shape != (64,):
        raise BadImage(f"`image` has {image.size} values; it must have 8 rows of 8")
    if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
        raise BadImage("the values of `image` must be from 0 (paper) to 1 (ink)")
    return image[np.newaxis, :]


def predict(document: Any) -> dict[str, Any]:
    likely = probabilities(image_of(document), weights())[0]
    digit = int(likely.argmax())
    return {
        "digit": digit,
        "confidence": round(float(likely[digit]), 4),
        "probabilities": [round(float(each), 4) for each in likely],
    }


def answer(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The status and the document for a request."""
    if environ["REQUEST_METHOD"] == "GET":
        return "200 OK", USAGE
    if environ["REQUEST_METHOD"] != "POST":
        return "405 Method Not Allowed", USAGE
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > LARGEST:
        return "413 Content Too Large", {"error": f"send at most {LARGEST} bytes"}
    try:
        return "200 OK", predict(json.loads(environ["wsgi.input"].read(length)))
    except BadImage as error:
        return "400 Bad Request", {"error": str(error)}
    except (ValueError, RecursionError):
        return "400 Bad Request", {"error": "send JSON"}


def predict_wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    status, document = answer(environ)
    body = json.dumps(document).encode() + b"\n"
    start_response(
        status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]

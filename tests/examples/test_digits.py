"""The digits example: its model, its WSGI function, and that training makes such a model."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from services.api.formats import valohai
from shared.endpoint import File, Wsgi
from tests.examples.conftest import EXAMPLES, Import

EXAMPLE = "digits"
FOLDER = EXAMPLES / "digits"


def call(app: Any, body: bytes, method: str = "POST") -> tuple[str, dict[str, Any]]:
    told: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    answer = b"".join(app(environ, lambda status, headers: told.append(status)))
    return told[0], json.loads(answer)


def test_its_endpoint_is_accepted() -> None:
    text = (FOLDER / "valohai.yaml").read_text()
    [found] = valohai.endpoints(text, files={"predict-digit": {"model": "sha256:" + "0" * 64}})
    assert found.entry == Wsgi(app="predict_wsgi:predict_wsgi")
    assert found.files == (
        File(name="model", path="model.npz", description="The weights that train.py wrote."),
    )
    assert (FOLDER / "model.npz").stat().st_size < 200_000


def test_the_sample_is_a_three(example: Import) -> None:
    app = example("predict_wsgi").predict_wsgi
    status, answer = call(app, (FOLDER / "sample.json").read_bytes())
    assert status == "200 OK"
    assert answer["digit"] == 3
    assert answer["confidence"] > 0.9
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=0.01)


def test_the_model_reads_digits_it_was_not_trained_on(example: Import) -> None:
    train, predict = example("train"), example("predict_wsgi")
    np = example("numpy")
    assert train.accuracy(predict.weights(), np.random.default_rng(7), 500) > 0.95


def test_training_is_the_same_each_time(example: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    train, np = example("train"), example("numpy")
    monkeypatch.setattr(train, "EXAMPLES", 400)
    monkeypatch.setattr(train, "STEPS", 400)
    first, second = (train.train(np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert train.accuracy(first, np.random.default_rng(7), 200) > 0.7


IMAGE = [[0] * 8] * 8


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "send JSON"),
        (b"\xff\xfe", "send JSON"),
        (b"[" * 60_000, "send JSON"),
        (b"[]", "`image` is 8 rows"),
        (b"{}", "`image` is 8 rows"),
        (b'{"image": "cat"}', "`image` is 8 rows"),
        (b'{"image": [[1], [1, 2]]}', "`image` is 8 rows"),
        (b'{"image": [1, 2]}', "has 2 values"),
        (json.dumps({"image": [*IMAGE[:7], [0] * 7 + [2]]}).encode(), "from 0 (paper) to 1"),
        (b'{"image": [' + b"NaN," * 63 + b"NaN]}", "from 0 (paper) to 1"),
    ],
)
def test_what_is_no_image_is_answered_with_400(example: Import, body: bytes, message: str) -> None:
    status, answer = call(example("predict_wsgi").predict_wsgi, body)
    assert status == "400 Bad Request"
    assert message in answer["error"]


def test_other_methods_are_told_how(example: Import) -> None:
    app = example("predict_wsgi").predict_wsgi
    assert call(app, b"", "GET")[0] == "200 OK"
    assert call(app, b"", "PUT")[0] == "405 Method Not Allowed"
    assert call(app, b" " * 70_000)[0] == "413 Content Too Large"

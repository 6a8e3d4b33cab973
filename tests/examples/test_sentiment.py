"""The sentiment example: its functions, its routes, and that its model is what training makes."""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec
import pytest

from services.api.formats import proximl
from services.api.types_proximl import NewEndpoint
from shared.endpoint import Route, Routes
from tests.examples.conftest import EXAMPLES, Import

EXAMPLE = "sentiment"
FOLDER = EXAMPLES / "sentiment"


def routes() -> tuple[Route, ...]:
    document: dict[str, Any] = json.loads((FOLDER / "endpoint.json").read_text())
    document["model"]["source_uri"] = "sha256:" + "0" * 64  # as the client fills it in
    entry = proximl.endpoint(msgspec.convert(document, NewEndpoint)).entry
    assert isinstance(entry, Routes)
    return entry.routes


def test_its_routes_are_accepted_one_by_position_and_one_by_keyword() -> None:
    assert [(route.path, route.positional) for route in routes()] == [
        ("/predict", True),
        ("/explain", False),
    ]


def test_each_routes_function_takes_what_its_template_gives(example: Import) -> None:
    samples = json.loads((FOLDER / "samples.json").read_text())
    for route in routes():
        function = getattr(example(route.file), route.function)
        values = [samples[route.path][parameter.name] for parameter in route.body]
        assert list(inspect.signature(function).parameters) == list(samples[route.path])
        named = {} if route.positional else samples[route.path]
        assert json.dumps(function(*(values if route.positional else ()), **named))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A warm and funny film; I loved every minute.", "positive"),
        ("Excellent, clever and beautiful.", "positive"),
        ("Dull, slow, and far too long.", "negative"),
        ("Not good.", "negative"),
        ("A waste of money, avoid.", "negative"),
    ],
)
def test_it_tells_good_from_bad(example: Import, text: str, label: str) -> None:
    assert example("predict").predict(text)["label"] == label


def test_it_says_which_words_weighed_most(example: Import) -> None:
    told = example("predict").explain(text="Slow, but the singer was superb and kind.", most=2)
    assert len(told["words"]) == 2
    assert told["words"]["slow"] < 0


@pytest.mark.parametrize("text", ["", "xyzzy", "\0", "é" * 10_000, "bad " * 10_000])
def test_any_text_has_an_answer(example: Import, text: str) -> None:
    assert 0 <= example("predict").predict(text)["positive"] <= 1


def test_the_model_is_what_training_makes_and_beats_chance(example: Import) -> None:
    train = example("train")
    assert train.train(train.reviews()) == json.loads((FOLDER / "model.json").read_text())
    assert train.held_out(train.reviews()) > 0.6

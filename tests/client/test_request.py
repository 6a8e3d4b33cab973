"""What is sent to an endpoint, from what was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from slipway.errors import BadUsage
from slipway.request import Typed, compose
from slipway.types import Parameter, Route

URL = "http://router/a/b"
BODY = [Parameter(name=name, type=name) for name in ("str", "int", "float", "bool", "list", "dict")]
PREDICT = Route(verb="POST", path="/predict", body=BODY)
OTHER = Route(verb="PUT", path="/other")


def test_nothing_typed_is_a_get_of_the_url() -> None:
    request = compose(URL, Typed(), [])
    assert (request.method, request.url, request.body) == ("GET", URL, msgspec.UNSET)


def test_path_and_query_go_behind_the_url() -> None:
    request = compose(URL, Typed(path="/x/y", query="top=3", method="delete"), [])
    assert (request.method, request.url) == ("DELETE", f"{URL}/x/y?top=3")


@pytest.mark.parametrize(
    "typed",
    [
        Typed(fields=[("a", "1")]),
        Typed(files=[("a", Path("x"))]),
        Typed(body=None),
    ],
)
def test_what_is_sent_is_posted(typed: Typed) -> None:
    assert compose(URL, typed, []).method == "POST"


def test_fields_are_a_form_where_there_are_no_routes() -> None:
    request = compose(URL, Typed(fields=[("a", "1")]), [])
    assert (request.fields, request.body) == ([("a", "1")], msgspec.UNSET)


def test_the_only_route_is_meant_and_fields_get_its_types() -> None:
    fields = [
        ("str", "3"),
        ("int", "3"),
        ("float", "3"),
        ("bool", "true"),
        ("list", "[1]"),
        ("dict", '{"a": 1}'),
        ("extra", "1"),
        ("word", "word"),
    ]
    request = compose(URL, Typed(fields=fields), [PREDICT])
    assert (request.method, request.url) == ("POST", f"{URL}/predict")
    assert request.body == {
        "str": "3",
        "int": 3,
        "float": 3,
        "bool": True,
        "list": [1],
        "dict": {"a": 1},
        "extra": 1,
        "word": "word",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int", "x"),
        ("int", "1.5"),
        ("int", "true"),
        ("float", "x"),
        ("float", "true"),
        ("bool", "1"),
        ("list", "{}"),
        ("dict", "[]"),
        ("dict", ""),
    ],
)
def test_a_field_of_the_wrong_type_is_named(name: str, text: str) -> None:
    with pytest.raises(BadUsage, match=f"--field {name}=.*wants {name}"):
        compose(URL, Typed(fields=[(name, text)]), [PREDICT])


def test_several_routes_need_a_path() -> None:
    with pytest.raises(BadUsage, match="several routes") as told:
        compose(URL, Typed(), [PREDICT, OTHER])
    assert "POST /predict, PUT /other" in told.value.hint
    assert compose(URL, Typed(path="other"), [PREDICT, OTHER]).method == "PUT"


def test_a_path_that_is_no_route_is_left_to_the_endpoint() -> None:
    assert compose(URL, Typed(path="/ping"), [PREDICT]).method == "GET"


@pytest.mark.parametrize("more", [{"fields": [("a", "1")]}, {"files": [("a", Path("x"))]}])
def test_a_body_goes_alone(more: dict[str, Any]) -> None:
    with pytest.raises(BadUsage, match="can't be sent together"):
        compose(URL, Typed(body={}, **more), [])

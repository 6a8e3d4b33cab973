"""Lists of numbers by simdjson: the same numbers as one by one, or none at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.gateway import floats as module
from services.router.gateway.floats import floats
from services.router.gateway.mapping import to_tensors
from tests.router.gateway.conftest import field

NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False, allow_infinity=False)
OTHERS = st.none() | st.booleans() | st.text(max_size=3) | st.just({"a": 1.5})


@pytest.fixture(autouse=True, scope="module")
def any_length() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "WORTH", 0)
        yield


def flat(value: Any) -> list[Any]:
    return [one for inner in value for one in flat(inner)] if isinstance(value, list) else [value]


@given(st.recursive(st.lists(NUMBERS), lambda inner: st.lists(inner | NUMBERS, max_size=5)))
def test_numbers_in_lists_are_those_that_python_reads(value: list[Any]) -> None:
    found = floats(json.dumps(value).encode())
    expected = flat(value)
    if found is None:  # whole numbers that no 64 bits hold are for others to read
        assert any(type(one) is int and not -(1 << 63) <= one < 1 << 64 for one in expected)
    else:
        assert list(found) == [float(one) for one in expected]
        assert all(
            math.copysign(1, a) == math.copysign(1, b) for a, b in zip(found, expected, strict=True)
        )


@given(
    st.recursive(
        st.lists(NUMBERS | OTHERS, min_size=1),
        lambda inner: st.lists(inner | NUMBERS | OTHERS, min_size=1, max_size=5),
    )
)
def test_anything_else_in_them_is_left_to_others(value: list[Any]) -> None:
    if any(type(one) not in (int, float) for one in flat(value)):
        assert floats(json.dumps(value).encode()) is None


@given(st.binary(max_size=40))
def test_no_noise_becomes_numbers_that_json_does_not_have(noise: bytes) -> None:
    for text in (noise, b"[" + noise + b"]", b"[1.5," + noise + b"]"):
        if (found := floats(text)) is not None:
            assert list(found) == [float(one) for one in flat(json.loads(text))]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1.5",
        b'{"a":[1]}',
        b"[1,2",
        b"[1,2]]",
        b"[1,2]x",
        b"[1,,2]",
        b"[01]",
        b"[1.]",
        b"[NaN]",
        b"[1e999]",
        b"[true]",
        b'["1"]',
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_what_is_no_list_of_numbers_is_left_to_others(text: bytes) -> None:
    assert floats(text) is None


def test_lists_that_are_short_or_huge_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    text = msgspec.json.encode([1.5] * 10)
    monkeypatch.setattr(module, "WORTH", len(text) + 1)
    assert floats(text) is None
    monkeypatch.setattr(module, "WORTH", len(text))
    assert list(floats(text) or ()) == [1.5] * 10
    monkeypatch.setattr(module, "MOST", len(text) - 1)
    assert floats(text) is None


def test_what_was_read_outlives_what_is_read_next() -> None:
    first, second = floats(b"[1,2,[3]]"), floats(b"[4,5,6]")
    assert floats(b"[7") is None
    assert first is not None
    assert second is not None
    assert (list(first), list(second)) == ([1, 2, 3], [4, 5, 6])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64"])
def test_a_tensor_is_the_same_either_way(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = msgspec.json.encode({"x": [[n / 7, -n, n / 1e3, 0.0] for n in range(500)]})
    one = field("x", dtype, (-1, 4))
    quick = to_tensors(body, [one])
    monkeypatch.setattr(module, "WORTH", len(body))
    assert quick == to_tensors(body, [one])

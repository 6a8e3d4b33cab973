"""What is applied is read as YAML, and means what it means as JSON."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as some

from services.scheduler.drivers.kubernetes.written import written


@given(some.text())
def test_any_text_is_the_same_in_both(text: str) -> None:
    told = written({"a": text, "b": [text, {}]})
    assert json.loads(told) == {"a": text, "b": [text, {}]}
    assert yaml.safe_load(told) == {"a": text, "b": [text, {}]}


def test_so_is_every_character_by_itself() -> None:
    """Of those that fit two bytes, and some that do not."""
    every = [chr(number) for number in range(0x10000) if not 0xD800 <= number < 0xE000]
    every += ["\U0001f40b", "\U0010fffd"]
    told = written({"a": every})
    assert json.loads(told) == {"a": every}
    assert yaml.load(told, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) == {"a": every}

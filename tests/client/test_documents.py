"""Resource definitions as YAML: what is read, with which lines, and what is refused how."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import BadDocument
from slipway.resources.document import Document, read
from slipway.resources.measure import Limits


def told(text: str | bytes, limits: Limits | None = None) -> list[Document]:
    content = text if isinstance(text, bytes) else text.encode()
    return read(content, "a.yaml", Path("/x"), limits or Limits())


def refused(text: str | bytes, limits: Limits | None = None) -> str:
    with pytest.raises(BadDocument) as caught:
        told(text, limits)
    (wrong,) = caught.value.errors
    return f"{wrong.field}: {wrong.message}"


def test_documents_are_numbered_as_they_stand_in_the_file() -> None:
    found = told("---\n# nothing\n---\nkind: Model\n---\nkind: Application\n...\n---\n")
    assert [(one.source, one.body["kind"]) for one in found] == [
        ("a.yaml#2", "Model"),
        ("a.yaml#3", "Application"),
    ]


def test_lines_are_known_for_every_path() -> None:
    (found,) = told("name: x\npipeline:\n- - model: a:1\n  - model: b:2\n    weight: 20\n")
    assert found.line("pipeline[0][1].weight") == 5
    assert found.line("pipeline[0][0].weight") == 3  # it is not there, but would be in this
    assert found.line("kind") == 1
    wrong = found.wrong("pipeline[0][1].weight", "is odd")
    assert (wrong.field, wrong.message) == ("a.yaml#1: pipeline[0][1].weight", "is odd (line 5)")


def test_aliases_and_merges_are_written_out() -> None:
    (found,) = told("f: &f {type: int32, shape: scalar}\ni: {a: *f, b: {<<: *f, type: bool}}\n")
    assert found.body["i"] == {
        "a": {"type": "int32", "shape": "scalar"},
        "b": {"type": "bool", "shape": "scalar"},
    }
    (found,) = told("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b], z: 3}\n")
    assert found.body["c"] == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-21", "2026-11-21"),
        ("12:30", "12:30"),
        ("=", "="),
        ("yes", True),
        ("017", 15),
        ("1_000", 1000),
        ("'1'", "1"),
        ("! 12", 12),
        ("~", None),
        ("[-1, 224]", [-1, 224]),
        ("claims:1", "claims:1"),
        ("18446744073709551615", (1 << 64) - 1),
    ],
)
def test_values_are_what_people_mean(text: str, value: object) -> None:
    (found,) = told(f"a: {text}")
    assert found.body == {"a": value}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [1,", "a.yaml: not valid YAML: did not find expected node content (line 2, column 1)"),
        ("a: b: c", "not valid YAML: mapping values are not allowed in this context (line 1"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is there twice in one mapping (line 3)"),
        ("a: *b", "the alias *b stands for nothing (line 1)"),
        ("x: &a {}\n---\na: *a", "the alias *a stands for nothing (line 3)"),
        ("a: &a [*a]", "the alias *a stands for what it is in (line 1)"),
        ("a: &x 1\nb: &x 2", "the anchor &x is there twice (line 2)"),
        ("1: 2", "a key is not text; put it in quotes (line 1)"),
        ("? [a]\n: 1", "a key is not text"),
        ("a: !!python/object/apply:os.system [id]", "is not one of the standard ones (line 1)"),
        ("a: !!int x", "a value does not fit its type"),
        ("a: !!bool x", "a value does not fit its type"),
        ("a: .nan", ".nan is not a number that can be sent"),
        ("a: -.inf", "-.inf is not a number that can be sent"),
        ("a: 18446744073709551616", "is more than 64 bits hold"),
        ("a: " + "9" * 5000, "a number of more than 40 characters"),
        ('a: "\\0"', "a NUL character is not allowed"),
        ("<<: 3", "<< merges mappings, and this is none"),
        (b"\xff\xfe\xfd", "a.yaml: not UTF-8 text"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_its_line(
    text: str | bytes, why: str
) -> None:
    assert why in refused(text)


def test_a_laughing_billion_is_refused_before_anything_is_built() -> None:
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "\n".join(rows)
    assert "more than 100000 values (aliases written out) (line 6)" in refused(text)
    maps = [f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    assert "more than 100000 values" in refused("b0: &b0 {x: 1}\n" + "\n".join(maps))
    long = f"s: &s {'x' * 100_000}\nt: [{', '.join(['*s'] * 100)}]"
    assert "more than 1000000 characters (aliases written out) (line 2)" in refused(long)


@pytest.mark.parametrize(
    "text",
    ["[" * 400_000, "- " * 400_000, "{a: " * 200_000, "\n".join(" " * n + "a:" for n in range(40))],
)
def test_what_is_deep_is_refused_without_going_down(text: str) -> None:
    assert "nested deeper than the 32 levels allowed (line " in refused(text)


def test_what_is_large_or_many_is_refused() -> None:
    assert refused(b"x" * 1_000_001) == "a.yaml: larger than the 1000000 bytes allowed"
    assert "more than 500 documents" in refused("--- a\n" * 501)
    assert "more than 4 directives (line 5)" in refused("%YAML 1.1\n" * 10 + "---\na")
    anchors = "\n".join(f"- &a{n} x" for n in range(1001))
    assert "more than 1000 anchors (line 1001)" in refused(anchors)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`, \n\t?<1.", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(BadDocument):
        for document in told(text):
            assert document.line("a") >= 1

"""Hostile YAML is refused by its events, quickly, and the process goes on."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import safe_yaml
from shared.errors import Invalid


def aliases(levels: int, width: int = 9) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int, width: int = 9) -> str:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "60,000 brackets": ("[" * 60_000, "nested deeper than the 32 levels"),
    "60,000 braces": ("{" * 60_000, "nested deeper"),
    "30,000 open mappings": ("{a: " * 30_000, "nested deeper"),
    "50,000 dashes": ("- " * 50_000, "nested deeper"),
    "50,000 question marks": ("? " * 50_000, "nested deeper"),
    "nine levels of aliases": (aliases(9), "20000 nodes allowed, aliases written out"),
    "nine levels of merges": (merges(9), "20000 nodes allowed, aliases written out"),
    "a long text by many aliases": (
        "a: &a " + "x" * 100_000 + "\nb: [" + "*a," * 50 + "]",
        "4000000 characters allowed",
    ),
    "a chain of aliases": (
        "- &a0 [x]\n" + "".join(f"- &a{n} [*a{n - 1}]\n" for n in range(1, 900)),
        "nested deeper",
    ),
    "100,000 anchors": (
        "[" + ",".join(f"&{n:x} x" for n in range(100_000)) + "]",
        "1000 anchors",
    ),
    "itself": ("&a [*a]", "contains itself"),
    "itself in a mapping": ("&a {b: {c: *a}}", "contains itself"),
    "an alias of nothing": ("*a", "stands for nothing"),
    "an anchor twice": ("[&a 1, &a 2]", "the anchor &a twice"),
    "many nodes": ("[" + "a," * 100_000 + "]", "20000 nodes"),
    "too large": ("a" * 1_000_001, "larger than the 1000000 bytes"),
    "too large in bytes": ("é" * 600_000, "larger than the 1000000 bytes"),
    "NUL": (b"a: b\0", "control characters"),
    "NUL by escape": (r'a: "\0"', "NUL"),
    "NUL in a key": (r'"\0": a', "NUL"),
    "invalid UTF-8": (b"a: \xc3(", "not UTF-8"),
    "UTF-16": ("a: b".encode("utf-16"), "not UTF-8"),
    "a lone surrogate": ("a: \ud800", "not UTF-8"),
    "a surrogate by escape": (r'a: "\ud800"', "Unicode"),
    "a huge number": ("a: " + "9" * 5_000, "number of more than the 40 characters"),
    "a huge hexadecimal": ("a: 0x" + "f" * 50_000, "number of more than"),
    "a huge fraction": ("a: 0." + "1" * 500, "number of more than"),
    "a huge base-60 number": ("a: 1" + ":59" * 500, "number of more than"),
    "a huge tagged number": ("a: !!int '" + "9" * 5_000 + "'", "number of more than"),
    "an object of Python's": ("!!python/object/apply:os.system [ls]", "uses the tag"),
    "a tag of its own": ("a: !secret x", "uses the tag '!secret'"),
    "a set": ("!!set {a}", "uses the tag"),
    "bytes": ("a: !!binary aaaa", "uses the tag"),
    "a number that is none": ("a: !!int x", "does not fit its type"),
    "a truth that is none": ("a: !!bool x", "does not fit its type"),
    "a date that is none": ("a: 2026-99-99", "does not fit its type"),
    "a key twice": ("a: 1\nb: 2\n'a': 3", "the key 'a' twice in one mapping, on line 3"),
    "a key twice, deep": ("x: [{b: 1, b: 2}]", "the key 'b' twice"),
    "a key that is a number": ("1: a", "line 1 that is not text"),
    "a key that is a truth": ("on: a", "not text; put it in quotes"),
    "a key that is a list": ("? [a]\n: b", "not text"),
    "a merge of a number": ("<<: 3", "expected a mapping"),
    "two documents": ("a: 1\n---\nb: 2", "more than one document"),
    "many directives": ("%TAG !x! y\n" * 70_000, "more than 4 directives"),
    "a mapping in a value": ("a: b: c", "line 1, column 5"),
    "a tab": ("a:\n\t- b", "line 2"),
    "an open bracket": ("[a, b", "line 2, column 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_with_its_reason_at_once(name: str) -> None:
    text, message = HOSTILE[name]
    began = time.process_time()
    with pytest.raises(Invalid) as caught:
        safe_yaml.load(text, "config")
    assert time.process_time() - began < 0.5  # one tenth of it here; the rest is for slow machines
    assert caught.value.field == "config"
    assert message in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# only a comment", None),
        ("- a\n- b", ["a", "b"]),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        (
            "d: &d {a: 1}\ne: &e {<<: *d, a: 2}\nf: {<<: *e}",
            {"d": {"a": 1}, "e": {"a": 2}, "f": {"a": 2}},
        ),
        ("a: !!str 1", {"a": "1"}),
        ("%YAML 1.1\n---\na: 1\n...", {"a": 1}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: " + "9" * 40, {"a": int("9" * 40)}),
        ("a: '" + "9" * 400 + "'", {"a": "9" * 400}),
    ],
)
def test_honest_documents_are_read(text: str | bytes, expected: object) -> None:
    assert safe_yaml.load(text, "config") == expected


def test_limits_are_values() -> None:
    limits = safe_yaml.Limits(depth=2)
    assert safe_yaml.load("[[1]]", "x", limits) == [[1]]
    with pytest.raises(Invalid, match="nested deeper than the 2"):
        safe_yaml.load("[[[1]]]", "x", limits)


PIECES = st.sampled_from(
    [
        "a",
        "b: ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "? ",
        "'",
        '"',
        "|",
        "\n---\n",
        "#",
        "%",
        "1",
        ":",
        "é",
        "\t",
        "~",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=60).map("".join)))
def test_any_text_is_data_or_an_error_of_the_sender(text: bytes | str) -> None:
    with suppress(Invalid):
        safe_yaml.load(text, "config")


LEAVES = st.one_of(st.text("abc é:#'\"-\n", max_size=20), st.integers(), st.booleans(), st.none())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("abc-", max_size=5), inner, max_size=4)
    ),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_what_is_written_is_read_back(tree: object) -> None:
    assert safe_yaml.load(yaml.safe_dump(tree, allow_unicode=True), "config") == tree

"""Names and amounts as Kubernetes wants them."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.scheduler.drivers.kubernetes import quantity
from services.scheduler.drivers.kubernetes.manifests import names
from shared.affinity import VALUE

UNITS = {"": 1, "m": Decimal("0.001"), "k": 1000, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}


@given(some.text())
def test_any_text_has_a_label(text: str) -> None:
    assert re.match(VALUE, names.label(text))
    assert names.label(text)


@pytest.mark.parametrize("text", ["alice", "a-b_c.d", "A" * 63, "1"])
def test_what_is_valid_is_its_own_label(text: str) -> None:
    assert names.label(text) == text


@given(some.text())
def test_no_two_texts_have_the_same_label(text: str) -> None:
    """Not even one that looks like what another was shortened to."""
    label = names.label(text)
    assert label == text or names.label(label) != label


@pytest.mark.parametrize(
    ("one", "other"), [("a b", "a-b"), ("", "x"), ("a/b", "a b"), ("A" * 64, "A" * 65)]
)
def test_what_reads_alike_is_told_apart(one: str, other: str) -> None:
    assert names.label(one) != names.label(other)


def test_projects_of_two_owners_are_told_apart() -> None:
    assert names.owner_and_project("a/b") != names.owner_and_project("c/b")
    assert names.policy("p", "a/b") != names.policy("p", "c/b")
    assert names.policy("p", "a/b") != names.policy("q", "a/b")


def value(text: str) -> Decimal:
    found = re.fullmatch(r"([1-9][0-9]*)([a-zA-Z]*)", text)
    assert found is not None
    return int(found[1]) * Decimal(UNITS[found[2]])


@given(some.integers(1, 10**15))
def test_an_amount_of_cpu_is_exact_to_a_thousandth(milli: int) -> None:
    assert value(quantity.cpu(milli / 1000)) * 1000 == pytest.approx(milli, rel=1e-12)


@given(some.integers(1, 10**9))
def test_an_amount_of_memory_is_exact(mb: int) -> None:
    assert value(quantity.memory(mb)) == mb << 20


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (quantity.cpu(1000), "1k"),
        (quantity.cpu(1.0004), "1"),
        (quantity.cpu(0.0001), "1m"),
        (quantity.memory(1024 * 1024), "1Ti"),
        (quantity.memory(1000), "1000Mi"),
        (quantity.memory(0.1), "1Mi"),
    ],
)
def test_amounts_are_written_in_the_largest_whole_unit(text: str, written: str) -> None:
    assert text == written

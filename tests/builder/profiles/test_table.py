from __future__ import annotations

from pathlib import Path

import pytest

from services.builder.profiles import table
from services.builder.profiles.categories import Categories
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.texts import Texts
from shared.contract import Contract, Field
from shared.errors import Invalid

CONTRACT = Contract(
    inputs=(
        Field(name="age", dtype="int32", shape=(), profile="numerical"),
        Field(name="plan", dtype="string", shape=(), profile="categorical"),
        Field(name="note", dtype="string", shape=(), profile="text"),
        Field(name="plain", dtype="int32", shape=()),
        Field(name="photo", dtype="uint8", shape=(8, 8), profile="image"),
    ),
    outputs=(Field(name="score", dtype="float64", shape=(), profile="numerical"),),
)


def read(tmp_path: Path, content: bytes) -> table.Training:
    (tmp_path / "training.csv").write_bytes(content)
    return table.read(tmp_path / "training.csv", CONTRACT)


def test_columns_that_are_named_as_fields_are_counted(tmp_path: Path) -> None:
    content = (
        '\ufeffage,plan,note,other\n31,gold,"two\nlines, and more",1\n,silver,x,2\n40,gold,,3\n'
    )
    found = read(tmp_path, content.encode())
    assert found.rows == 3
    age, plan, note = (found.sketches[f"inputs.{name}"] for name in ("age", "plan", "note"))
    assert isinstance(age, Numbers)
    assert (age.rows, age.empty, age.mean) == (2, 1, 35.5)
    assert isinstance(plan, Categories)
    assert plan.counts() == {"gold": 2, "silver": 1}
    assert isinstance(note, Texts)
    assert note.rows == 3
    assert found.notes == (
        "inputs.photo is an image, which no CSV file holds",
        "no column is named score, so nothing is known of outputs.score",
    )


def test_numbers_as_categories_are_named_as_those_of_tensors(tmp_path: Path) -> None:
    found = read(tmp_path, b"plan\n3.0\n3\ntrue\nNaN\n")
    plan = found.sketches["inputs.plan"]
    assert isinstance(plan, Categories)
    assert (plan.counts(), plan.empty) == ({"3": 2, "true": 1}, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"age\n\xff\xfe\n", "is not UTF-8"),
        (b"age\n" + b"1" * (table.LINE + 1), "a line of more than"),
        (b"a," * (table.COLUMNS + 1) + b"a\n", "columns allowed"),
        (b'age\n"1\n', "row 2"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read(tmp_path, content)

"""The platform's errors about definitions, in the words of who wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import Problem, SlipwayError, Wrong
from slipway.resources.document import read
from slipway.resources.told import LABEL, label, told

TEXT = b"name: a\npipeline:\n- - {model: a:1, weight: 3}\n---\nname: b\n"


def error(*wrongs: tuple[str, str]) -> SlipwayError:
    errors = tuple(Wrong(field=field, message=message) for field, message in wrongs)
    detail = f"{wrongs[0][0]}: {wrongs[0][1]}" if wrongs else "something"
    return SlipwayError(Problem(title="Not valid", status=422, detail=detail, errors=errors))


@pytest.mark.parametrize("name", ["a.yaml", "/very/long" * 20 + "/a.yaml", "od\td.yaml"])
def test_a_field_is_named_by_file_path_and_line(name: str) -> None:
    documents = read(TEXT, name, Path("/"))
    assert len(label(documents[0])) <= LABEL
    said = f"{label(documents[0])}: is not allowed"
    found = told(error(("documents[0].pipeline[0][0].weight", said)), documents)
    (wrong,) = found.errors
    assert wrong.field == f"{name}#1: pipeline[0][0].weight"
    assert wrong.message == "is not allowed (line 3)"
    assert str(found) == f"Not valid: {wrong.field}: {wrong.message}"


def test_several_are_all_listed_and_what_is_about_none_of_them_is_as_it_was() -> None:
    documents = read(TEXT, "a.yaml", Path("/"))
    wrongs = [("documents[1]", "is odd"), ("documents[7].x", "is odd"), ("target", "is unknown")]
    found = told(error(*wrongs), documents)
    assert str(found) == "Not valid"
    assert [(wrong.field, wrong.message) for wrong in found.errors] == [
        ("a.yaml#2", "is odd (line 5)"),
        ("documents[7].x", "is odd"),
        ("target", "is unknown"),
    ]
    assert str(told(error(), documents)) == "Not valid: something"

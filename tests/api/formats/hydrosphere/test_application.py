"""What an application may be."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.formats.hydrosphere.application import Application
from tests.api.formats.hydrosphere.documents import application, fields, notes, read

ONE = {"model": "claims-model:1"}


def made(**more: Any) -> Application:
    found, wrong = read(application(**more))
    assert wrong == []
    return found.applications[0].value


def stages(value: Application) -> list[list[tuple[str, str, int]]]:
    return [[(v.model, v.version, v.weight) for v in stage.variants] for stage in value.stages]


def test_the_claims_pipeline_is_two_stages() -> None:
    first = [{"model": "claims-preprocessing:1"}]
    second = [{"model": "claims-model:1", "weight": 80}, {"model": "claims-model:2", "weight": 20}]
    value = made(pipeline=[first, second])
    assert stages(value) == [
        [("claims-preprocessing", "1", 100)],
        [("claims-model", "1", 80), ("claims-model", "2", 20)],
    ]
    assert [v.path for v in value.stages[1].variants] == ["pipeline[1][0]", "pipeline[1][1]"]


def test_one_alone_has_all_the_traffic_whatever_is_written() -> None:
    for weight in (None, 100, 7, 0, "heavy"):
        alone = ONE | {"weight": weight}
        for written in ({"singular": alone}, {"pipeline": [[alone]]}, {"pipeline": [alone]}):
            assert stages(made(**written)) == [[("claims-model", "1", 100)]]


def test_a_shadow_has_no_weight() -> None:
    value = made(pipeline=[[ONE | {"weight": 100}, {"model": "claims-model:2", "weight": 0}]])
    assert stages(value)[0][1] == ("claims-model", "2", 0)


def test_a_variant_may_name_how_it_runs() -> None:
    (stage,) = made(singular=ONE | {"deployment-configuration": "small"}).stages
    assert stage.variants[0].configuration == "small"


def test_what_the_real_system_ignores_is_noted() -> None:
    assert notes(application(singular=ONE, version=2, streaming=[])) == ()
    assert notes(application(singular=ONE, extra=1))[0].startswith("extra: is not known")
    assert notes(application(singular=ONE | {"runtime": "x"}))[0].startswith("singular.runtime:")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"singular": ONE, "name": "a.b"}, ".name"),
        ({"singular": ONE, "name": None}, ".name"),
        ({"singular": ONE, "name": "a" * 101}, ".name"),
        ({}, ""),
        ({"singular": ONE, "pipeline": [[ONE]]}, ""),
        ({"singular": ONE, "streaming": [{"in-topic": "a"}]}, ".streaming"),
        ({"singular": []}, ".singular"),
        ({"singular": {}}, ".singular.model"),
        ({"pipeline": []}, ".pipeline"),
        ({"pipeline": {}}, ".pipeline"),
        ({"pipeline": [[]]}, ".pipeline[0]"),
        ({"pipeline": [None]}, ".pipeline[0]"),
        ({"pipeline": ["claims-model:1"]}, ".pipeline[0]"),
        ({"pipeline": [[ONE]] * 51}, ".pipeline"),
        ({"pipeline": [[ONE, ONE | {"weight": 100}]]}, ".pipeline[0][0].weight"),
        ({"pipeline": [[ONE | {"weight": 100}, ONE | {"weight": -1}]]}, ".pipeline[0][1].weight"),
        ({"pipeline": [[ONE | {"weight": 99.5}, ONE | {"weight": 0}]]}, ".pipeline[0][0].weight"),
        ({"pipeline": [[ONE | {"weight": True}, ONE | {"weight": 0}]]}, ".pipeline[0][0].weight"),
        ({"pipeline": [[ONE | {"weight": 80}, ONE | {"weight": 21}]]}, ".pipeline[0]"),
        ({"pipeline": [[ONE | {"weight": 0}, ONE | {"weight": 0}]]}, ".pipeline[0]"),
        ({"singular": {"model": "claims-model"}}, ".singular.model"),
        ({"singular": {"model": "claims-model:"}}, ".singular.model"),
        ({"singular": {"model": "claims-model:latest"}}, ".singular.model"),
        ({"singular": {"model": "claims-model:0"}}, ".singular.model"),
        ({"singular": {"model": "claims-model:-1"}}, ".singular.model"),
        ({"singular": {"model": "claims-model:1:2"}}, ".singular.model"),
        ({"singular": {"model": "claims-model:" + "9" * 400}}, ".singular.model"),
        ({"singular": {"model": "Claims:1"}}, ".singular.model"),
        ({"singular": {"model": 61}}, ".singular.model"),
        (
            {"singular": ONE | {"deployment-configuration": "a b"}},
            ".singular.deployment-configuration",
        ),
        (
            {"singular": ONE | {"deployment-configuration": {"name": "a"}}},
            ".singular.deployment-configuration",
        ),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    assert fields(application(**more)) == [f"documents[0]{field}"]


def test_a_wrong_sum_is_told_in_the_words_that_people_know() -> None:
    _, wrong = read(application(pipeline=[[ONE | {"weight": 80}, ONE | {"weight": 21}]]))
    assert wrong[0][1] == "file.yaml#1: Sum of weights must equal 100. Current sum: 101"


def test_two_applications_of_one_name_are_refused() -> None:
    _, wrong = read(application(singular=ONE), application(singular=ONE))
    assert [field for field, _ in wrong] == ["documents[1].name"]
    assert "file.yaml#1" in wrong[0][1]

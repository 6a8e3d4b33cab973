"""Configuration is read once, checked, and tells what is wrong by the variable's name."""

from __future__ import annotations

from typing import Literal

import pytest

from shared import config
from shared.config import Misconfigured, read


class Config(config.Config, frozen=True, kw_only=True):
    api_port: int = 8080
    target: Literal["process", "container"] = "process"
    limit: float = 1.5


DATABASE = {"DATABASE_URL": "postgresql:///"}


def test_a_field_is_read_from_the_variable_of_its_name() -> None:
    found = read(Config, {**DATABASE, "API_PORT": "81", "TARGET": "container", "LIMIT": "2"})
    assert (found.api_port, found.target, found.limit) == (81, "container", 2.0)


def test_what_is_not_said_has_its_default_and_an_empty_variable_says_nothing() -> None:
    assert read(Config, {**DATABASE, "API_PORT": ""}) == Config(database_url="postgresql:///")


def test_variables_of_others_are_ignored() -> None:
    assert read(Config, {**DATABASE, "HOME": "/root", "api_port": "1"}).api_port == 8080


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "database_url"),
        ({**DATABASE, "API_PORT": "http"}, "api_port"),
        ({**DATABASE, "TARGET": "moon"}, "target"),
        ({**DATABASE, "GRACE": "soon"}, "grace"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_ends_the_process_with_2(
    environ: dict[str, str], named: str
) -> None:
    with pytest.raises(Misconfigured, match=named) as caught:
        read(Config, environ)
    assert caught.value.code == 2

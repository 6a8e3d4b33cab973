"""Provenance: every input by its digest, and nothing that its owner keeps secret."""

from __future__ import annotations

import json
from typing import Any

from services.builder.artifacts.provenance import statement
from shared.endpoint import Origin
from tests.builder.artifacts.made import (
    BASE,
    CANARY,
    HERE,
    IMAGE,
    LOCK,
    MODEL,
    SOURCE,
    definition,
    made,
)


def said(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(statement(made(**changes)))
    return found


def materials(**changes: Any) -> dict[str, dict[str, Any]]:
    found = said(**changes)["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {each["name"]: each for each in found}


def test_it_is_an_in_toto_statement_with_slsas_predicate() -> None:
    found = said(sbom=LOCK)
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    assert found["subject"] == [{"name": HERE, "digest": {"sha256": IMAGE.removeprefix("sha256:")}}]
    built = found["predicate"]["buildDefinition"]
    assert built["buildType"] == "https://slipway.dev/build/endpoint/v1"
    assert built["internalParameters"] == {"python": "3.11.9", "platform": "linux-x86_64"}
    run = found["predicate"]["runDetails"]
    assert run["builder"] == {"id": "https://slipway.dev/builder/v1"}
    assert run["byproducts"] == [
        {
            "name": "sbom",
            "digest": {"sha256": LOCK.removeprefix("sha256:")},
            "mediaType": "application/vnd.cyclonedx+json",
        }
    ]


def test_every_input_is_named_by_its_digest() -> None:
    found = materials()
    assert list(found) == ["source", "repository", "base", "lock", "file/model"]
    digests = {name: each["digest"] for name, each in found.items()}
    assert digests == {
        "source": {"sha256": SOURCE.removeprefix("sha256:")},
        "repository": {"gitCommit": "9" * 40},
        "base": {"sha256": BASE.removeprefix("sha256:")},
        "lock": {"sha256": LOCK.removeprefix("sha256:")},
        "file/model": {"sha256": MODEL.removeprefix("sha256:")},
    }
    assert found["repository"]["uri"] == "git+https://git.example/acme/web@main"
    assert found["base"]["uri"] == f"docker://registry.example/library/python@{BASE}"


def test_what_there_was_none_of_is_not_named() -> None:
    bare = materials(definition=definition(), endpoint="other", base=None, lock="")
    assert list(bare) == ["source"]


def test_what_the_owner_set_is_left_out_and_its_name_stays() -> None:
    secret = Origin(url=f"https://me:{CANARY}@git.example/x", ref="", commit="9" * 40)
    text = statement(made(definition=definition(origin=secret))).decode()
    assert CANARY not in text
    parameters = json.loads(text)["predicate"]["buildDefinition"]["externalParameters"]
    assert parameters["endpoint"]["environment"] == ["A", "TOKEN"]
    assert parameters["endpoint"]["pip_packages"] == ["pkg @ https://***@git.example/pkg.whl"]
    assert parameters["endpoint"]["install"] == ["curl https://***@files.example/x"]


def test_the_same_build_is_told_the_same_way() -> None:
    assert statement(made()) == statement(made())


def test_another_commit_with_the_same_code_is_told_apart() -> None:
    other = Origin(url="https://git.example/acme/web", ref="main", commit="8" * 40)
    assert statement(made(definition=definition(origin=other))) != statement(made())

"""Targets and their names, and what the embedded platform makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.__main__ import Embedded, settled
from shared import target
from shared.config import Misconfigured
from shared.errors import Invalid
from shared.image import has_base


@pytest.mark.parametrize(
    ("name", "kind", "copies", "base"),
    [
        ("process", "process", False, False),
        ("container", "container", False, True),
        ("fake", "fake", False, False),
        ("kubernetes", "kubernetes", True, True),
        ("eu-1", "kubernetes", True, True),
    ],
)
def test_a_name_is_a_kind_of_its_own_or_that_of_a_cluster(
    name: str, kind: str, copies: bool, base: bool
) -> None:
    assert (target.kind(name), target.has_copies(name), has_base(name)) == (kind, copies, base)


@pytest.mark.parametrize("name", ["", "-eu", "eu-", "EU", "e.u", "e u", "x" * 64, "eu\n"])
def test_a_target_is_named_like_a_host(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        target.name(name, "TARGET")
    assert caught.value.field == "TARGET"


def test_targets_are_named_once_each() -> None:
    assert target.names("process, eu-1,process", "TARGETS") == ("process", "eu-1")
    with pytest.raises(Invalid):
        target.names("process,", "TARGETS")


def test_an_embedded_platform_keeps_the_key_of_its_doormen(tmp_path: Path) -> None:
    settings = Embedded(target="eu-1", registry="registry/team")
    first, second = (settled(settings, tmp_path, "postgresql://") for _ in range(2))
    assert len(first["DOORMAN_KEY"]) >= 32
    assert first["DOORMAN_KEY"] == second["DOORMAN_KEY"]
    assert (tmp_path / "doorman.key").stat().st_mode & 0o777 == 0o600
    assert (first["TARGETS"], first["END_REPLICAS"]) == ("eu-1", "false")
    given = Embedded(target="eu-1", registry="registry/team", doorman_key="k" * 32)
    assert settled(given, tmp_path, "postgresql://")["DOORMAN_KEY"] == "k" * 32


def test_an_embedded_platform_on_this_machine_ends_what_it_runs(tmp_path: Path) -> None:
    found = settled(Embedded(), tmp_path, "postgresql://")
    assert found["END_REPLICAS"] == "true"
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_needs_a_registry(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        settled(Embedded(target="eu-1"), tmp_path, "postgresql://")
    assert "REGISTRY is empty; the target eu-1 needs" in str(caught.value)

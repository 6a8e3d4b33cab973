"""Whose a repository of our registry is, as its name tells."""

from __future__ import annotations

import pytest

from services.builder import place
from services.builder.place import Place
from shared.registry import parse


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("registry.example/slipway", Place("registry.example", "slipway")),
        ("registry.example/team/slipway/", Place("registry.example", "team/slipway")),
        ("127.0.0.1:5000", Place("127.0.0.1:5000", "")),
    ],
)
def test_a_place_is_a_registry_and_a_prefix(text: str, read: Place) -> None:
    assert place.read(text) == read
    assert read.repository("acme/web").name == f"{text.rstrip('/')}/acme/web"
    assert read.owner_of(read.repository("acme/web")) == "acme"


@pytest.mark.parametrize(
    "name",
    [
        "registry.example/slipway/acme/web:v1-greet",
        "registry.example/slipway/acme/web@sha256:" + "0" * 64,
        "REGISTRY.example/slipway/acme/web",
        "registry.example:443/slipway/acme/web",
        "web",
    ],
)
def test_an_owners_images_are_known_however_they_are_named(name: str) -> None:
    reference = parse(name, "registry.example/slipway/acme")
    assert Place("registry.example", "slipway").owner_of(reference) == "acme"


@pytest.mark.parametrize(
    "name",
    [
        "python:3.11",
        "library/python:3.11",
        "other.example/slipway/acme/web",
        "registry.example:444/slipway/acme/web",
        "registry.example/slipways/acme/web",
        "registry.example/slipway/web",
        "registry.example/slipway/acme/web/more",
        "registry.example/acme/web",
    ],
)
def test_other_images_are_nobodys(name: str) -> None:
    assert Place("registry.example", "slipway").owner_of(parse(name, "registry.example")) is None


@pytest.mark.parametrize("port", [":80", ""])
def test_loopback_has_a_usual_port_of_its_own(port: str) -> None:
    assert Place("127.0.0.1", "").owner_of(parse(f"127.0.0.1{port}/acme/web")) == "acme"
    assert Place("127.0.0.1:80", "").owner_of(parse(f"127.0.0.1{port}/acme/web")) == "acme"

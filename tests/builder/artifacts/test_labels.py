"""Labels and annotations: what an image may say about itself without giving anything away."""

from __future__ import annotations

import json

import msgspec

from services.builder.artifacts.labels import config_labels, manifest_annotations
from shared.endpoint import Gpus, Wsgi
from shared.image import BaseRecord
from tests.builder.artifacts.made import BASE, CANARY, ENDPOINT, PYTHON, command


def test_an_image_says_what_it_is_and_what_it_stands_on() -> None:
    said = {
        "org.opencontainers.image.title": "greet",
        "org.opencontainers.image.description": "Says hello",
        "org.opencontainers.image.base.name": "python:3.11",
        "org.opencontainers.image.base.digest": BASE,
    }
    assert manifest_annotations(ENDPOINT, PYTHON) == said
    assert said.items() <= config_labels(ENDPOINT, PYTHON).items()


def test_an_image_without_a_base_names_none() -> None:
    assert manifest_annotations(command("other")) == {"org.opencontainers.image.title": "other"}
    unpinned = BaseRecord(name="python:3.11", reference="python:3.11")
    assert "org.opencontainers.image.base.digest" not in manifest_annotations(ENDPOINT, unpinned)


def test_the_contract_says_how_to_run_and_call_it() -> None:
    labels = config_labels(ENDPOINT)
    assert (labels["dev.slipway.endpoint"], labels["dev.slipway.format"]) == ("greet", "proximl")
    assert json.loads(labels["dev.slipway.contract"]) == {
        "name": "greet",
        "format": "proximl",
        "entry": "routes",
        "port": 8000,
        "readiness": "ping",
        "routes": [
            {
                "verb": "POST",
                "path": "/greet",
                "file": "greet",
                "function": "greet",
                "body": [{"name": "who", "type": "str"}],
            }
        ],
        "files": ["model"],
    }


def test_the_contract_says_which_gpus_it_needs() -> None:
    wanting = msgspec.structs.replace(ENDPOINT, gpus=Gpus(types=("a100",), count=2))
    contract = json.loads(config_labels(wanting)["dev.slipway.contract"])
    assert contract["gpus"] == {"types": ["a100"], "count": 2}


def test_each_kind_of_entry_has_its_name() -> None:
    wsgi = msgspec.structs.replace(ENDPOINT, entry=Wsgi(app="app:app"))
    kinds = [
        json.loads(config_labels(each)["dev.slipway.contract"])["entry"]
        for each in (ENDPOINT, wsgi, command("c"))
    ]
    assert kinds == ["routes", "wsgi", "command"]


def test_what_the_owner_set_is_not_in_a_label() -> None:
    assert CANARY not in str(config_labels(ENDPOINT, PYTHON))

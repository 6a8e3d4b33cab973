"""Values that are wrong are refused before anything is done, in words that name them."""

from __future__ import annotations

import helm_python
import jsonschema
import msgspec
import pytest
import yaml

from tests.charts.rendered import CHART, LEAST, SETS, changed, render

WRONG = [
    ("images.registry", "https://registry.example", "registry"),
    ("images.tag", "latest", "tag"),
    ("images.api.digest", "sha256:12", "digest"),
    ("images.pullPolicy", "Sometimes", "pullPolicy"),
    ("targets", [], "targets"),
    ("targets", [{"name": "Process", "namespace": "a"}], "name"),
    ("targets", [{"name": "here"}], "namespace"),
    ("api.replicas", -1, "replicas"),
    ("api.replica", 2, "replica"),
    ("router.url", "run.example", "url"),
    ("settings", {"log_level": "INFO"}, "log_level"),
    ("database.url", "mysql://x", "url"),
    ("broker.url", "http://x", "url"),
    ("database.bundled.image", "postgres", "image"),
    ("database.bundled.image", "postgres:latest", "image"),
    ("database.bundled.user", 0, "user"),
    ("database.bundled.password", "a'b; DROP", "password"),
    ("doorman.key", "short", "key"),
    ("builder.engine", "docker", "engine"),
    ("blobs.volume.accessModes", ["ReadOnlyMany"], "accessModes"),
    ("drain.linger", -1, "linger"),
    ("nonsense", 1, "nonsense"),
]


@pytest.mark.parametrize(("path", "value", "named"), WRONG, ids=[f"{a}={b}" for a, b, _ in WRONG])
def test_a_wrong_value_is_refused_by_its_name(path, value, named):
    with (
        helm_python.Chart.load(CHART) as chart,
        pytest.raises(helm_python.HelmError, match=named),
    ):
        chart.validate_schema(changed(LEAST, path, value))


@pytest.mark.parametrize("name", SETS)
def test_a_sound_set_is_accepted(name):
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(SETS[name])


def test_nothing_is_installed_without_a_registry():
    with pytest.raises(helm_python.HelmError, match=r"images\.registry is required"):
        render({})


def test_the_schema_is_a_schema_and_knows_every_default():
    schema = msgspec.json.decode((CHART / "values.schema.json").read_bytes())
    jsonschema.Draft7Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema, cls=jsonschema.Draft7Validator)
    assert set(values) | {"global"} == set(schema["properties"])

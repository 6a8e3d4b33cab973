"""What users may say about where their replicas run, and how options of a workload are stored."""

from __future__ import annotations

import msgspec
import pytest

from shared.affinity import Affinity
from shared.endpoint import Autoscaling, Command, Endpoint, Toleration, Variables

TERM = '{"matchExpressions":[{"key":"disk","operator":"In","values":["ssd"]}]}'


def node(term: str) -> bytes:
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    return f'{{"nodeAffinity":{{"{rule}":{{"nodeSelectorTerms":[{term}]}}}}}}'.encode()


def anti(term: str) -> bytes:
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    return f'{{"podAntiAffinity":{{"{rule}":[{term}]}}}}'.encode()


@pytest.mark.parametrize(
    "text",
    [
        node(TERM),
        node(TERM.replace("In", "Exists").replace(',"values":["ssd"]', "")),
        node(TERM.replace("In", "Gt").replace("ssd", "4")),
        anti(
            '{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"a/b":"c"}}}'
        ),
    ],
)
def test_it_is_written_as_kubernetes_writes_it(text: bytes) -> None:
    assert msgspec.json.encode(msgspec.json.decode(text, type=Affinity)) == text


@pytest.mark.parametrize(
    "text",
    [
        node("{}"),
        node('{"matchExpressions":[]}'),
        node('{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}'),
        node(TERM.replace("In", "Is")),
        node(TERM.replace('"ssd"', "")),
        node(TERM.replace("In", "Exists")),
        node(TERM.replace("In", "Lt")),
        node(TERM.replace("disk", "disk\\n")),
        node(TERM.replace("disk", "a/b/c")),
        node(TERM.replace("disk", "a..b/c")),
        node(TERM.replace("ssd", "s" * 64)),
        anti('{"labelSelector":{}}'),
        anti('{"topologyKey":"zone","namespaces":["kube-system"]}'),
        anti('{"topologyKey":"zone","namespaceSelector":{}}'),
        b'{"nodeName":"n1"}',
    ],
)
def test_nothing_else_is_taken(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Affinity)


@pytest.mark.parametrize("text", ['{"A-B":"x"}', '{"A\\n":"x"}', '{"":"x"}', '{"A":"\\u0000"}'])
def test_a_variable_is_one_that_every_program_can_be_given(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Variables)


@pytest.mark.parametrize(
    "text", ['{"min":3,"max":2}', '{"max":0}', '{"max":2,"cpu_percent":0}', "{}"]
)
def test_autoscaling_has_a_most_that_is_not_below_its_least(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Autoscaling)


def test_options_that_are_not_used_are_not_stored() -> None:
    plain = Endpoint(
        name="x",
        format="valohai",
        entry=Command(lines=("serve",)),
        port=8000,
        readiness="none",
        tolerations=(Toleration(key="a"),),
    )
    stored = msgspec.json.encode(plain)
    assert not {"replicas", "autoscaling", "affinity", "node_labels", "variables"} & set(
        msgspec.json.decode(stored)
    )
    assert b"seconds" not in stored
    assert msgspec.json.decode(stored, type=Endpoint) == plain

"""Whatever a document is: it is read, or what is wrong with it is said in a few words."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.api.formats.checks import Wrongs
from services.api.formats.hydrosphere import document
from services.api.formats.hydrosphere.runtime import DEFAULT
from services.api.hydrosphere import documents as posted
from shared.errors import Invalid

KEYS = st.sampled_from(
    [
        *("kind", "name", "runtime", "contract", "inputs", "outputs", "shape", "type", "fields"),
        *("profile", "payload", "metadata", "training-data", "install-command", "singular"),
        *("pipeline", "model", "weight", "deployment-configuration", "streaming", "hpa", "pod"),
        *("container", "deployment", "resources", "limits", "requests", "cpu", "memory", "env"),
        *("nvidia.com/gpu", "nodeSelector", "affinity", "nodeAffinity", "tolerations", "operator"),
        *("maxReplicas", "replicaCount", "predict", "executionGraph", "stages", "modelVariants"),
        *("modelVersionId", "signatureName", "dim", "size", "dtype", "", "x", "é\ud800", "a\0b"),
    ]
)
WORDS = st.sampled_from(
    ["Model", "Application", "DeploymentConfiguration", "scalar", "double", "claims-model:1", "1Gi"]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), WORDS
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=40,
)
KINDS = st.sampled_from(["Model", "Application", "DeploymentConfiguration", "Config", None])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(KINDS, ANYTHING), max_size=4))
def test_any_documents_are_read_or_refused(sent: list[tuple[str | None, Any]]) -> None:
    wrongs = Wrongs()
    written = [
        ("file.yaml", value | {"kind": kind} if isinstance(value, dict) else value)
        for kind, value in sent
    ]
    document.read(written, DEFAULT, wrongs)
    assert all(len(wrong.field) < 600 and len(wrong.message) < 1_000 for wrong in wrongs)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_whatever_a_client_posts_is_a_document_or_refused(sent: Any) -> None:
    for make in (posted.model, posted.configuration, lambda s: posted.application(s, {1: "m:1"})):
        try:
            written = make(sent)
        except Invalid:
            continue
        document.read([("", written)], DEFAULT, Wrongs())

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.errors import Invalid
from shared.registry import Reference, parse

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example/app", Reference("registry.example", "app")),
        ("registry.example/team/app:1.2", Reference("registry.example", "team/app", "1.2")),
        ("registry.example:5000/app", Reference("registry.example:5000", "app")),
        ("registry.example:5000/a/b/c:x", Reference("registry.example:5000", "a/b/c", "x")),
        ("localhost/app:latest", Reference("localhost", "app", "latest")),
        ("127.0.0.1:5000/app", Reference("127.0.0.1:5000", "app")),
        ("[::1]:5000/app:1", Reference("[::1]:5000", "app", "1")),
        ("REGISTRY.Example/app", Reference("registry.example", "app")),
        (f"registry.example/app@{DIGEST}", Reference("registry.example", "app", "", DIGEST)),
        (f"registry.example/app:1@{DIGEST}", Reference("registry.example", "app", "1", DIGEST)),
        ("registry.example/a__b/c--d/e.f_g", Reference("registry.example", "a__b/c--d/e.f_g")),
    ],
)
def test_a_full_reference_is_read_as_docker_reads_it(text: str, expected: Reference) -> None:
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("python:3.11", "registry.example", "registry.example/python:3.11"),
        ("python", "registry.example:5000", "registry.example:5000/python"),
        ("team/app:1", "registry.example/mirror/", "registry.example/mirror/team/app:1"),
        ("other.example/app:1", "registry.example/mirror", "other.example/app:1"),
        (f"python@{DIGEST}", "127.0.0.1:5000", f"127.0.0.1:5000/python@{DIGEST}"),
    ],
)
def test_a_name_without_a_registry_is_looked_for_at_the_default_one_as_written(
    text: str, default: str, expected: str
) -> None:
    assert str(parse(text, default)) == expected


def test_a_name_without_a_registry_and_without_a_default_says_how_to_write_it() -> None:
    with pytest.raises(Invalid, match=r"names no registry.*registry\.example/team/app"):
        parse("python:3.11")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " registry.example/app",
        "registry.example/app ",
        "registry.example/app\n",
        "registry.example/app:1\n",
        "registry.example/",
        "registry.example//app",
        "registry.example/app/",
        "registry.example/App",
        "registry.example/../app",
        "registry.example/a/../b",
        "registry.example/.app",
        "registry.example/app_",
        "registry.example/a___b",
        "registry.example/app:",
        "registry.example/app:-1",
        "registry.example/app:" + "x" * 129,
        "registry.example/app:1:2",
        "registry.example/app@",
        "registry.example/app@sha256:abc",
        "registry.example/app@sha256:" + "AB" * 32,
        "registry.example/app@sha512:" + "ab" * 64,
        f"registry.example/app@{DIGEST}@{DIGEST}",
        "registry.example:0/app",
        "registry.example:65536/app",
        "registry.example:/app",
        "registry.example:x/app",
        "registry..example/app",
        "-registry.example/app",
        "user:password@registry.example/app",
        "https://registry.example/app",
        "[::1/app",
        "[::zz]:5000/app",
        "[1.2.3.4.5]:1/app",
        "registry.example/äpp",
        "registry.example/app\u0661",
        "rég\u0456stry.example/app",
        "registry.example/app?x=1",
        "registry.example/app#x",
        "registry.example/app%2f..",
        "registry.example\\app:1",
        "registry.example/app\x00",
        "registry.example/" + "a" * 250,
        "registry.example/" + "a/" * 2_000,
        "a" * 1_000_000,
        "--help",
    ],
)
def test_anything_else_is_refused_in_words_and_without_an_echo(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text, "registry.example/mirror")
    assert refused.value.field == "image"
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("default", ["mirror", "registry", "http://registry.example", "a b.c", "/"])
def test_a_default_registry_that_is_none_is_refused(default: str) -> None:
    with pytest.raises(Invalid):
        parse("python:3.11", default)


@given(some.text(alphabet="aA1.:/@-_[]~ \n", max_size=40))
def test_whatever_is_read_can_be_written_and_read_again(text: str) -> None:
    try:
        found = parse(text, "registry.example/x")
    except Invalid:
        return
    assert parse(str(found)) == found


def test_an_image_that_is_pinned_has_no_tag_any_more() -> None:
    pinned = Reference("registry.example", "app", "1").at(DIGEST)
    assert str(pinned) == f"registry.example/app@{DIGEST}"
    assert (pinned.version, Reference("registry.example", "app").version) == (DIGEST, "latest")

"""What was decided on inside a base, as uv writes it and as somebody hostile might."""

from __future__ import annotations

import pytest

from services.builder.python.wheels import pylock
from services.builder.python.wheels.pylock import Found

HASH = "a" * 64
FOLDER = "/slipway/wheels/out"


def only(text: str) -> Found:
    [found] = pylock.read(f'lock-version = "1.0"\n[[packages]]\n{text}\n', FOLDER)
    return found


def test_a_wheel_needs_no_building() -> None:
    found = only(
        'name = "Tiny_Thing"\nversion = "1.0"\n'
        f'wheels = [{{ url = "https://x.example/t.whl", hashes = {{ sha256 = "{HASH}" }} }}]'
    )
    assert found.line == ""
    assert found.pin.requirement == "tiny-thing==1.0"
    assert found.pin.hashes == (f"sha256:{HASH}",)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            f'version = "1"\nsdist = {{ path = "a.tar.gz", hashes = {{ sha256 = "{HASH}" }} }}',
            f"a==1 --hash=sha256:{HASH}",
        ),
        (
            'directory = { path = "../../../valohai/code/a", editable = true }',
            "a @ file:///valohai/code/a",
        ),
        (
            f'archive = {{ url = "https://x.example/a.zip", hashes = {{ sha256 = "{HASH}" }} }}',
            f"a @ https://x.example/a.zip --hash=sha256:{HASH}",
        ),
        (
            f'vcs = {{ type = "git", url = "https://x.example/a", commit-id = "{"b" * 40}" }}',
            f"a @ git+https://x.example/a@{'b' * 40}",
        ),
    ],
    ids=["sdist", "folder", "archive", "git"],
)
def test_what_is_to_be_built_is_asked_for_exactly(said: str, line: str) -> None:
    assert only(f'name = "a"\n{said}').line == line


def test_a_wheel_at_an_address_is_locked_as_such() -> None:
    address = "https://x.example/a-1-py3-none-any.whl"
    found = only(
        'name = "a"\nversion = "1"\n'
        f'archive = {{ url = "{address}", hashes = {{ sha256 = "{HASH}" }} }}'
    )
    assert found.pin.requirement == f"a @ {address}"
    assert found.line == ""


@pytest.mark.parametrize(
    "said",
    [
        'name = "a"',
        'name = "a"\nversion = "1"',
        'name = "a\\n--index-url=http://evil"\nversion = "1"',
        'name = "a"\nversion = "1 --pre"\nwheels = []',
        'name = "a"\nversion = "1"\nsdist = { url = "x", hashes = { sha256 = "0" } }',
        'name = "a"\nversion = "1"\nsdist = { url = "x" }',
        'name = "a"\nversion = 1',
        'name = "a"\ndirectory = { path = "a\\nb" }',
        'name = "a"\nvcs = { type = "git", url = "x", commit-id = "main" }',
        'name = "a"\nvcs = { type = "hg", url = "x" }',
        f"name = {'[' * 5000}",
        "name",
    ],
)
def test_what_can_not_be_followed_is_refused(said: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whoever calls says of what
        only(said)

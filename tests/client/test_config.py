"""Where the platform is looked for, and what is said when it is nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway import Settings, Unconfigured, find

ENVIRON = {"SLIPWAY_URL": "http://here:1/v1/", "SLIPWAY_TOKEN": "t"}


def toml(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "client.toml").write_text(text)
    return folder


def test_the_environment_comes_first(tmp_path: Path) -> None:
    toml(tmp_path / ".slipway", 'url = "http://file:1"\ntoken = "f"\n')
    found = find({**ENVIRON, "SLIPWAY_PROJECT": "a/b"}, tmp_path)
    assert found == Settings(url="http://here:1", token="t", project="a/b")


def test_the_nearest_file_is_found_from_below(tmp_path: Path) -> None:
    toml(tmp_path / ".slipway", 'url = "http://file:1"\ntoken = "f"\nproject = "a/b"\nnew = 1\n')
    below = tmp_path / "examples" / "iris"
    below.mkdir(parents=True)
    assert find({}, below) == Settings(url="http://file:1", token="f", project="a/b")
    assert find({"SLIPWAY_PROJECT": "c/d"}, below).project == "c/d"


def test_a_named_home_is_the_only_one(tmp_path: Path) -> None:
    home = toml(tmp_path / "home", 'url = "http://home:1"\ntoken = "h"\n')
    toml(tmp_path / ".slipway", 'url = "http://file:1"\ntoken = "f"\n')
    assert find({"SLIPWAY_HOME": str(home)}, tmp_path).url == "http://home:1"
    with pytest.raises(Unconfigured, match=r"there is no .*client\.toml"):
        find({"SLIPWAY_HOME": str(tmp_path / "other")}, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url = ", "cannot read"),
        ("url = 1", "cannot read"),
        ('url = "http://x"', "no token"),
        ('url = "x"\ntoken = "t"', "must begin with http"),
        ("", "must begin with http"),
    ],
)
def test_a_bad_file_is_named_with_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    toml(tmp_path / ".slipway", text)
    with pytest.raises(Unconfigured, match=said) as told:
        find({}, tmp_path)
    assert "make up" in told.value.hint


def test_nothing_found_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unconfigured, match="found no platform") as told:
        find({}, tmp_path)
    assert "make up" in told.value.hint


def test_a_url_without_a_token_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Unconfigured, match="SLIPWAY_TOKEN is not"):
        find({"SLIPWAY_URL": "http://here:1"}, tmp_path)


def test_a_token_is_not_shown_by_accident() -> None:
    assert "secret" not in repr(Settings(url="http://x", token="secret"))

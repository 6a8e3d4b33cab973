"""Where packages come from: the machine's pip settings, in uv's words, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.builder.python import indexes


def conf(folder: Path, text: str) -> dict[str, str]:
    path = folder / "pip.conf"
    path.write_text(text)
    return {"PIP_CONFIG_FILE": str(path), "HOME": str(folder), "PATH": "/usr/bin"}


def settings(environ: dict[str, str]) -> dict[str, str]:
    return indexes.settings(environ, "/nonexistent")


def test_pips_settings_are_told_in_uvs_words(tmp_path: Path) -> None:
    found = settings(
        conf(
            tmp_path,
            "[global]\nindex-url = https://index.example/simple\n"
            "extra-index-url =\n    https://a.example/simple\n    https://b.example/simple\n"
            "find-links = /srv/wheels /srv/more\ntrusted-host = a.example\n"
            "[install]\nno-index = true\n",
        )
    )
    assert found["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert found["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
    assert found["UV_FIND_LINKS"] == "/srv/wheels,/srv/more"
    assert found["UV_INSECURE_HOST"] == "a.example"
    assert found["UV_NO_INDEX"] == "1"


def test_the_environment_wins_over_files_and_uvs_own_over_pips(tmp_path: Path) -> None:
    environ = conf(tmp_path, "[global]\nindex-url = https://file.example\n")
    assert settings(environ | {"PIP_INDEX_URL": "https://env.example"})["UV_DEFAULT_INDEX"] == (
        "https://env.example"
    )
    own = settings(environ | {"UV_INDEX_URL": "https://uv.example"})
    assert own["UV_INDEX_URL"] == "https://uv.example"
    assert "UV_DEFAULT_INDEX" not in own


@pytest.mark.parametrize(
    "name",
    ["DATABASE_URL", "AMQP_URL", "HOME", "SLIPWAY_TOKEN", "PIP_INDEX_URL", "UV_PUBLISH_TOKEN", "LD_PRELOAD", "PYTHONPATH", "VIRTUAL_ENV"],
)  # fmt: skip
def test_what_a_build_may_not_see_is_not_passed_on(name: str) -> None:
    assert name not in settings({name: "x", "PIP_CONFIG_FILE": "/dev/null"})


@pytest.mark.parametrize("name", ["PATH", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "UV_INDEX"])
def test_what_fetching_needs_is_passed_on(name: str) -> None:
    assert settings({name: "x", "PIP_CONFIG_FILE": "/dev/null"})[name] == "x"


def test_a_broken_file_of_pips_is_pips_trouble(tmp_path: Path) -> None:
    assert "UV_INDEX" not in settings(conf(tmp_path, "not an ini file\n"))


def test_the_identity_tells_indexes_apart_and_no_credentials() -> None:
    def identity(url: str) -> str:
        return indexes.identity({"UV_DEFAULT_INDEX": url, "HTTPS_PROXY": url})

    assert identity("https://a.example") != identity("https://b.example")
    assert identity("https://me:one@a.example") == identity("https://you:two@a.example")

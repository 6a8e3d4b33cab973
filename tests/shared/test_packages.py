"""What may be asked of apt and conda, and what may not."""

from __future__ import annotations

import pytest

from shared.packages import is_apt, is_conda


@pytest.mark.parametrize(
    "name",
    [
        "ffmpeg",
        "g++",
        "libstdc++6",
        "python3.11",
        "libc6:amd64",
        "libssl3=3.0.11-1~deb12u2",
        "zlib1g=1:1.2.13.dfsg-1",
    ],
)
def test_names_of_debian_packages_are_known(name: str) -> None:
    assert is_apt(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "-y",
        "ffmpeg-",
        "ffmpeg+",
        "./a.deb",
        "a/b",
        "a/stable",
        "A",
        "a b",
        "task^",
        "a*",
        "a?",
        "a=$(x)",
        "a\n",
        "x" * 200,
    ],
)
def test_apt_is_asked_for_nothing_else(name: str) -> None:
    assert not is_apt(name)


@pytest.mark.parametrize(
    "name",
    [
        "numpy",
        "_libgcc_mutex",
        "cudatoolkit=11.8",
        "numpy>=2,<3",
        "numpy==2.1.*",
        "conda-forge::ffmpeg",
        "pytorch=2.1=py3.11_cuda",
        "a!=1",
    ],
)
def test_names_of_conda_packages_are_known(name: str) -> None:
    assert is_conda(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "--file=x",
        "-c",
        "/a",
        "./a",
        "a b",
        "a;b",
        "a|b",
        "https://x.example/a.conda",
        "a\n",
        "a[url=x]",
        "x" * 200,
    ],
)
def test_conda_is_asked_for_nothing_else(name: str) -> None:
    assert not is_conda(name)

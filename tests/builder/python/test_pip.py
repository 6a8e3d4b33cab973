"""Lines that only run pip are understood, and no other is taken for one of them."""

from __future__ import annotations

import pytest

from services.builder.python.pip import read
from services.builder.python.pipconf import Own
from services.builder.python.request import NOTHING, Request

FROM_FILE = Request(files=("requirements.txt",))


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", NOTHING),
        ("# nothing", NOTHING),
        ("pip install -r requirements.txt", FROM_FILE),
        ("pip3 install -rrequirements.txt", FROM_FILE),
        ("pip install --requirement=./requirements.txt", FROM_FILE),
        ("pip install -r /model/files/requirements.txt", FROM_FILE),
        ("python -m pip install -r requirements.txt", FROM_FILE),
        ("/usr/bin/python3.11 -m pip --no-cache-dir install -r requirements.txt", FROM_FILE),
        ("pip install -U -q --user --timeout 60 -r requirements.txt", FROM_FILE),
        ("PIP_NO_CACHE_DIR=1 pip install -r requirements.txt", FROM_FILE),
        ("PIP_CONFIG_FILE=./pip.conf pip install -r requirements.txt", FROM_FILE),
        (
            "PIP_CONFIG_FILE=conf/own.conf pip install -r requirements.txt",
            Request(files=("requirements.txt",), conf="conf/own.conf"),
        ),
        (
            "pip install numpy==1.26.4 'scipy>=1,<2' \"pandas; python_version >= '3'\" x[y]==1.*",
            Request(
                packages=(
                    "numpy==1.26.4",
                    "scipy>=1,<2",
                    "pandas; python_version >= '3'",
                    "x[y]==1.*",
                )
            ),
        ),
        ("pip install numpy>=1.20", Request(packages=("numpy>=1.20",))),
        (
            "pip install -r a.txt && pip install -r b/c.txt tiny tiny",
            Request(files=("a.txt", "b/c.txt"), packages=("tiny",)),
        ),
        (
            "pip install -r a.txt\n\n  pip install tiny",
            Request(files=("a.txt",), packages=("tiny",)),
        ),
        (
            "pip install -i https://i/simple --extra-index-url https://e --trusted-host h -f wheels x",
            Request(
                packages=("x",),
                own=Own(
                    index="https://i/simple",
                    extra=("https://e",),
                    trusted=("h",),
                    links=("wheels",),
                ),
            ),
        ),
        ("PIP_NO_INDEX=1 pip install x", Request(packages=("x",), own=Own(no_index=True))),
        ("pip install --no-index x", Request(packages=("x",), own=Own(no_index=True))),
    ],
)
def test_pip_install_is_read_as_what_it_asks_for(line: str, asked: Request) -> None:
    assert read((line,)) == asked


@pytest.mark.parametrize(
    "line",
    [
        "apt-get update && pip install tiny",
        "pip install tiny; rm -rf /",
        "pip install tiny | tee log",
        "pip install tiny > log",
        "pip install numpy<2",
        "pip install $NAME",
        'pip install "$(cat names)"',
        "pip install `cat names`",
        "pip install ~/wheels/tiny.whl",
        "pip install .",
        "pip install -e .",
        "pip install ./wheels/tiny-1.0-py3-none-any.whl",
        "pip install --pre tiny",
        "pip install --target lib tiny",
        "pip install -r",
        "pip uninstall tiny",
        "pip --version",
        "pip",
        "python setup.py install",
        "python -m build",
        "sh install.sh",
        "TOKEN=1 pip install tiny",
        "PIP_TARGET=/x pip install tiny",
        "if true; then pip install tiny; fi",
        "pip install 'tiny",
        "pip install https://me:secret@example.org/tiny-1.0-py3-none-any.whl",
        "cd src && pip install tiny",
    ],
)
def test_whatever_is_more_than_that_is_for_a_shell(line: str) -> None:
    assert read((line,)) is None


def test_all_lines_have_to_be_plain() -> None:
    assert read(("pip install a", "pip install b")) == Request(packages=("a", "b"))
    assert read(("pip install a", "make")) is None

"""Names of packages as people may ask for them: no options of a tool, no paths, no addresses."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 500  # of one kind

APT: Final = re.compile(
    r"[a-z0-9][a-z0-9+.-]{1,99}"  # name
    r"(?::[a-z0-9]{2,20})?"  # architecture
    r"(?:=[A-Za-z0-9][A-Za-z0-9.+:~-]{0,99})?"  # version
)
CONDA: Final = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,60}::)?"  # channel
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"  # name
    r"(?:(?:[<>=!~]=|[<>=])[A-Za-z0-9.*+_!-]{1,60}"  # version
    r"(?:[,|](?:[<>=!~]=|[<>=])?[A-Za-z0-9.*+_!-]{1,60}){0,9}"  # and others
    r"(?:=[A-Za-z0-9.*_-]{1,60})?)?"  # build
)


def is_apt(name: str) -> bool:
    """Whether `apt-get install` may be asked for `name`: `ffmpeg`, `libssl3=3.0.11-1`.

    >>> is_apt("libstdc++6:amd64"), is_apt("-oDebug=1"), is_apt("./x.deb"), is_apt("ffmpeg-")
    (True, False, False, False)
    """
    # to apt, a name with a sign at its end is an order to remove it or to install it anyway
    return APT.fullmatch(name) is not None and (not name.endswith(("-", "+")) or "++" in name[-2:])


def is_conda(name: str) -> bool:
    """Whether `conda install` may be asked for `name`: `numpy>=2,<3`, `conda-forge::ffmpeg`.

    >>> is_conda("cudatoolkit=11.8"), is_conda("--file=x"), is_conda("/etc"), is_conda("a b")
    (True, False, False, False)
    """
    return CONDA.fullmatch(name) is not None

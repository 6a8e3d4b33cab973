"""A `pip` for lines that run where there is none: what they ask of it, uv does.

`pip.py` is that program. It runs in the sandbox with whatever Python the lines run with, so it
needs nothing but the standard library.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from services.builder.python.pip_on_uv import pip

UV: Final = pip.UV
CACHE: Final = pip.CACHE
NAMES: Final = ("pip", "pip3")
PYTHONS: Final = ("python", "python3")
SCRIPT: Final = '#!/bin/sh\nexec {python} -m pip "$@"\n'


def lay_out(folder: Path, python: str) -> None:
    """Make `folder`: with it on PYTHONPATH, and its `bin` on PATH, `pip` is ours."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    shutil.copyfile(pip.__file__, folder / "pip.py")
    for name in NAMES:
        script = folder / "bin" / name
        script.write_text(SCRIPT.format(python=PYTHONS[-1]))
        script.chmod(0o755)
    for name in PYTHONS:
        os.symlink(python, folder / "bin" / name)

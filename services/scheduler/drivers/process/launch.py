"""Starts supervisors, each on its own: they outlive whoever started them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from shared.errors import Transient

HERE: Final = Path(__file__).parent
PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from supervisor import main; sys.exit(getattr(main, sys.argv[2])(*sys.argv[3:]))"
)
LONGEST: Final = 30.0


def interpreter() -> str:
    """The machine's Python, not the platform's virtual environment."""
    return str(getattr(sys, "_base_executable", sys.executable))


def run(function: str, *arguments: str) -> str | None:
    """Call a function of the supervisor's main in a process of its own: None, or what was wrong.

    Blocks, so it belongs into a thread, and must not be cancelled.
    """
    command = [interpreter(), "-I", "-S", "-c", PROGRAM, str(HERE), function, *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath},
            cwd="/",
            timeout=LONGEST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Transient(f"cannot start a process: {error}") from error
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "ended"

"""What runs on a machine, and what must never be taken for it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from services.scheduler.drivers.process import alive


def test_L05_a_number_that_another_process_has_by_now_gets_no_signal(tmp_path: Path) -> None:
    """Its supervisor was found, ended, and its number was given to somebody else."""
    stranger = subprocess.Popen(["sleep", "60"])
    found = iter([stranger.pid, None])
    try:
        assert alive._signal(lambda _: next(found), tmp_path, signal.SIGKILL)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()

"""What is started inside an image: its own server, or a run's command in its place. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.scheduler.driver import Workload
from shared.endpoint import Readiness, Run
from shared.image import ContainerConfig


def command(config: ContainerConfig, workload: Workload) -> Sequence[str]:
    return config.entrypoint if workload.run is None else script(workload.run)


def readiness(workload: Workload) -> Readiness:
    """A run is ready as soon as it runs."""
    return "none" if workload.run is not None else workload.endpoint.readiness


def script(run: Run) -> Sequence[str]:
    """Several lines stop at the first that fails.

    >>> from shared.endpoint import Run
    >>> script(Run(lines=("make", "make test")))
    ('/bin/sh', '-c', 'set -e\\nmake\\nmake test')
    """
    first = ("set -e",) if len(run.lines) > 1 else ()
    return ("/bin/sh", "-c", "\n".join((*first, *run.lines)))

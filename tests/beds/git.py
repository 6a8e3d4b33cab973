"""A real git server of our own on loopback, and repositories for it to serve.

`git http-backend` answers; a few lines of CGI lead to it. A server that does what an honest one
would not is made by giving it a handler of its own.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import threading
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.beds.debian import program

ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@house.example",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@house.example",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
}
LINK: Final = "link to "
"""How the content of a file begins that is to be a symbolic link."""


def git(folder: Path, *arguments: str, given: bytes | None = None) -> str:
    """What git says, as Ann would call it in `folder`."""
    done = subprocess.run(
        [program("git", "git"), *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        input=given,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


class Repository:
    """A bare repository that is written to object by object, so that it may hold anything."""

    def __init__(self, path: Path, *, hash: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "-b", "main", f"--object-format={hash}")

    def blob(self, content: bytes | str) -> str:
        body = content.encode() if isinstance(content, str) else content
        return git(self.path, "hash-object", "-w", "--stdin", given=body)

    def tree(self, *entries: tuple[str, bytes | str, str]) -> str:
        """Of `(mode, name, object)`, in git's order, whatever they say."""
        raw = b"".join(
            mode.encode()
            + b" "
            + (name if isinstance(name, bytes) else name.encode())
            + b"\0"
            + bytes.fromhex(oid)
            for mode, name, oid in entries
        )
        made = ("hash-object", "-t", "tree", "-w", "--stdin", "--literally")
        return git(self.path, *made, given=raw)

    def commit(self, tree: str, *, branch: str = "main", parent: str = "") -> str:
        made = git(
            self.path, "commit-tree", tree, "-m", "made", *(["-p", parent] if parent else [])
        )
        git(self.path, "update-ref", f"refs/heads/{branch}", made)
        return made

    def files(self, files: Mapping[str, bytes | str], **more: str) -> str:
        """A commit with these files: a `.sh` is executable, a LINK is one."""
        return self.commit(self._folder(dict(files)), **more)

    def _folder(self, files: Mapping[str, bytes | str]) -> str:
        entries: list[tuple[str, bytes | str, str]] = []
        inner: dict[str, dict[str, bytes | str]] = {}
        for path, content in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                inner.setdefault(name, {})[rest] = content
            elif isinstance(content, str) and content.startswith(LINK):
                entries.append(("120000", name, self.blob(content.removeprefix(LINK))))
            else:
                mode = "100755" if name.endswith(".sh") else "100644"
                entries.append((mode, name, self.blob(content)))
        entries += [("40000", name, self._folder(under)) for name, under in inner.items()]
        return self.tree(*sorted(entries, key=lambda entry: _order(entry[0], str(entry[1]))))


def _order(mode: str, name: str) -> str:
    return name + "/" if mode == "40000" else name


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """What a server for `name` shows, and the file of whoever believes it."""
    key, shown = folder / f"{name}.key", folder / f"{name}.pem"
    command = [
        *(program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
        *("-keyout", str(key), "-out", str(shown), "-days", "1", "-subj", f"/CN={name}"),
        *("-addext", f"subjectAltName=DNS:{name}"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, key)
    return context, shown


@asynccontextmanager
async def served(
    handler: web.Application, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The URL under which `handler` answers, `http://<host>:<port>`; https with `tls`."""
    runner = web.AppRunner(handler, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=tls).start()
    port, scheme = runner.addresses[0][1], "https" if tls else "http"
    try:
        yield f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def git_server(
    root: Path, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The URL under which the repositories in `root` can be fetched."""

    async def answer(request: web.Request) -> web.Response:
        return await _backend(root, request)

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", answer)
    async with served(app, host, tls) as url:
        yield url


@contextmanager
def git_server_aside(root: Path) -> Iterator[str]:
    """The same on a thread of its own, for tests that have no loop that goes on."""
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        done = asyncio.Event()
        async with git_server(root) as url:
            ready.set_result((url, asyncio.get_running_loop(), done))
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="git-server")
    thread.start()
    url, loop, done = ready.result()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


async def _backend(root: Path, request: web.Request) -> web.Response:
    environ = {
        **ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
    }
    process = await asyncio.create_subprocess_exec(
        *("git", "-c", "safe.directory=*", "http-backend"),
        env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, _ = await process.communicate(await request.read())
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, headers=headers, body=body)


class Trap:
    """Counts who connects to a port that nobody has any business with."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0

    @classmethod
    @asynccontextmanager
    async def set(cls, host: str = "127.0.0.1") -> AsyncIterator[Trap]:
        trap = cls()

        async def sprung(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            trap.connections += 1
            writer.close()

        server = await asyncio.start_server(sprung, host, 0)
        trap.port = server.sockets[0].getsockname()[1]
        async with server:
            yield trap

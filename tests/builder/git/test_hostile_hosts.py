"""Hosts that want us to connect elsewhere: nobody is contacted who was not checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.builder.git import resolve
from services.builder.git.fetch import Fetcher, Limits, Wanted
from shared.blobs import Blobs
from shared.errors import Invalid, Transient
from shared.git import Trusted
from tests.beds.git import Repository, Trap, certificate, git, git_server, served
from tests.builder.git.conftest import trusting
from tests.shared.test_git import REFS, URLS

Place = Callable[[], Path]
ENDS = 20.0  # seconds in which a refusal has to be there on a busy machine


class Names:
    """A resolver that knows a few names, and remembers what it was asked."""

    def __init__(self, **known: list[str]) -> None:
        self.known = {name.replace("_", "."): found for name, found in known.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.known.get(host, [])


async def refused(fetcher: Fetcher, wanted: Wanted, folder: Path) -> Invalid:
    async with asyncio.timeout(ENDS):
        with pytest.raises(Invalid) as caught:
            await fetcher.fetch(wanted, folder)
    return caught.value


async def test_no_hostile_url_or_ref_is_looked_up_or_contacted(blobs: Blobs, place: Place) -> None:
    names = Names()
    fetcher = Fetcher(blobs=blobs, lookup=names)
    for url, message in URLS.values():
        error = await refused(fetcher, Wanted(url=url), place())
        assert (error.field, message in error.message) == ("url", True)
    for ref, message in REFS.values():
        wanted = Wanted(url="https://git.example/x", ref=ref)
        error = await refused(fetcher, wanted, place())
        assert (error.field, message in error.message) == ("ref", True)
    assert names.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "localhost.",
        "a.localhost",
        "git.example@127.0.0.1",
        "private.example",
        "mixed.example",
        "mapped.example",
        "six.example",
        "metadata.example",
        "unknown.example",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nobody_is_contacted_at_a_private_address(
    scheme: str, host: str, blobs: Blobs, place: Place
) -> None:
    names = Names(
        private_example=["127.0.0.1"],
        mixed_example=["93.184.215.14", "127.0.0.1"],
        mapped_example=["::ffff:127.0.0.1"],
        six_example=["::1"],
        metadata_example=["169.254.169.254"],
    )
    async with Trap.set() as trap, Trap.set("::1") as other:
        fetcher = Fetcher(blobs=blobs, lookup=names)
        for port in (trap.port, other.port):
            error = await refused(fetcher, Wanted(url=f"{scheme}://{host}:{port}/x"), place())
            assert error.field == "url"
        assert (trap.connections, other.connections) == (0, 0)


async def test_a_name_is_looked_up_once_and_git_is_held_to_what_was_found(
    root: Path, server: str, blobs: Blobs, place: Place
) -> None:
    """A name that nobody else knows leads to the address that was checked, and so would one that
    means something else a moment later."""
    commit = Repository(root / "house.git").files({"a": "1"})
    port = server.rpartition(":")[2]
    names = Names(git_example=["127.0.0.1"])
    fetcher = Fetcher(blobs=blobs, trusted=Trusted.read("git.example"), lookup=names)
    fetched = await fetcher.fetch(Wanted(url=f"http://git.example:{port}/house.git"), place())
    assert fetched.commit == commit
    assert names.asked == ["git.example"]


@pytest.mark.parametrize("shown", ["git.example", "other.example"])
async def test_the_host_has_to_be_who_it_says(
    shown: str,
    root: Path,
    blobs: Blobs,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = Repository(root / "house.git").files({"a": "1"})
    tls, believed = certificate(tmp_path, shown)
    async with git_server(root, tls=tls) as url:
        port = url.rpartition(":")[2]
        wanted = Wanted(url=f"https://git.example:{port}/house.git")
        names = Names(git_example=["127.0.0.1"])
        fetcher = Fetcher(blobs=blobs, trusted=Trusted.read("git.example"), lookup=names)
        error = await refused(fetcher, wanted, place())
        assert "without a valid certificate" in error.message
        monkeypatch.setenv("GIT_SSL_CAINFO", str(believed))
        if shown == "git.example":
            assert (await fetcher.fetch(wanted, place())).commit == commit
        else:
            error = await refused(fetcher, wanted, place())
            assert "without a valid certificate" in error.message


@pytest.mark.parametrize("when", ["at once", "later"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_not_followed(
    when: str, status: int, blobs: Blobs, place: Place
) -> None:
    async with Trap.set() as trap:

        async def answer(request: web.Request) -> web.Response:
            if when == "at once" or request.method == "POST":
                to = f"http://127.0.0.1:{trap.port}{request.path_qs}"
                return web.Response(status=status, headers={"Location": to})
            lines = ("version 2\n", "ls-refs\n", "fetch=shallow\n", "object-format=sha1\n")
            return advertised("".join(map(packet, lines)) + "0000")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with served(app) as url:
            wanted = Wanted(url=f"{url}/house.git")
            error = await refused(trusting(url, blobs), wanted, place())
        assert error.field == "url"
        assert "redirects" in error.message
        assert trap.connections == 0


async def test_an_old_kind_of_server_can_not_name_others(
    root: Path, blobs: Blobs, place: Place
) -> None:
    """Served as plain files, a repository may name other places for its objects."""
    repository = Repository(root / "house.git")
    repository.files({"a": "1"})
    git(repository.path, "update-server-info")
    async with Trap.set() as trap:
        elsewhere = f"http://127.0.0.1:{trap.port}/objects\n"
        for name in ("alternates", "http-alternates"):
            (repository.path / "objects/info" / name).write_text(elsewhere)
        app = web.Application()
        app.router.add_static("/", root)
        async with served(app) as url:
            error = await refused(trusting(url, blobs), Wanted(url=f"{url}/house.git"), place())
        assert "single commits" in error.message
        assert trap.connections == 0


async def test_nothing_of_this_machine_leads_git_astray(
    root: Path,
    server: str,
    blobs: Blobs,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = Repository(root / "house.git").files({"a": "1"})
    async with Trap.set() as trap:
        away = f"http://127.0.0.1:{trap.port}/"
        config = f'[url "{away}"]\n\tinsteadOf = {server}\n[http]\n\tproxy = {away}\n'
        home = tmp_path / "home"
        home.mkdir()
        (home / ".gitconfig").write_text(config)
        (home / ".netrc").write_text("default login ann password secret\n")
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, away)
        for name, value in {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "GIT_CONFIG_SYSTEM": str(home / ".gitconfig"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.proxy",
            "GIT_CONFIG_VALUE_0": away,
            "GIT_EXEC_PATH": str(home),
            "GIT_DIR": str(root / "house.git"),
            "GIT_TRACE": str(tmp_path / "trace"),
        }.items():
            monkeypatch.setenv(name, value)
        fetched = await trusting(server, blobs).fetch(Wanted(url=f"{server}/house.git"), place())
        assert fetched.commit == commit
        assert trap.connections == 0
    assert not (tmp_path / "trace").exists()


def packet(text: str) -> str:
    """As git frames lines."""
    return f"{len(text) + 4:04x}{text}"


def advertised(text: str) -> web.Response:
    """What a git server says first."""
    kind = "application/x-git-upload-pack-advertisement"
    body = packet("# service=git-upload-pack\n") + "0000" + text
    return web.Response(body=body.encode(), headers={"Content-Type": kind})


ANSWERS: dict[str, tuple[web.Response, str]] = {
    "a login": (
        web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
        "asks for a login",
    ),
    "a ticket": (
        web.Response(status=401, headers={"WWW-Authenticate": "Negotiate"}),
        "asks for a login",
    ),
    "no": (web.Response(status=403), "asks for a login"),
    "nothing there": (web.Response(status=404), "leads to no repository"),
    "a page": (
        web.Response(text="<html>hello</html>", content_type="text/html"),
        "names no branch, tag or commit",
    ),
    "a word of its own": (
        advertised(packet("ERR \x1b[2J\x1b]0;x\x07ho\n")),
        "remote error:",
    ),
    "nonsense": (advertised("zzzz"), "is not the address of a git repository"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_a_host_answers_is_told_in_words(name: str, blobs: Blobs, place: Place) -> None:
    answer, message = ANSWERS[name]

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with served(app) as url:
        error = await refused(trusting(url, blobs), Wanted(url=f"{url}/x.git"), place())
    assert error.field in ("url", "ref")
    assert message in error.message
    assert error.message.isprintable()


async def test_a_host_that_is_away_is_trouble_that_may_pass(blobs: Blobs, place: Place) -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", broken)
    async with served(app) as url:
        with pytest.raises(Transient, match="could not be reached"):
            await trusting(url, blobs).fetch(Wanted(url=f"{url}/x.git"), place())
    with pytest.raises(Transient, match="could not be reached"):
        await trusting(url, blobs).fetch(Wanted(url=f"{url}/x.git"), place())


def at_work(folder: Path) -> list[str]:
    """The processes that have their place in `folder`."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if cwd.resolve().is_relative_to(folder):
                found.append((cwd.parent / "comm").read_text().strip())
        except OSError:
            continue
    return found


@pytest.fixture
async def silent() -> Any:
    """A host that takes requests and never answers."""
    asked, done = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        asked.set()
        await done.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", wait)
    async with served(app) as url:
        yield url, asked
        done.set()


async def test_a_host_that_never_answers_is_left(silent: Any, blobs: Blobs, place: Place) -> None:
    url, _ = silent
    folder = place()
    fetcher = trusting(url, blobs, limits=Limits(seconds=1))
    error = await refused(fetcher, Wanted(url=f"{url}/x.git"), folder)
    assert error.message == "took longer than 1 s to fetch"
    assert at_work(folder) == []


async def test_a_fetch_that_is_cancelled_leaves_nothing_running(
    silent: Any, blobs: Blobs, place: Place
) -> None:
    url, asked = silent
    folder = place()
    fetching = asyncio.create_task(trusting(url, blobs).fetch(Wanted(url=f"{url}/x.git"), folder))
    async with asyncio.timeout(ENDS):
        await asked.wait()
    assert at_work(folder)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert at_work(folder) == []


async def test_this_machine_resolves_names() -> None:
    assert "127.0.0.1" in await resolve.system("localhost", 80)
    assert await resolve.system("\udcff.example", 80) == []

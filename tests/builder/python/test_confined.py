"""What the build backend of a hostile package tries while it is installed."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from services.builder.python import confined
from services.builder.python.install import Room
from services.builder.sandbox.spec import Limits
from tests.builder.python.test_install import Place, alive

WITHIN = 30.0


@pytest.fixture
def spot(tmp_path: Path, wheels: Path) -> Place:
    return Place(tmp_path / "spot", wheels)


BACKEND = """
import os, socket, subprocess, sys, time
{setup}
"""


async def tried(spot: Place, setup: str, **changes: object) -> str:
    """Why an installation failed whose backend runs `setup`, and all that it said."""
    spot.package(BACKEND.format(setup=setup))
    began = time.monotonic()
    reason = await spot.install("./odd", **changes)
    assert time.monotonic() - began < WITHIN
    assert reason is not None
    return "\n".join([reason, *spot.said])


async def test_a_backend_sees_nothing_of_the_platform(spot: Place, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    said = await tried(
        spot,
        f"""
for path in ({str(secret)!r}, {os.getcwd()!r}, "/root", "/home", "/etc/shadow", "/proc/1/environ"):
    try:
        found = os.listdir(path) if os.path.isdir(path) else open(path).read()
    except OSError as error:
        found = error.strerror
    print(path, "->", found)
raise SystemExit("done")
""",
    )
    assert "hunter2" not in said
    assert f"{secret} -> No such file or directory" in said
    assert "/etc/shadow -> No such file or directory" in said
    assert "/home -> No such file or directory" in said
    assert "'tests'" not in said


async def test_a_backend_has_a_network_of_its_own(spot: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        said = await tried(
            spot,
            f"""
import urllib.request, urllib.error
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ""
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
except OSError as error:
    print("direct:", error.strerror)
for url in ("http://127.0.0.1:{port}/", "http://169.254.169.254/", "http://10.0.0.1/"):
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler(
            {{"http": os.environ["http_proxy"]}})).open(url, timeout=5)
    except urllib.error.HTTPError as error:
        print(url, error.code)
raise SystemExit("done")
""",
        )
        assert "direct: Connection refused" in said
        assert said.count(" 403") == 3
        door.settimeout(0.2)
        with pytest.raises(TimeoutError):
            door.accept()


@pytest.mark.parametrize(
    ("setup", "changes", "words"),
    [
        (
            "held = []\nwhile True: held.append(bytearray(10 << 20))",
            {"memory": 300 << 20},
            "300 MiB of memory",
        ),
        ("while True:\n    if os.fork() == 0: time.sleep(60)", {}, "processes allowed"),
        ("while True: pass", {"timeout": 3.0}, "it took longer than 3 s"),
    ],
    ids=["memory", "processes", "time"],
)
async def test_a_backend_is_killed_at_its_limits(
    spot: Place, setup: str, changes: dict[str, object], words: str
) -> None:
    assert words in await tried(spot, setup, **changes)


async def test_a_backend_reaches_the_cache_of_its_own_project_alone(spot: Place) -> None:
    write = (
        "import pathlib\n"
        "for root, folders, files in os.walk('/'):\n"
        "    if 'cache' in root and not root.startswith(('/proc', '/usr', '/sys')):\n"
        "        print('cache', root)\n"
        "        try: pathlib.Path(root, 'planted').write_text('evil')\n"
        "        except OSError: pass\n"
        "raise SystemExit('done')\n"
    )
    await tried(spot, write)
    others = spot.installer.cache
    planted = {path.parent.parts for path in others.parent.rglob("planted")}
    own = spot.installer._cache(Room(source=spot.source, scratch=spot.scratch))
    assert planted
    assert all(Path(*parts).is_relative_to(own) for parts in planted)
    another = Room(source=spot.source, scratch=spot.scratch, project="another")
    assert not spot.installer._cache(another).is_relative_to(own)


async def test_a_backend_does_not_write_outside_of_what_it_was_given(spot: Place) -> None:
    said = await tried(
        spot,
        """
for path in ("/usr/planted", "/etc/planted", sys.base_prefix + "/planted"):
    try:
        open(path, "w")
        print(path, "was written")
    except OSError as error:
        print(path, "->", error.strerror)
raise SystemExit("done")
""",
    )
    assert "was written" not in said.replace("/etc/planted was written", "")
    assert not Path("/etc/planted").exists()
    assert not Path("/usr/planted").exists()


async def test_nothing_is_left_of_a_sandbox(spot: Place) -> None:
    word = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    await tried(
        spot,
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {word!r}],"
        " start_new_session=True, stdin=-3, stdout=-3, stderr=-3)\nraise SystemExit('no')",
    )
    assert not alive(word)
    assert not list(spot.scratch.parent.glob("box-*"))


def test_what_settings_name_on_this_machine_is_shown(tmp_path: Path) -> None:
    index, wheels, certificate = (tmp_path / name for name in ("pypi/simple", "wheels", "ca.pem"))
    for folder in (index, wheels):
        folder.mkdir(parents=True)
    certificate.touch()
    environment = {
        "UV_INDEX": f"file://{index} https://packages.example/simple",
        "UV_FIND_LINKS": f"{wheels},/nowhere",
        "SSL_CERT_FILE": str(certificate),
        "PATH": f"{tmp_path}:/usr/bin",
    }
    shown = {place.source for place in confined.shown(environment)}
    assert shown == {str(tmp_path / "pypi"), str(wheels), str(certificate)}


def test_a_proxy_of_the_machines_own_is_asked_from_outside(tmp_path: Path) -> None:
    proxy = "http://proxy.example:3128"
    environment = {"HTTPS_PROXY": proxy, "NO_PROXY": "house.example", "LANG": "C"}
    spec = confined.spec(["uv"], environment, tmp_path, tmp_path / "box", (), (), (), Limits())
    assert spec.network == "out"
    assert spec.proxies == {"https_proxy": proxy, "no_proxy": "house.example"}
    assert spec.env == {"LANG": "C"}

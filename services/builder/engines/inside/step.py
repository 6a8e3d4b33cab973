"""One step inside a sandbox: buildah mounts the base, runs the script, and what changed is packed.

It runs as root of the sandbox; /work is its folder, with what is asked in step.json, and /store has
the bases. Everything that the step started is killed before a byte is packed. The step reaches its
own root folder alone; all else that we write is written anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import changes, layers

WORK = "/work"
STORE = "/store"
SCRIPTS = "/tmp/.slipway"
NO_SHELL = 66
CONFIG = {
    "storage.conf": f"""[storage]
driver = "overlay"
graphroot = "{WORK}/storage"
runroot = "{WORK}/run"
[storage.options]
additionalimagestores = ["{STORE}"]
""",
    "containers.conf": "",
    "registries.conf": "",
    "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
}
"""Bases are named by digest, which buildah checks, so there is nothing more to be told of them."""
LAST_WORDS = "sleep 0.2 2>/dev/null\n"
"""When a step ends, buildah stops handing on its output, also what it has not read yet."""
DROPPED = ("CAP_SYS_CHROOT", "CAP_NET_BIND_SERVICE")


def configure(work: str, config: dict[str, str]) -> dict[str, str]:
    """Write buildah's settings into `work`; the environment that it runs in."""
    for name, text in config.items():
        with open(f"{work}/{name}", "x") as file:
            file.write(text)
    for name in ("run", "home"):
        os.mkdir(f"{work}/{name}")
    return {
        "PATH": os.defpath + ":/usr/sbin:/sbin",
        "HOME": f"{work}/home",
        "TMPDIR": "/tmp",
        "XDG_RUNTIME_DIR": f"{work}/run",
        "CONTAINERS_STORAGE_CONF": f"{work}/storage.conf",
        "CONTAINERS_CONF": f"{work}/containers.conf",
        "CONTAINERS_REGISTRIES_CONF": f"{work}/registries.conf",
        "BUILDAH_ISOLATION": "chroot",
        "_CONTAINERS_USERNS_CONFIGURED": "done",  # we are root of a user namespace already
        "_CONTAINERS_ROOTLESS_UID": "0",
    }


def main() -> int:
    with open(f"{WORK}/step.json") as file:
        asked = json.load(file)
    env = configure(WORK, CONFIG)
    result = _done(asked, env)
    with open(f"{WORK}/result.json", "x") as file:
        json.dump(result, file)
    return 0


def _done(asked: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    try:
        before, after = (_mounted(name, asked["base"], env) for name in ("before", "after"))
    except subprocess.CalledProcessError as error:
        return {"broken": error.stderr.strip()[-2000:]}
    upper = os.path.join(os.path.dirname(after), "diff")
    if in_root(after, lambda: layers.extract(asked["layers"])):
        return {"broken": "a layer could not be laid over the base"}
    known = changes.snapshot(upper) if asked["layers"] else {}
    code = in_root(after, lambda: _prepare(asked))
    if code:
        return {"no_shell": code == NO_SHELL}
    _run(env)
    _alone()
    code = in_root(after, _code)
    if code:
        return {"code": code}
    try:
        with open(f"{WORK}/layer.tar", "xb") as file:
            return {"members": changes.pack(upper, before, known, file, asked["most"])}
    except changes.TooLarge:
        return {"too_large": True}


def _mounted(name: str, base: str, env: dict[str, str]) -> str:
    """A container of `base`, mounted: its root folder."""
    _buildah(["from", "--quiet", "--pull-never", "--name", name, base], env)
    return _buildah(["mount", name], env).strip()


def _buildah(arguments: list[str], env: dict[str, str]) -> str:
    command = ["buildah", arguments[0]]
    if arguments[0] == "from":
        command += ["--signature-policy", f"{WORK}/policy.json"]
    done = subprocess.run(
        [*command, *arguments[1:]], env=env, check=True, capture_output=True, text=True
    )
    return done.stdout


def _prepare(asked: dict[str, Any]) -> int:
    """In the step's root: the script, and the folder that it runs in."""
    if not os.path.exists("/bin/sh"):
        return NO_SHELL
    os.makedirs(SCRIPTS, exist_ok=True)
    os.makedirs(asked["cwd"], exist_ok=True)
    for name, text in (
        ("lines", _proxies() + asked["script"]),
        ("run", f"/bin/sh {SCRIPTS}/lines\necho $? >{SCRIPTS}/code\n{LAST_WORDS}"),
    ):
        with open(f"{SCRIPTS}/{name}", "w") as file:
            file.write(text)
    return 0


def _proxies() -> str:
    """The way out of the sandbox, for the script."""
    pairs = [(name, text) for name, text in os.environ.items() if name.lower().endswith("_proxy")]
    return "".join(f"export {name}='{text}'\n" for name, text in sorted(pairs))


def _run(env: dict[str, str]) -> None:
    dropped = [f"--cap-drop={name}" for name in DROPPED]
    options = ["--network=host", "--no-hosts", "--user=0", "--workingdir=/", *dropped]
    command = ["/bin/sh", f"{SCRIPTS}/run"]
    subprocess.run(
        ["buildah", "--log-level=error", "run", *options, "after", "--", *command],
        env=env,
        stdin=subprocess.DEVNULL,
        check=False,  # the script's own code is in a file
    )


def _alone() -> None:
    """End all that runs in the sandbox but us and its first process."""
    while True:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        others = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {1, os.getpid()}
        if not others:
            return


def _code() -> int:
    """What the script said at its end; a script that could not say it was killed."""
    try:
        with open(f"{SCRIPTS}/code") as file:
            return int(file.read(20))
    except (OSError, ValueError):
        return 137
    finally:
        for name in ("lines", "run", "code"):
            with suppress(OSError):
                os.unlink(f"{SCRIPTS}/{name}")
        with suppress(OSError):
            os.rmdir(SCRIPTS)


def in_root(root: str, work: Callable[[], int]) -> int:
    """Do `work` in a process that sees nothing but `root`; what it returns, below 256."""
    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.chroot(root)
            os.chdir("/")
            code = work()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF

"""What the builder knows of the machine that it runs on: its Python, its indexes, our runtime."""

from __future__ import annotations

import logging
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from services.builder.python import indexes
from services.builder.python.install import Installer
from services.builder.recipe import Host
from services.builder.sandbox import run as sandbox

log = logging.getLogger(__name__)

ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}  # as OCI calls them
RUNTIME: Final = Path(__file__).parents[2] / "runtimes"


def interpreter() -> str:
    """The Python that runs the code: the one under our virtual environment, not the environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def host() -> Host:
    libc = "-".join(part for part in platform.libc_ver() if part)
    machine = platform.machine()
    return Host(
        python=platform.python_version(),
        platform=f"{sysconfig.get_platform()}-{libc or 'musl'}",
        architecture=ARCHITECTURES.get(machine, machine),
    )


def runtime_files(folder: Path = RUNTIME) -> dict[str, bytes]:
    """The files that start servers, and packages for the code that they run, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.py"))
        if "__pycache__" not in path.parts
    }


def public_index(uv: str) -> str:
    """The index that uv asks when nobody names one, in its own words, or nothing."""
    said = subprocess.run([uv, "help", "pip", "compile"], capture_output=True, text=True)
    found = re.search(r"by default: <(https://[^\s>]+)>", said.stdout)
    return found[1] if found else ""


def addresses(hosts: str) -> tuple[str, ...]:
    """`host` or `host:port`, separated by commas, as addresses on the ports that are meant.

    >>> addresses("pypi.house.example:8443")
    ('https://pypi.house.example:8443',)
    """
    named = [host.strip() for host in hosts.split(",") if host.strip()]
    kinds = {host: ("https",) if ":" in host else ("https", "http") for host in named}
    return tuple(f"{kind}://{host}" for host, some in kinds.items() for kind in some)


def installer(
    cache: Path,
    timeout: float,
    environ: Mapping[str, str] = os.environ,
    *,
    private_hosts: str = "",
) -> Installer:
    """`environ` holds the machine's settings for fetching packages; see indexes.py.

    `private_hosts` are those of indexes on a private network that projects may name: `host` or
    `host:port`, separated by commas.
    """
    uv = find_uv_bin()
    cache.mkdir(parents=True, exist_ok=True)
    refused = sandbox.permits(cache)
    if refused is not None:
        log.warning("packages are built without a sandbox: %s", refused)
    return Installer(
        python=interpreter(),
        uv=uv,
        environment=indexes.settings(environ, sys.base_prefix),
        cache=cache.absolute(),
        timeout=timeout,
        public=public_index(uv),
        confined=refused is None,
        private=addresses(private_hosts),
    )

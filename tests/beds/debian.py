"""Programs that the tests run for real, from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess


class NotHad(Exception):
    """A program is missing and can't be installed; the message says what to do."""


def program(name: str, package: str) -> str:
    """The path of a program, its package installed first when it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        reason = _install(package)
        found = shutil.which(name)
        if found is None:
            raise NotHad(f"{name} is missing ({reason}); install the package {package}")
    return found


def _install(package: str) -> str:
    """Why that was not possible, or nothing."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and subprocess.run([*root, "true"], capture_output=True).returncode:
        return "installing it needs root"
    # RUNLEVEL keeps a package from starting a server of its own
    get = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    install = [*get, "install", "--yes", "--no-install-recommends", package]
    for command in (install, [*get, "update"], install):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0 and command is install:
            return ""
    return f"apt-get failed: {done.stderr.strip()[-300:]}"

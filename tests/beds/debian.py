"""Programs that the tests run for real, from Debian's packages.

What is missing is installed, as root or with a sudo that asks for nothing. A package's own services
are neither started nor left to start with the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

WITHIN: Final = 900.0  # seconds for one installation

SCRIPT: Final = r"""
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then  # starts nothing while it is there
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
get() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null; }
missing=
for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0
get install --yes --no-install-recommends $missing 2>/dev/null ||
    { get update && get install --yes --no-install-recommends $missing; } || exit 1
command -v systemctl >/dev/null || exit 0
for package in $missing; do
    dpkg -L "$package" | sed -n 's,.*/systemd/\(system\|user\)/\([^/@]*\.[a-z]*\)$,\1 \2,p' |
        while read -r whose unit; do
            scope=--$whose && [ "$whose" = system ] || scope=--global
            systemctl "$scope" disable "$unit" >/dev/null 2>&1 || :
        done
done
"""


class NotHad(Exception):
    """A program is missing and can't be installed; the message says what to do."""


def program(name: str, *packages: str) -> str:
    """The path of a program, its packages installed first when it is missing."""
    found = which(name)
    if found is None:
        reason = install(*packages)
        found = which(name)
        if found is None:
            wanted = " ".join(packages)
            raise NotHad(f"{name} is missing ({reason}); run: apt-get install {wanted}")
    return found


def install(*packages: str) -> str:
    """Why that was not possible, or nothing. What is installed already stays as it is."""
    return _as_root(f"installing {' '.join(packages)}", SCRIPT, *packages)


def refresh() -> str:
    """Fetch apt's lists of packages. Why that was not possible, or nothing."""
    return _as_root("fetching apt's lists of packages", "apt-get -qq update")


def _as_root(what: str, script: str, *arguments: str) -> str:
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and _failed([*root, "true"]):
        return f"{what} needs root"
    print(f"setup: {what}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            [*root, "sh", "-c", script, "setup", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN,
        )
    except subprocess.TimeoutExpired:
        return f"apt-get did not finish within {WITHIN:.0f} s"
    return f"apt-get failed: {done.stderr.strip()[-300:]}" if done.returncode else ""


def which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _failed(command: list[str]) -> bool:
    try:
        return bool(subprocess.run(command, capture_output=True, timeout=60).returncode)
    except OSError:  # there is no sudo
        return True

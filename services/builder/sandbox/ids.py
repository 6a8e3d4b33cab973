"""Which of the machine's users stand behind the users inside."""

from __future__ import annotations

import os
import shutil
import subprocess

FIRST = 1_900_000_000
COUNT = 1 << 20
"""The range when we are root: beyond what accounts, containers and virtual machines are given."""


def mapping(ids: str) -> tuple[list[str], list[str]]:
    """Lines of `uid_map` and of `gid_map`. Raises OSError when there is no range for us."""
    user, group = os.getuid(), os.getgid()
    if ids == "own":
        return [f"{user} {user} 1"], [f"{group} {group} 1"]
    if user == 0:
        whole = [f"0 {FIRST} {COUNT}"]
        return whole, whole
    return _with_range(user, "/etc/subuid"), _with_range(group, "/etc/subgid")


def _with_range(own: int, path: str) -> list[str]:
    names = {str(os.getuid()), os.environ.get("USER", "")}
    with open(path) as file:
        for line in file:
            name, first, count = line.strip().split(":")
            if name in names:
                return [f"0 {own} 1", f"1 {first} {count}"]
    raise OSError(f"{path} names no range of ids for us")


def write(process: int, ids: str) -> None:
    """Give `process`, which is in a new user namespace, its users and groups."""
    users, groups = mapping(ids)
    if ids == "range" and os.getuid() != 0:
        for program, lines in (("newuidmap", users), ("newgidmap", groups)):
            found = shutil.which(program)
            if found is None:
                raise OSError(f"there is no {program} here")
            words = [word for line in lines for word in line.split()]
            subprocess.run([found, str(process), *words], check=True)
        return
    if ids == "own":
        _write(process, "setgroups", ["deny"])
    _write(process, "uid_map", users)
    _write(process, "gid_map", groups)


def _write(process: int, name: str, lines: list[str]) -> None:
    with open(f"/proc/{process}/{name}", "w") as file:
        file.write("\n".join(lines) + "\n")


def give(path: str, ids: str) -> None:
    """Make what is at `path` belong to whoever is root inside."""
    if ids == "range" and os.getuid() == 0:
        os.chown(path, FIRST, FIRST)

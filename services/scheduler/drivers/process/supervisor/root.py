"""The replica's own `/`: the machine's, read-only, with the image laid over it.

The image's folders appear at their true absolute places. Where the machine has a folder of the
same name (`/opt`), a new folder holds what both have. `/tmp`, `/var/tmp`, `/run` and `/dev/shm`
are the replica's own, and what the platform keeps on this machine is out of sight.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from shared.confine import kernel

from .spec import Spec

OWN = frozenset(("proc", "sys", "dev", "tmp", "run"))  # of `/`: not simply the machine's
ROOM = "256m"  # for what is written into `/` itself, which is memory
BIND = kernel.MS_BIND | kernel.MS_REC


class Tree(NamedTuple):
    """A folder whose content is to appear at the place where it is merged in."""

    path: str
    writable: bool
    machine: bool = False


def build(folder: str, spec: Spec) -> None:
    """Make it and enter it. The caller has a mount and a PID namespace of its own."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
    new = os.path.join(folder, "root")
    kernel.mount("tmpfs", new, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"mode=755,size={ROOM}")
    trees = [Tree("/", False, machine=True)]
    trees += [Tree(path, writable) for path, writable in spec.trees]
    _merge(new, trees, top=True)
    _own_folders(folder, new, spec.limits.memory)
    for path in spec.hidden:
        if os.path.isdir(new + path):
            kernel.mount("tmpfs", new + path, "tmpfs", kernel.MS_RDONLY, "mode=555,size=4k")
    for path, target in spec.links.items():
        os.makedirs(os.path.dirname(new + path), exist_ok=True)
        os.symlink(target, new + path)
    kernel.change_root(new)


def _merge(target: str, trees: list[Tree], top: bool = False) -> None:
    names: dict[str, list[Tree]] = {}
    for tree in trees:
        for name in os.listdir(tree.path):
            if not (top and tree.machine and name in OWN):
                path = os.path.join(tree.path, name)
                names.setdefault(name, []).append(Tree(path, tree.writable, tree.machine))
    for name, found in names.items():
        _place(os.path.join(target, name), found)


def _place(target: str, found: list[Tree]) -> None:
    folders = [tree for tree in found if os.path.isdir(tree.path)]
    last = found[-1]
    if len(folders) > 1 and last is folders[-1]:
        os.mkdir(target)
        _merge(target, folders)
    elif os.path.islink(last.path):
        os.symlink(os.readlink(last.path), target)
    else:
        _bind(last, target)


def _bind(tree: Tree, target: str) -> None:
    if os.path.isdir(tree.path):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    try:
        kernel.mount(tree.path, target, flags=BIND)
    except OSError:
        if not tree.machine:
            raise
        return  # a stale or forbidden mount of the machine's is not worth a failed start
    if not tree.writable:
        kernel.read_only(target)


def _own_folders(folder: str, new: str, memory: int) -> None:
    os.mkdir(f"{new}/proc")
    kernel.mount("proc", f"{new}/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV)
    for name in ("sys", "dev"):
        os.mkdir(f"{new}/{name}")
        kernel.mount(f"/{name}", f"{new}/{name}", flags=BIND)
    kernel.read_only(f"{new}/sys")
    if os.path.isdir(f"{new}/dev/shm"):
        size = f",size={memory}" if memory else ""  # else half of the machine's
        kernel.mount("tmpfs", f"{new}/dev/shm", "tmpfs", kernel.MS_NOSUID, f"mode=1777{size}")
    os.makedirs(f"{new}/run", 0o755, exist_ok=True)
    os.makedirs(f"{new}/tmp", exist_ok=True)
    kernel.mount(f"{folder}/tmp", f"{new}/tmp", flags=kernel.MS_BIND)
    if os.path.isdir(f"{new}/var/tmp"):
        kernel.mount(f"{folder}/tmp", f"{new}/var/tmp", flags=kernel.MS_BIND)

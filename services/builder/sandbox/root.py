"""The sandbox's own `/`: what programs need of the machine, and the places that it was given.

All that is shown of the machine is opened first, by the builder's user, who may reach it; the
mounts are then made by root inside, who need not.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from shared.confine import kernel

from .spec import SETTINGS, SYSTEM, Place, Spec

BIND = kernel.MS_BIND | kernel.MS_REC
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
SHARED_MEMORY = 64 << 20  # bytes
MEETING_PLACE = "/dev"  # a folder that every machine has and that is not shown, for the new root


class Door(NamedTuple):
    """A place, opened."""

    place: Place
    handle: int

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.handle}"


def doors(spec: Spec) -> list[Door]:
    """Open all that will be seen, in this mount namespace."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
    shown = [*SYSTEM, *(f"/etc/{name}" for name in SETTINGS), *(f"/dev/{name}" for name in DEVICES)]
    if spec.network == "machine":
        shown += ["/etc/hosts", "/etc/resolv.conf"]
    places = [Place(path, path) for path in shown if os.path.exists(path)]
    temporary = Place(f"{spec.folder}/tmp", "/tmp", "write")
    return [_opened(place) for place in (*places, temporary, *spec.places)]


def _opened(place: Place) -> Door:
    return Door(place, os.open(place.source, os.O_PATH | os.O_CLOEXEC))


def build(found: list[Door], copies: int) -> None:
    """Make it and enter it. `copies` is an open folder for what is written to copies."""
    options = "mode=755,size=1m,nr_inodes=4k"  # mount points and links, and not a place to write
    kernel.mount("tmpfs", MEETING_PLACE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    os.chdir(MEETING_PLACE)
    for folder in ("proc", "sys", "dev", "run", "var", "root"):
        os.mkdir(folder)
    for number, door in enumerate(found):
        _place(door, f"/proc/self/fd/{copies}/{number}")
    os.symlink("/tmp", "var/tmp")
    _devices()
    # hidepid: who may do less does not see who may do more, like the first process
    kernel.mount("proc", "proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV, "hidepid=2")
    kernel.change_root(os.getcwd())


def _place(door: Door, copy: str) -> None:
    place = door.place
    target = place.target.lstrip("/")
    if os.path.islink(place.source):
        with suppress(FileExistsError):
            os.symlink(os.readlink(place.source), target)
        return
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.path.isdir(door.path):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    if place.mode == "copy":
        _copy(door, target, copy)
        return
    kernel.mount(door.path, target, flags=BIND)
    if place.mode == "read" and not target.startswith("dev/"):
        kernel.read_only(target)


def _copy(door: Door, target: str, copy: str) -> None:
    for name in ("upper", "work"):
        os.makedirs(f"{copy}/{name}")
    options = f"lowerdir={door.path},upperdir={copy}/upper,workdir={copy}/work,userxattr"
    kernel.mount("overlay", target, "overlay", kernel.MS_NODEV, options)


def _devices() -> None:
    for name, target in LINKS.items():
        os.symlink(target, f"dev/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"dev/{name}")
    options = f"mode=1777,size={SHARED_MEMORY}"
    kernel.mount("tmpfs", "dev/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    with suppress(OSError):  # a terminal is a comfort
        kernel.mount("devpts", "dev/pts", "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666")
        os.symlink("pts/ptmx", "dev/ptmx")

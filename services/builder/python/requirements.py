"""What a project asks to be installed, read before anything is run.

A requirements file can name any file of the machine and any protocol. What stays inside the
source, or is fetched over HTTPS, is let through; the rest is refused with a reason, because
the installer would follow it with the builder's rights. What is let through is still code: building
a source distribution runs it (see warden.py).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.builder.python import pipconf
from services.builder.python.pipconf import Own
from services.builder.python.reason import masked
from services.builder.python.request import Request
from shared.errors import Invalid

NAMES: Final = ("requirements-deployment.txt", "requirements.txt")
LARGEST: Final = 1 << 20
MOST_FILES: Final = 50

NESTED: Final = ("-r", "--requirement", "-c", "--constraint")
INDEXES: Final = ("-i", "--index-url", "--extra-index-url")
LINKS: Final = ("-f", "--find-links")
EDITABLE: Final = ("-e", "--editable")
HARMLESS: Final = (
    "--hash",
    "--no-binary",
    "--only-binary",
    "--pre",
    "--prefer-binary",
)
SCHEMES: Final = ("https", "http", "git+https", "git+http")

OPTION: Final = re.compile(r"(--?[A-Za-z][A-Za-z-]*)(?:\s*=\s*|\s+|$)(.*)", re.DOTALL)
SHORT: Final = re.compile(r"^(-[a-zA-Z])(?=[^\s=-])")  # `-rother.txt`
NAMED: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*)", re.DOTALL)
SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
ARCHIVE: Final = re.compile(r"\.(whl|zip|tar|tgz|tar\.\w+)$")
HASH: Final = re.compile(r"\s--hash(?:\s*=\s*|\s+)(\S+)")
COMMENT: Final = re.compile(r"(^|\s)#.*$")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A project's requirements, and where it wants them from."""

    main: tuple[str, ...] = ()  # files that are asked for; they may include others
    files: dict[str, str] = {}  # what was read: path in the source -> text without passwords
    names: frozenset[str] = frozenset()  # of the distributions asked for, normalised
    local: bool = False  # something in the source itself is to be installed
    unlockable: str = ""  # why versions and hashes can't be told beforehand, if so
    hashes: dict[str, tuple[str, ...]] = {}  # that its owner demands: name or address -> any of
    all_hashes: bool = False  # nothing without one may be installed
    own: Own = Own()
    conf: str = pipconf.NAME  # the settings file, if there is one
    fetches: bool = False  # it names addresses itself
    private: frozenset[str] = frozenset()  # files of the source that hold passwords
    unused: tuple[str, ...] = ()  # options of its pip.conf that have no effect here

    @property
    def name(self) -> str:
        """For a person; "" when there is none."""
        return " and ".join(self.main)


class _Found(msgspec.Struct):
    included: list[str] = []  # paths of other requirements files
    places: list[str] = []  # paths of things to install
    names: list[str] = []
    unlockable: str = ""
    hashes: dict[str, list[str]] = {}
    all_hashes: bool = False
    own: Own = Own()
    fetches: bool = False


def read(root: Path, request: Request | None = None) -> Asked:
    """The requirements of the source in `root`. Raises Invalid for what may not be asked for.

    Without a request they are those of the first of NAMES that there is.
    """
    conf = pipconf.NAME if request is None else request.conf
    texts: dict[str, str] = {}
    own, unused = Own(), tuple[str, ...]()
    if conf != pipconf.NAME or os.path.lexists(root / conf):
        texts[conf] = _text(root, conf, said_by="PIP_CONFIG_FILE" if request else conf)
        own, unused = pipconf.read(texts[conf])
    if request is None:
        main = tuple(name for name in NAMES if os.path.lexists(root / name))[:1]
    else:
        main, own = request.files, own.with_(request.own)
    found = _follow(root, main, texts, asked_by="install-command" if request else "")
    own = pipconf.check(own.with_(found.own))
    for place in (*(link for link in own.links if "://" not in link), *filter(None, [own.cert])):
        inside(root, "", place, conf)
    return Asked(
        main=main,
        files={path: masked(text) for path, text in texts.items()},
        names=frozenset(found.names),
        local=bool(found.places) or any("://" not in link for link in own.links),
        unlockable=found.unlockable,
        hashes={what: tuple(sorted(set(some))) for what, some in found.hashes.items()},
        all_hashes=found.all_hashes,
        own=own,
        conf=conf,
        fetches=found.fetches or any("://" in address for address in own.addresses),
        private=frozenset(
            way
            for path, text in texts.items()
            if masked(text) != text
            for way in (path, _real(root, path))
        ),
        unused=unused,
    )


def _follow(root: Path, main: Sequence[str], texts: dict[str, str], asked_by: str = "") -> _Found:
    """What requirements files and all those that they include say; their texts are added."""
    every = _Found()
    waiting = [(name, asked_by or name) for name in main]
    while waiting:
        path, name = waiting.pop()
        if path in texts:
            continue
        if len(texts) >= MOST_FILES:
            raise Invalid(name, f"includes more than {MOST_FILES} files")
        texts[path] = _text(root, path, said_by=name)
        found = vet(path, texts[path])
        waiting += [(inside(root, os.path.dirname(path), to, path), name) for to in found.included]
        for place in found.places:
            # the installer takes a place from where it runs: the root
            inside(root, "", place, path)
        every.places += found.places
        every.names += found.names
        every.unlockable = every.unlockable or found.unlockable
        every.fetches = every.fetches or found.fetches
        every.all_hashes = every.all_hashes or found.all_hashes or bool(found.hashes)
        for what, some in found.hashes.items():
            every.hashes.setdefault(what, []).extend(some)
        every.own = every.own.with_(found.own)
    return every


def vet(path: str, text: str) -> _Found:
    """What the lines of the file `path` ask for. Raises Invalid, naming file and line."""
    found = _Found()
    for number, line in _lines(text):
        where = f"{path} line {number}"
        if "${" in line:
            raise Invalid(where, "may not use variables of the environment")
        if line.startswith("-"):
            _vet_option(where, line, found)
        else:
            _vet_requirement(where, line, found)
    return found


def vet_package(requirement: str) -> str:
    """The name of one requirement given by itself. Raises Invalid for anything but a package."""
    line = requirement.strip()
    found = _Found()
    if "\n" in line or "\r" in line or "${" in line or not line or line.startswith("-"):
        raise Invalid("pip packages", "must each be one requirement, such as `numpy==2.0`")
    _vet_requirement("pip packages", line, found)
    if found.places:
        raise Invalid("pip packages", "must be names or URLs, not files")
    if masked(line) != line:
        raise Invalid("pip packages", "may not hold a password; put its index into a pip.conf")
    return found.names[0] if found.names else ""


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Whole lines without comments, each with the number of its first."""
    held, first = "", 0
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        first = first or number
        if line.endswith("\\") and not COMMENT.search(line):
            held += line[:-1] + " "
            continue
        whole = COMMENT.sub("", held + line).strip()
        if whole:
            yield first, whole
        held, first = "", 0
    if held.strip():
        yield first, held.strip()


def _vet_option(where: str, line: str, found: _Found) -> None:
    match = OPTION.fullmatch(SHORT.sub(r"\1 ", line, count=1))
    option, value = match.groups() if match else (line, "")
    value = value.strip().strip("\"'")
    if option in NESTED:
        _not_a_url(where, value, f"{option} may only name a file of the source")
        found.included.append(value)
    elif option in INDEXES:
        pipconf.check_address(where, value)
        extra = option == "--extra-index-url"
        found.own = found.own.with_(Own(extra=(value,)) if extra else Own(index=value))
    elif option in LINKS:
        _vet_links(where, value, found)
    elif option in EDITABLE:
        _vet_place(where, value.split(" --")[0], found)
    elif option == "--no-index":
        found.own = found.own.with_(Own(no_index=True))
    elif option == "--require-hashes":
        found.all_hashes = True
    elif option not in HARMLESS:
        raise Invalid(where, f"the option {option[:40]} is not supported")


def _vet_links(where: str, value: str, found: _Found) -> None:
    scheme = SCHEME.match(value)
    if scheme and scheme[1].lower() not in SCHEMES:
        _vet_place(where, value, found)
    elif scheme:
        pipconf.check_address(where, value)
    found.own = found.own.with_(Own(links=(value,)))


def _vet_requirement(where: str, line: str, found: _Found) -> None:
    body = re.split(r"\s--?[a-z]", line, maxsplit=1)[0]
    plain = body.split(";")[0].strip()
    match = NAMED.fullmatch(body)
    name, rest = match.groups() if match else ("", "")
    what = normal(name)
    if rest.startswith("@"):
        found.names.append(what)
        _vet_place(where, rest[1:].split(";")[0].strip(), found)
    elif match is None or rest.startswith(("/", "\\", ":", "+")) or ARCHIVE.search(plain):
        what = plain
        _vet_place(where, plain, found)
    else:
        found.names.append(what)
    if hashes := HASH.findall(line):
        found.hashes.setdefault(what, []).extend(hashes)


def _vet_place(where: str, value: str, found: _Found) -> None:
    scheme = SCHEME.match(value)
    if scheme is None:
        found.places.append(re.sub(r"\[[^\]]*\]$", "", value))
        found.unlockable = f"{where} names a part of the source"
    elif scheme[1].lower() not in SCHEMES:
        raise Invalid(
            where,
            f"{scheme[1][:20]}: addresses are not fetched; use https:// or a path in the source",
        )
    else:
        found.fetches = True
        if scheme[1].lower().startswith("git+"):
            found.unlockable = f"{where} names a git repository"
        elif masked(value) != value:
            found.unlockable = f"{where} holds a password"


def _not_a_url(where: str, value: str, message: str) -> None:
    if not value or SCHEME.match(value):
        raise Invalid(where, message)


def inside(root: Path, folder: str, path: str, said_by: str) -> str:
    """`path` relative to the root, when it and what it links to lie inside. Raises Invalid."""
    wanted = os.path.normpath(os.path.join(folder, path))
    top = os.path.realpath(root)
    real = os.path.realpath(os.path.join(top, wanted))
    left = os.path.isabs(path) or wanted.startswith("..") or path.startswith("~")
    if left or not f"{real}/".startswith(f"{top}/"):
        raise Invalid(said_by, f"refers to {path[:80]}, which is outside the source")
    if not os.path.exists(real):
        raise Invalid(said_by, f"refers to {path[:80]}, which is not in the source")
    return wanted


def _real(root: Path, path: str) -> str:
    """Where links lead from `path`, relative to the root that it is inside of."""
    return os.path.relpath(os.path.realpath(os.path.join(root, path)), os.path.realpath(root))


def _text(root: Path, path: str, *, said_by: str) -> str:
    real = os.path.join(os.path.realpath(root), inside(root, "", path, said_by))
    found = os.stat(real)
    if not stat.S_ISREG(found.st_mode):
        raise Invalid(path, "is not a file")
    if found.st_size > LARGEST:
        raise Invalid(path, f"is larger than {LARGEST} bytes")
    return _decoded(path, lambda: Path(real).read_bytes())


def _decoded(path: str, read_bytes: Callable[[], bytes]) -> str:
    try:
        text = read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(path, "is not UTF-8 text") from error
    if "\0" in text:
        raise Invalid(path, "holds NUL bytes")
    return text

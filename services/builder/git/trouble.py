"""What went wrong, from what git complains. Pure.

Invalid is the asker's to change; Transient may be better later.
"""

from __future__ import annotations

import re
from typing import Final

from services.builder import warden
from services.builder.logbook import clean
from services.builder.python.reason import masked
from shared.errors import Invalid, Permanent, PlatformError, Transient

LONGEST: Final = 300
NOT_FOUND: Final = 127  # how a shell says that there is no such program

_REF: Final = re.compile(
    r"couldn't find remote ref|not our ref|unadvertised object|invalid refspec|no such remote ref"
)
_TREE: Final = re.compile(r"[Nn]ot a valid object name|not a tree object|does not exist in")
_LOGIN: Final = re.compile(
    r"could not read (Username|Password)|Authentication failed|error: (401|403)|invalid credentials"
)
_MISSING: Final = re.compile(r"repository '.*' not found|error: (404|410)")
_MOVED: Final = re.compile(r"error: 30[0-9]|update url base from redirection|redirect", re.I)
_DUMB: Final = re.compile(
    r"dumb http|not valid: is this a git repository|invalid server response|unexpected content type"
    r"|invalid content-type|protocol error|unknown service",
    re.I,
)
_CERTIFICATE: Final = re.compile(r"certificate|CAfile|issuer", re.I)
_URL: Final = re.compile(r"'[a-z]+://[^'\n]*'")
_LARGE: Final = re.compile(
    r"died of signal 25|signal 25|File too large|out of memory|unable to (?:mmap|malloc)"
    r"|Cannot allocate memory|failed to map|exceeds maximum",
    re.I,
)
_HOST: Final = re.compile(
    r"[Cc]ould not resolve host|[Ff]ailed to connect|Connection (?:refused|timed out|reset)"
    r"|Couldn't connect|timed out|error: 5\d\d|error: 429|Recv failure|early EOF|hung up"
    r"|Operation too slow|transfer closed|Empty reply|HTTP/2 stream|unexpected disconnect"
    r"|SSL_ERROR|SSL connect|[Hh]andshake"
)
_UNSOUND: Final = re.compile(r"fsck error|bad pack|inflate|corrupt|garbage|invalid index-pack")


def other_hash(said: str) -> bool:
    """Whether the repository names its objects by another hash than we did."""
    return "mismatched algorithms" in said


def of_machine(code: int, said: str) -> PlatformError:
    """Why not even an empty repository could be made: that is no fault of the asker's."""
    if code == NOT_FOUND:
        return Permanent("git is not installed where the builder runs")
    return Transient(f"git failed: {_last(said)}")


def of_fetch(code: int, said: str, seconds: int) -> PlatformError:
    """Why `git fetch` failed."""
    if code == warden.OVER:
        return Invalid("url", f"took longer than {seconds} s to fetch")
    said = _URL.sub("'URL'", said)  # whose words mean nothing
    if _LARGE.search(said):
        return too_large()
    if _REF.search(said):
        return Invalid("ref", "names no branch, tag or commit that the repository gives")
    if _LOGIN.search(said):
        return Invalid("url", "asks for a login; only public repositories are fetched")
    if _MISSING.search(said):
        return Invalid("url", "leads to no repository: the host says that there is none")
    if _MOVED.search(said):
        return Invalid(
            "url",
            "redirects; give the address to which it leads, which often is the one with .git",
        )
    if _UNSOUND.search(said):
        return Invalid("url", f"holds what git takes for damaged or dangerous: {_last(said)}")
    if _DUMB.search(said):
        return Invalid("url", "is not the address of a git repository that serves single commits")
    if _HOST.search(said):
        return Transient(f"the host could not be reached: {_last(said)}")
    if _CERTIFICATE.search(said):
        return Invalid("url", f"has a host without a valid certificate: {_last(said)}")
    return Invalid("url", f"could not be fetched: {_last(said)}")


def of_tree(said: str) -> PlatformError:
    """Why the files of a commit could not be listed."""
    if _TREE.search(said):
        return Invalid("path", "is not a folder of the repository at that commit")
    return of_reading(said)


def of_reading(said: str) -> PlatformError:
    """Why what was fetched could not be read."""
    if _LARGE.search(said):
        return too_large()
    return Invalid("url", f"holds what git can't read: {_last(said)}")


def too_large() -> Invalid:
    return Invalid("url", "is a repository larger than allowed, even without its history")


def _last(said: str) -> str:
    """The line that says it, without credentials and control characters."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    text = masked(clean(telling[0])) if telling else "git ended without saying why"
    text = text.removeprefix("fatal: ").removeprefix("error: ")
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + " …"

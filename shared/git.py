"""Git sources as people name them: which URLs, refs and folders may be asked for at all.

Pure, and stricter than git is: what could be an option, a helper program, a file of this machine or
an address in disguise is refused before anybody connects. What a name resolves to is checked by
whoever connects, against shared.network.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import msgspec

from shared.errors import Invalid
from shared.network import is_public

HEAD: Final = "HEAD"
PORTS: Final = {"https": 443, "http": 80}

_LONGEST: Final = 2_000  # characters of a URL
_REF: Final = 255  # of a ref
_FOLDER: Final = 1_000  # bytes of a path within a repository
_DEEPEST: Final = 64

_ODD: Final = re.compile(r"[^\x21-\x7e]")
_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]*::")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PLACE: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)+", re.IGNORECASE)
_HIDDEN: Final = re.compile(r"%(?:[01][0-9A-F]|2[EF]|5C|7F)", re.IGNORECASE)
_HERE: Final = frozenset({"localhost", "localdomain", "local", "internal", "ip6-localhost"})
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f-\xa0~^:?*\[\\\u2028\u2029\ufeff\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Trusted(msgspec.Struct, frozen=True):
    """Hosts that an operator vouches for: they may be private and may speak plain HTTP."""

    places: frozenset[str] = frozenset()  # `host`, or `host:port`

    @classmethod
    def read(cls, text: str) -> Trusted:
        """`git.example, 127.0.0.1:8080, [::1]:8080`"""
        return cls(frozenset(filter(None, (part.strip().lower() for part in text.split(",")))))

    def has(self, host: str, port: int) -> bool:
        shown = f"[{host}]" if ":" in host else host
        return shown in self.places or f"{shown}:{port}" in self.places


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that may be asked for, if its host's addresses are fit as well."""

    scheme: str
    host: str  # lower case; an IPv6 address without brackets
    port: int
    path: str
    trusted: bool = False

    @property
    def url(self) -> str:
        """In its one form: no credentials, no port where the usual one is meant."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def is_address(self) -> bool:
        """Its host needs no look-up."""
        return ":" in self.host or _is_number(self.host)


def remote(url: str, trusted: Trusted = Trusted(), *, field: str = "url") -> Remote:  # noqa: B008
    """Raises Invalid, naming `field`, for what is no plain address of a repository."""
    scheme, rest = _scheme(url, field)
    place, slash, path = rest.partition("/")
    if "@" in place:
        raise Invalid(field, "holds a user name or password; only public repositories are fetched")
    host, port = _place(place, PORTS[scheme], field)
    known = trusted.has(host, port)
    if not known:
        _check_host(scheme, host, field)
    return Remote(
        scheme=scheme, host=host, port=port, path=_path(slash + path, field), trusted=known
    )


def _scheme(url: str, field: str) -> tuple[str, str]:
    """The scheme, and what follows its `://`."""
    if not url:
        raise Invalid(field, "is empty; give the https:// address of a repository")
    if len(url) > _LONGEST:
        raise Invalid(field, f"is longer than the {_LONGEST} characters allowed")
    if url.startswith("-"):
        raise Invalid(field, "begins with a dash, as options do; give an https:// address")
    if _ODD.search(url):
        raise Invalid(field, "holds characters that a URL can't; write them as %XX, hosts in ASCII")
    if _HELPER.match(url):
        raise Invalid(field, "names a transport helper; only https:// is allowed")
    found = _SCHEME.match(url)
    if found is None:
        raise Invalid(field, "is not a URL; give the https:// address of a repository")
    scheme = found[1].lower()
    if scheme not in PORTS:
        raise Invalid(field, f"begins with {scheme[:20]}://; only https:// is allowed")
    if "\\" in url:
        raise Invalid(field, "holds a backslash")
    if "?" in url or "#" in url:
        raise Invalid(field, "has a query or a fragment; a branch or tag goes into ref")
    return scheme, url[found.end() :]


def _place(text: str, usual: int, field: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise Invalid(field, "has no host that could be one")
    port = found["port"]
    if port is not None and not (_PORT.fullmatch(port) and int(port) < 1 << 16):
        raise Invalid(field, "has a port that is not a number from 1 to 65535")
    return _host(found["host"].lower(), field), int(port or usual)


def _host(text: str, field: str) -> str:
    """In its one form. A number that is written in an unusual way is an address in disguise."""
    if text.startswith("["):
        try:
            if "%" in text:
                raise AddressValueError("it has a zone")
            return str(IPv6Address(text[1:-1]))
        except AddressValueError:
            raise Invalid(field, "has a host in brackets that is not an IPv6 address") from None
    name = text.removesuffix(".")
    labels = name.split(".")
    if not name:
        raise Invalid(field, "names no host")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise Invalid(field, "has a host that is not a name; letters, digits, dashes and dots only")
    if _NUMBER.fullmatch(labels[-1]) and not _is_number(name):
        raise Invalid(field, "has a host that is an IP address written in an unusual way")
    return name


def _is_number(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except AddressValueError:
        return False


def _check_host(scheme: str, host: str, field: str) -> None:
    """What only a trusted host may be."""
    if ":" in host or _is_number(host):
        if not is_public(host):
            raise Invalid(field, "has an address of a private or special network as its host")
    elif host.rpartition(".")[2] in _HERE or host.endswith(".home.arpa"):
        raise Invalid(field, "names a host of this machine or of its own network")
    elif "." not in host:
        raise Invalid(field, "has a host without a domain; give its full name")
    if scheme != "https":
        raise Invalid(field, f"begins with {scheme}://; only https:// is allowed")


def _path(path: str, field: str) -> str:
    if not path.strip("/"):
        raise Invalid(field, "names a host and no repository")
    if not _PATH.fullmatch(path):
        raise Invalid(field, "has a path with characters that must be written as %XX")
    if _HIDDEN.search(path):
        raise Invalid(field, "has a path that hides control characters, dots or slashes behind %")
    if "//" in path or {".", ".."} & set(path.split("/")):
        raise Invalid(field, "has an empty, `.` or `..` segment in its path")
    return path


def ref(text: str, *, field: str = "ref") -> str:
    """A branch, a tag, a full ref or a whole commit id; empty means what the repository offers.

    Raises Invalid for what git itself would not take as a name, and for all that means more than
    a name: options, refspecs, ranges, patterns.
    """
    if not text or text == HEAD:
        return HEAD
    if len(text) > _REF:
        raise Invalid(field, f"is longer than the {_REF} characters allowed")
    if text[0] in "-+":
        raise Invalid(field, f"begins with {text[0]}; give a branch, a tag or a commit")
    if is_commit(text.lower()):
        return text.lower()
    if _UNFIT.search(text):
        raise Invalid(field, "holds characters that no branch or tag may have")
    if ".." in text or "@{" in text or "//" in text:
        raise Invalid(field, "is a range or a query; give a branch, a tag or a commit")
    parts = text.split("/")
    if text == "@" or not all(parts) or any(part[0] == "." for part in parts):
        raise Invalid(field, "is not the name of a branch or tag")
    if text.endswith(".") or any(part.endswith(".lock") for part in parts):
        raise Invalid(field, "is not the name of a branch or tag")
    return text


def is_commit(text: str) -> bool:
    """A whole commit id: 40 hex digits, or the 64 of a SHA-256 repository."""
    return _COMMIT.fullmatch(text) is not None


def folder(text: str, *, field: str = "path") -> str:
    """A folder within a repository; empty is its root. Raises Invalid for what leads elsewhere."""
    if len(text.encode("utf-8", "replace")) > _FOLDER:
        raise Invalid(field, f"is longer than the {_FOLDER} bytes allowed")
    if _CONTROL.search(text) or "\\" in text:
        raise Invalid(field, "holds control characters or a backslash")
    if text.startswith(("/", "-", ":")):
        raise Invalid(field, "must be a folder within the repository, such as models/digits")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) > _DEEPEST or any(part.lower() == ".git" for part in parts):
        raise Invalid(field, "must be a folder within the repository, such as models/digits")
    return "/".join(parts)

"""URLs, refs and folders of strangers: what may be asked for with git, and why the rest may not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import git
from shared.errors import Invalid
from shared.git import Trusted
from shared.network import is_public

T = TypeVar("T")

URLS: dict[str, tuple[str, str]] = {
    # options
    "--upload-pack=touch x": ("--upload-pack=touch x", "begins with a dash"),
    "-u": ("-u", "begins with a dash"),
    "--config": ("--config=core.sshCommand=x", "begins with a dash"),
    "-c": ("-chttp.proxy=http://127.0.0.1", "begins with a dash"),
    "a dash as host": ("https://-oProxyCommand=x/a", "a host that is not a name"),
    "ssh with an option": ("ssh://-oProxyCommand=touch%20x/a", "only https:// is allowed"),
    # helpers and schemes
    "ext": ("ext::sh -c touch% x", "characters that a URL can't"),
    "ext without spaces": ("ext::sh", "names a transport helper"),
    "fd": ("fd::17/x", "names a transport helper"),
    "a helper before https": ("evil::https://git.example/x", "names a transport helper"),
    "no helper at all": ("::https://git.example/x", "names a transport helper"),
    "file": ("file:///etc", "only https:// is allowed"),
    "file on a host": ("file://git.example/etc", "only https:// is allowed"),
    "ssh": ("ssh://git@git.example/x.git", "only https:// is allowed"),
    "git": ("git://git.example/x.git", "only https:// is allowed"),
    "git over ssh": ("git+ssh://git.example/x", "only https:// is allowed"),
    "ftp": ("ftp://git.example/x", "only https:// is allowed"),
    "ftps": ("ftps://git.example/x", "only https:// is allowed"),
    "gopher": ("gopher://git.example:6379/_x", "only https:// is allowed"),
    "data": ("data://text/plain,x", "only https:// is allowed"),
    "javascript": ("javascript:alert(1)", "is not a URL"),
    "http": ("http://git.example/x.git", "only https:// is allowed"),
    "HTTP": ("HTTP://git.example/x.git", "only https:// is allowed"),
    "scp": ("git@git.example:x.git", "is not a URL"),
    "scp with a path": ("git.example:/etc/passwd", "is not a URL"),
    "a path": ("/etc", "is not a URL"),
    "a relative path": ("../../x", "is not a URL"),
    "a bundle": ("x.bundle", "is not a URL"),
    "no scheme": ("//git.example/x", "is not a URL"),
    "one slash": ("https:/git.example/x", "is not a URL"),
    "three slashes": ("https:///x", "names no host"),
    "nothing": ("", "is empty"),
    # credentials
    "a password": ("https://ann:secret@git.example/x", "a user name or password"),
    "a token": ("https://slp_x@git.example/x", "a user name or password"),
    "an empty user": ("https://@git.example/x", "a user name or password"),
    "a host behind a user": ("https://git.example@127.0.0.1/x", "a user name or password"),
    "a port behind a user": ("https://git.example:443@127.0.0.1/x", "a user name or password"),
    "a backslash behind a host": ("https://git.example\\@127.0.0.1/x", "a backslash"),
    # addresses of this machine and of its networks
    "loopback": ("https://127.0.0.1/x", "a private or special network"),
    "all of loopback": ("https://127.255.255.254/x", "a private or special network"),
    "any address": ("https://0.0.0.0/x", "a private or special network"),
    "metadata": ("https://169.254.169.254/latest/meta-data", "a private or special network"),
    "metadata of another cloud": ("https://100.100.100.200/x", "a private or special network"),
    "metadata of a third": ("https://168.63.129.16/x", "a private or special network"),
    "ten": ("https://10.0.0.1/x", "a private or special network"),
    "172.16": ("https://172.31.255.255/x", "a private or special network"),
    "192.168": ("https://192.168.1.1:8443/x", "a private or special network"),
    "carriers": ("https://100.64.0.1/x", "a private or special network"),
    "multicast": ("https://224.0.0.1/x", "a private or special network"),
    "broadcast": ("https://255.255.255.255/x", "a private or special network"),
    "reserved": ("https://240.0.0.1/x", "a private or special network"),
    "documentation": ("https://203.0.113.7/x", "a private or special network"),
    "benchmarks": ("https://198.18.0.1/x", "a private or special network"),
    "IPv6 loopback": ("https://[::1]/x", "a private or special network"),
    "IPv6 loopback in full": ("https://[0:0:0:0:0:0:0:1]/x", "a private or special network"),
    "IPv6 any": ("https://[::]/x", "a private or special network"),
    "IPv4 in IPv6": ("https://[::ffff:127.0.0.1]/x", "a private or special network"),
    "IPv4 in IPv6 in hex": ("https://[::ffff:7f00:1]/x", "a private or special network"),
    "IPv4 in IPv6 the old way": ("https://[::127.0.0.1]/x", "a private or special network"),
    "link local": ("https://[fe80::1]/x", "a private or special network"),
    "link local with a zone": ("https://[fe80::1%25eth0]/x", "not an IPv6 address"),
    "a zone": ("https://[::1%eth0]/x", "not an IPv6 address"),
    "unique local": ("https://[fd00:ec2::254]/x", "a private or special network"),
    "site local": ("https://[fec0::1]/x", "a private or special network"),
    "IPv6 multicast": ("https://[ff02::1]/x", "a private or special network"),
    "6to4": ("https://[2002:7f00:1::]/x", "a private or special network"),
    "Teredo": ("https://[2001:0:7f00:1::]/x", "a private or special network"),
    "translated": ("https://[64:ff9b::7f00:1]/x", "a private or special network"),
    "translated locally": ("https://[64:ff9b:1::7f00:1]/x", "a private or special network"),
    "IPv6 documentation": ("https://[2001:db8::1]/x", "a private or special network"),
    # addresses in disguise
    "decimal": ("https://2130706433/x", "written in an unusual way"),
    "octal": ("https://0177.0.0.1/x", "written in an unusual way"),
    "octal as a whole": ("https://017700000001/x", "written in an unusual way"),
    "hexadecimal": ("https://0x7f000001/x", "written in an unusual way"),
    "hexadecimal parts": ("https://0x7f.0x0.0x0.0x1/x", "written in an unusual way"),
    "mixed": ("https://127.0x0.1/x", "written in an unusual way"),
    "two parts": ("https://127.1/x", "written in an unusual way"),
    "leading zeros": ("https://127.000.000.001/x", "written in an unusual way"),
    "a trailing dot": ("https://127.0.0.1./x", "a private or special network"),
    "five parts": ("https://1.127.0.0.1/x", "written in an unusual way"),
    "too large a part": ("https://1.2.3.256/x", "written in an unusual way"),
    "just 0": ("https://0/x", "written in an unusual way"),
    "just 0x": ("https://0x/x", "written in an unusual way"),
    "a name that ends in a number": ("https://git.example.1/x", "written in an unusual way"),
    "escaped": ("https://%31%32%37.0.0.1/x", "a host that is not a name"),
    "wide digits": ("https://\uff11\uff12\uff17.0.0.1/x", "hosts in ASCII"),
    "circled digits": ("https://①②⑦.⓪.⓪.①/x", "hosts in ASCII"),
    "wide dots": ("https://127。0。0。1/x", "hosts in ASCII"),
    "brackets around IPv4": ("https://[127.0.0.1]/x", "not an IPv6 address"),
    "half a bracket": ("https://[::1/x", "no host that could be one"),
    "IPv6 without brackets": ("https://::1/x", "a port that is not a number"),
    # names of this machine
    "localhost": ("https://localhost/x", "of this machine or of its own network"),
    "LOCALHOST": ("https://LocalHost/x", "of this machine or of its own network"),
    "localhost with a dot": ("https://localhost./x", "of this machine or of its own network"),
    "below localhost": ("https://git.localhost/x", "of this machine or of its own network"),
    "localdomain": ("https://localhost.localdomain/x", "of this machine or of its own network"),
    "mDNS": ("https://printer.local/x", "of this machine or of its own network"),
    "a cloud's own": (
        "https://metadata.cloud.internal/x",
        "of this machine or of its own network",
    ),
    "a home": ("https://nas.home.arpa/x", "of this machine or of its own network"),
    "a lone name": ("https://kubernetes/x", "a host without a domain"),
    # odd hosts and ports
    "an underscore": ("https://git_x.example/x", "a host that is not a name"),
    "an empty label": ("https://git..example/x", "a host that is not a name"),
    "a long label": (f"https://{'a' * 64}.example/x", "a host that is not a name"),
    "a long name": (f"https://{'a.' * 127}example/x", "a host that is not a name"),
    "a letter that looks like one": ("https://g\u0456t.example/x", "hosts in ASCII"),
    "port 0": ("https://git.example:0/x", "a port that is not a number"),
    "port 65536": ("https://git.example:65536/x", "a port that is not a number"),
    "port 022": ("https://git.example:022/x", "a port that is not a number"),
    "a port in words": ("https://git.example:https/x", "a port that is not a number"),
    "an empty port": ("https://git.example:/x", "a port that is not a number"),
    "a negative port": ("https://git.example:-1/x", "a port that is not a number"),
    "two ports": ("https://git.example:443:22/x", "a port that is not a number"),
    # what splits lines, requests and arguments
    "a newline": ("https://git.example/x\nhost: y", "characters that a URL can't"),
    "a carriage return": ("https://git.example/x\r\n", "characters that a URL can't"),
    "a tab": ("https://git.ex\tample/x", "characters that a URL can't"),
    "a NUL": ("https://git.example/x\0", "characters that a URL can't"),
    "a space before": (" https://git.example/x", "characters that a URL can't"),
    "a newline in disguise": ("https://git.example/x%0d%0ahost:y", "hides control characters"),
    "a NUL in disguise": ("https://git.example/x%00", "hides control characters"),
    "a bad escape": ("https://git.example/x%zz", "must be written as %XX"),
    # paths
    "no path": ("https://git.example", "names a host and no repository"),
    "only a slash": ("https://git.example//", "names a host and no repository"),
    "up": ("https://git.example/a/../b", "an empty, `.` or `..` segment"),
    "up in disguise": ("https://git.example/a/%2e%2e/b", "hides control characters, dots"),
    "a slash in disguise": ("https://git.example/a%2fb", "hides control characters, dots"),
    "an empty segment": ("https://git.example/a//b", "an empty, `.` or `..` segment"),
    "a query": ("https://git.example/x?service=git-upload-pack", "a query or a fragment"),
    "a fragment": ("https://git.example/x#main", "a query or a fragment"),
    "quotes": ('https://git.example/"x"', "must be written as %XX"),
    "too long": ("https://git.example/" + "x" * 2000, "longer than the 2000 characters"),
}

REFS: dict[str, tuple[str, str]] = {
    "an option": ("-x", "begins with -"),
    "upload-pack": ("--upload-pack=touch x", "begins with -"),
    "a dash": ("-", "begins with -"),
    "a forced refspec": ("+main", "begins with +"),
    "a refspec": ("main:refs/heads/x", "no branch or tag may have"),
    "a negative refspec": ("^main", "no branch or tag may have"),
    "a pattern": ("refs/heads/*", "no branch or tag may have"),
    "a question": ("v?", "no branch or tag may have"),
    "a bracket": ("v[1]", "no branch or tag may have"),
    "before": ("main~1", "no branch or tag may have"),
    "peeled": ("v1^{}", "no branch or tag may have"),
    "a file": ("main:etc/passwd", "no branch or tag may have"),
    "a range": ("v1..v2", "a range or a query"),
    "the reflog": ("main@{1}", "a range or a query"),
    "at": ("@", "is not the name"),
    "up": ("../../x", "a range or a query"),
    "a hidden part": ("refs/.git/x", "is not the name"),
    "a lock": ("main.lock", "is not the name"),
    "a lock within": ("a.lock/b", "is not the name"),
    "a dot at the end": ("main.", "is not the name"),
    "a slash at the end": ("main/", "is not the name"),
    "a slash before": ("/main", "is not the name"),
    "two slashes": ("a//b", "a range or a query"),
    "a backslash": ("a\\b", "no branch or tag may have"),
    "a space": ("a b", "no branch or tag may have"),
    "a newline": ("main\nx", "no branch or tag may have"),
    "a NUL": ("main\0x", "no branch or tag may have"),
    "an escape": ("\x1b[2J", "no branch or tag may have"),
    "a lone surrogate": ("a\ud800", "no branch or tag may have"),
    "a line separator": ("a\u2028b", "no branch or tag may have"),
    "ten thousand": ("x" * 10_000, "longer than the 255 characters"),
    "ten thousand hex digits": ("a" * 10_000, "longer than the 255 characters"),
}

FOLDERS: dict[str, str] = {
    "../x": "within the repository",
    "a/../../x": "within the repository",
    "/etc": "within the repository",
    "-x": "within the repository",
    ":(glob)**": "within the repository",
    ".git": "within the repository",
    "a/.GIT/hooks": "within the repository",
    "a\\b": "a backslash",
    "a\nb": "control characters",
    "a\0b": "control characters",
    "a\ud800": "control characters",
    "a/" * 65: "within the repository",
    "x" * 1001: "longer than",
}


@pytest.mark.parametrize("name", URLS)
def test_a_hostile_url_is_refused_with_its_reason(name: str) -> None:
    url, message = URLS[name]
    with pytest.raises(Invalid) as caught:
        git.remote(url)
    assert caught.value.field == "url"
    assert message in caught.value.message
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", REFS)
def test_a_hostile_ref_is_refused_with_its_reason(name: str) -> None:
    ref, message = REFS[name]
    with pytest.raises(Invalid) as caught:
        git.ref(ref)
    assert caught.value.field == "ref"
    assert message in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_hostile_folder_is_refused_with_its_reason(folder: str) -> None:
    with pytest.raises(Invalid) as caught:
        git.folder(folder)
    assert caught.value.field == "path"
    assert FOLDERS[folder] in caught.value.message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://git.example/ann/house.git", "https://git.example/ann/house.git"),
        ("HTTPS://Git.Example:443/Ann/House", "https://git.example/Ann/House"),
        ("https://git.example.:8443/~ann/x+y.git/", "https://git.example:8443/~ann/x+y.git/"),
        ("https://xn--git-5ja.example/%C3%A9", "https://xn--git-5ja.example/%C3%A9"),
        ("https://1.1.1.1/x", "https://1.1.1.1/x"),
        ("https://[2606:4700:0:0::1111]/x", "https://[2606:4700::1111]/x"),
        ("https://[64:ff9b::101:101]/x", "https://[64:ff9b::101:101]/x"),
    ],
)
def test_an_honest_url_has_one_form(url: str, shown: str) -> None:
    assert git.remote(url).url == shown
    assert git.remote(shown).url == shown


def test_an_operator_may_trust_hosts_that_are_private_or_speak_plain_http() -> None:
    trusted = Trusted.read("127.0.0.1:8090, git.corp , [::1]:80, localhost")
    for url in (
        "http://127.0.0.1:8090/x",
        "https://git.corp/x",
        "http://GIT.corp:81/x",
        "http://[::1]/x",
        "http://localhost:1/x",
    ):
        assert git.remote(url, trusted).trusted
    for url in (
        "http://127.0.0.1/x",
        "http://127.0.0.2:8090/x",
        "http://x.git.corp/x",
        "http://[::1]:81/x",
        "http://2130706433:8090/x",
        "file://git.corp/x",
        "http://ann@git.corp/x",
    ):
        with pytest.raises(Invalid):
            git.remote(url, trusted)
    assert not git.remote("https://git.example/x", trusted).trusted


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("", "HEAD"),
        ("HEAD", "HEAD"),
        ("main", "main"),
        ("feature/new-thing", "feature/new-thing"),
        ("refs/pull/7/head", "refs/pull/7/head"),
        ("v1.0+build", "v1.0+build"),
        ("größe", "größe"),
        ("A" * 40, "a" * 40),
        ("0" * 64, "0" * 64),
        ("a" * 39, "a" * 39),
    ],
)
def test_an_honest_ref_is_taken(asked: str, meant: str) -> None:
    assert git.ref(asked) == meant


def test_an_honest_folder_has_one_form() -> None:
    assert [git.folder(text) for text in ("", ".", "a/", "./a//b c/ö")] == ["", "", "a", "a/b c/ö"]


ADDRESSES = st.ip_addresses().map(str)
HOSTS = st.one_of(
    ADDRESSES,
    ADDRESSES.map(lambda text: f"[{text}]"),
    st.integers(0, 2**33).map(str),
    st.integers(0, 2**33).map(hex),
    st.integers(0, 2**33).map(oct),
    st.lists(st.sampled_from(["127", "0", "1", "0x7f", "0177", "a", "-", ""]), max_size=5).map(
        ".".join
    ),
    st.text("abc.-_%[]:@0x\u0661\uff12", max_size=12),
)
PIECES = st.sampled_from(
    ["https://", "http://", "file://", "ext::", "@", ":", "/", "-", "\\", "#", "?", "%00", "\n"]
)
HOSTILE = st.lists(st.one_of(PIECES, HOSTS, st.text(max_size=8)), max_size=7).map("".join)
LIKELY = st.builds("https://{}{}/{}".format, HOSTS, st.sampled_from(["", ":443", ":0"]), HOSTS)


def taken(check: Callable[[str], T], text: str, field: str) -> T | None:
    """What `check` makes of the text; None when it says no as it should."""
    try:
        return check(text)
    except Invalid as error:
        refused = error
    assert refused.field == field
    assert refused.message.isprintable()
    return None


@settings(max_examples=1500, deadline=None)
@given(st.one_of(HOSTILE, LIKELY))
def test_what_is_taken_leads_where_it_says_and_nowhere_private(url: str) -> None:
    found = taken(git.remote, url, "url")
    if found is None:
        return
    parts = urlsplit(found.url)
    assert (parts.scheme, parts.hostname, parts.port or 443) == ("https", found.host, found.port)
    assert parts.username is None
    assert found.url.isascii()
    assert found.url.isprintable()
    assert git.remote(found.url) == found
    if found.is_address:
        assert is_public(found.host)
    else:
        with suppress(ValueError):
            raise AssertionError(f"{ip_address(found.host)} passed for a name")


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=40))
def test_a_ref_that_is_taken_is_one_plain_word(text: str) -> None:
    found = taken(git.ref, text, "ref")
    if found is None:
        return
    assert found[0] not in "-+^"
    assert not set(found) & set(" \n\0:^~?*[\\")


@settings(max_examples=1000, deadline=None)
@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_never_public(address: object) -> None:
    found = ip_address(str(address))
    if found.is_private or found.is_multicast or found.is_reserved or found.is_loopback:
        assert not is_public(str(found))
        assert not is_public(f"::ffff:{found}")


def test_no_address_is_no_public_one() -> None:
    assert not any(map(is_public, ("", "git.example", "1.2.3", "fe80::1%eth0", "2606::1%1")))

"""A project's own pip.conf: what is read, what is refused, and that passwords stay unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.builder.python import indexes, pipconf, requirements
from services.builder.python.pipconf import Own
from shared.errors import Invalid

CONF = """
[global]
index-url = https://ann:pa%40ss-word@index.example/simple
extra_index_url =
    https://token-of-bob@more.example/simple
    https://plain.example/simple
[install]
trusted-host = index.example
timeout = 60
pre = yes
"""


def test_pips_options_are_read_in_either_spelling() -> None:
    own, unused = pipconf.read(CONF)
    assert own.index == "https://ann:pa%40ss-word@index.example/simple"
    assert own.extra == ("https://token-of-bob@more.example/simple", "https://plain.example/simple")
    assert own.trusted == ("index.example",)
    assert unused == ("pre",)


def test_every_way_to_write_a_password_is_known() -> None:
    own, _ = pipconf.read(CONF)
    said = "pa%40ss-word pa@ss-word YW5uOnBhQHNzLXdvcmQ= token-of-bob ann https://x:y@z.example"
    assert pipconf.hidden(said, own.secrets) == "*** *** *** *** ann https://***@z.example"
    assert "pa@ss" not in repr(own)
    assert "pa%40ss" not in repr(own)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("index-url = x\n", "not a file of pip's settings"),
        ("[global]\nindex-url = https://${USER}@x.example/\n", "not expanded"),
        ("[global]\nindex-url = http://x.example/simple\n", "must be an https"),
        ("[global]\nindex-url = http://x.example/\ntrusted-host = y.example\n", "must be an https"),
        ("[global]\nextra-index-url = file:///srv/simple\n", "must be an https"),
        ("[global]\nindex-url = https://[x/simple\n", "can't be read"),
        ("[global]\nindex-url = https://x.example:port/simple\n", "can't be read"),
        ("[global]\nindex-url = https:///simple\n", "can't be read"),
        ("[global]\nindex-url = https://x.example/a,b\n", "can't be read"),
        (
            f"[global]\nextra-index-url = {' '.join(f'https://x{n}.example/' for n in range(21))}\n",
            "more than 20 places",
        ),
        ("[global]\nfind-links = /etc\n", "outside the source"),
        ("[global]\nfind-links = ../x\n", "outside the source"),
        ("[global]\ncert = /etc/ssl/key.pem\n", "outside the source"),
        ("[global]\nfind-links = gone\n", "not in the source"),
        ("[global]\nx = \0\n", "NUL"),
    ],
)
def test_what_a_project_may_not_ask_for_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pip.conf").write_text(text)
    with pytest.raises(Invalid, match=words) as caught:
        requirements.read(tmp_path)
    assert caught.value.field == "pip.conf"


def test_plain_http_is_for_hosts_that_are_trusted(tmp_path: Path) -> None:
    for trusted in ("x.example", "x.example:8080"):
        text = f"[global]\nindex-url = http://x.example:8080/simple\ntrusted-host = {trusted}\n"
        (tmp_path / "pip.conf").write_text(text)
        assert requirements.read(tmp_path).own.index


def test_a_requirements_file_is_nearer_than_pip_conf(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://a.example/\nextra-index-url = https://b.example/\n"
    )
    (tmp_path / "requirements.txt").write_text(
        "--index-url https://c.example/\n--extra-index-url https://d.example/\nsix\n"
    )
    own = requirements.read(tmp_path).own
    assert (own.index, own.extra) == (
        "https://c.example/",
        ("https://b.example/", "https://d.example/"),
    )


def test_files_that_hold_a_password_are_named_and_their_texts_do_not(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to("deep")
    (tmp_path / "requirements.txt").write_text("-r link/more.txt\nsix\n")
    (tmp_path / "deep" / "more.txt").write_text("-i https://me:hidden-one@x.example/simple\n")
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url = https://plain.example/\n")
    asked = requirements.read(tmp_path)
    assert asked.private == {"link/more.txt", "deep/more.txt"}
    assert "hidden-one" not in "".join(asked.files.values())
    assert asked.files.keys() == {"requirements.txt", "link/more.txt", "pip.conf"}


def test_a_single_package_may_not_hold_a_password() -> None:
    with pytest.raises(Invalid, match="may not hold a password"):
        requirements.vet_package("x @ https://me:hidden@x.example/x.whl")


PUBLIC = "https://public.example/simple"
MACHINE = {"PATH": "/bin", "UV_INDEX": "https://mirror.example/a https://mirror.example/b"}


def asked(own: Own, **machine: str) -> list[str]:
    found = indexes.merged(MACHINE | machine, own, Path("/src"), PUBLIC)
    return [*found.get("UV_INDEX", "").split(), found.get("UV_DEFAULT_INDEX", "(public)")]


@pytest.mark.parametrize(
    ("own", "order"),
    [
        (Own(extra=("https://own.example/",)), ["https://own.example/", "a", "b", "(public)"]),
        (Own(index="https://own.example/"), ["https://own.example/", "a", "b"]),
        (
            Own(index="https://public.example/simple/", extra=("https://own.example/",)),
            ["https://own.example/", "https://public.example/simple/", "a", "b"],
        ),
        (
            Own(index="https://own.example/", extra=(PUBLIC,)),
            ["https://own.example/", PUBLIC, "a", "b"],
        ),
        (
            Own(index="https://me:x@mirror.example/b", extra=("https://mirror.example/own",)),
            ["https://mirror.example/own", "https://me:x@mirror.example/b", "a", "b"],
        ),
    ],
)
def test_a_projects_own_index_is_asked_before_those_that_others_share(
    own: Own, order: list[str]
) -> None:
    full = {"a": "https://mirror.example/a", "b": "https://mirror.example/b"}
    assert asked(own) == [full.get(name, name) for name in order]


def test_a_machines_own_default_comes_last() -> None:
    own = Own(extra=("https://own.example/", "https://house.example/simple"))
    assert asked(own, UV_DEFAULT_INDEX="https://house.example/simple/")[0] == "https://own.example/"
    assert asked(own, UV_DEFAULT_INDEX="https://house.example/simple/")[-1] == (
        "https://house.example/simple/"
    )


def test_who_has_no_indexes_gets_the_machines_settings_as_they_are() -> None:
    machine = MACHINE | {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    assert indexes.merged(machine, Own(), Path("/src"), PUBLIC) == machine
    own = indexes.merged(machine, Own(extra=("https://x.example/",)), Path("/src"), PUBLIC)
    assert own["UV_INDEX_STRATEGY"] == "first-index"


def test_what_lies_in_the_source_is_found_there() -> None:
    own = Own(links=("wheels", "https://x.example/w"), cert="ca.pem", no_index=True)
    found = indexes.merged({"UV_FIND_LINKS": "/srv"}, own, Path("/src"), PUBLIC)
    assert found["UV_FIND_LINKS"] == "/src/wheels,https://x.example/w,/srv"
    assert found["SSL_CERT_FILE"] == "/src/ca.pem"
    assert found["UV_NO_INDEX"] == "1"

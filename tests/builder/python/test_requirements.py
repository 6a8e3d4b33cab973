"""What a requirements file may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.builder.python import requirements
from shared.errors import Invalid


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "pkg").mkdir()
    (tmp_path / "outside.txt").write_text("six\n")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "sub" / "more.txt").write_text("-c ../pins.txt\nrich\n")
    (folder / "pins.txt").write_text("rich==1\n")
    (folder / "a-1.whl").write_text("")
    return folder


def asked(root: Path, text: str | bytes, name: str = "requirements.txt") -> requirements.Asked:
    body = text.encode() if isinstance(text, str) else text
    (root / name).write_bytes(body)
    return requirements.read(root)


def test_a_source_may_ask_for_nothing(root: Path) -> None:
    assert requirements.read(root) == requirements.Asked()


def test_the_file_for_deployment_wins(root: Path) -> None:
    asked(root, "notebook\n")
    assert asked(root, "six\n", "requirements-deployment.txt").names == {"six"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("numpy\nScikit_Learn==1.5 # why\n\n# nothing\n", {"numpy", "scikit-learn"}),
        ("uvicorn[standard]>=0.30,<1; python_version >= '3.8'", {"uvicorn"}),
        ("numpy==2 \\\n  --hash=sha256:abc \\\n  --hash=sha256:def\nsix", {"numpy", "six"}),
        ("torch @ https://download.example/torch-2.whl#sha256=abc", {"torch"}),
        ("tool @ git+https://example.org/me/tool.git@v1#egg=tool", {"tool"}),
        ("--extra-index-url https://download.example/cpu\ntorch", {"torch"}),
        ("--index-url=https://download.example/cpu\ntorch", {"torch"}),
        ("-i https://download.example/cpu\ntorch", {"torch"}),
        ("--only-binary :all:\n--prefer-binary\n--pre\nsix", {"six"}),
        ("-f https://download.example/links\nsix", {"six"}),
        ("\ufeffsix\r\nrich\r\n", {"six", "rich"}),
        ("", set()),
    ],
)
def test_what_people_need_is_let_through(root: Path, text: str, names: set[str]) -> None:
    found = asked(root, text)
    assert set(found.names) == names
    assert not found.local


@pytest.mark.parametrize("text", ["-e .", "-e ./pkg", "./pkg", "pkg/", "a-1.whl", "--editable=pkg", "tool @ ./pkg", "-f ./pkg", "./pkg[extra]", "a-1.whl ; python_version > '3'"])  # fmt: skip
def test_what_lies_in_the_source_may_be_installed(root: Path, text: str) -> None:
    assert asked(root, text).local


def test_included_files_are_read_too(root: Path) -> None:
    found = asked(root, "-r sub/more.txt\nsix\n-r requirements.txt\n")
    assert set(found.files) == {"requirements.txt", "sub/more.txt", "pins.txt"}
    assert {"six", "rich"} <= found.names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-r /etc/passwd", "outside the source"),
        ("-r ../outside.txt", "outside the source"),
        ("-r../outside.txt", "outside the source"),
        ("--requirement=../outside.txt", "outside the source"),
        ("-r link.txt", "outside the source"),
        ("-c ~/pins.txt", "outside the source"),
        ("-r missing.txt", "not in the source"),
        ("-r https://example.org/r.txt", "only name a file of the source"),
        ("-r", "only name a file of the source"),
        ("-e ..", "outside the source"),
        ("-e /opt/thing", "outside the source"),
        ("../other", "outside the source"),
        ("/etc", "outside the source"),
        ("thing @ /etc", "outside the source"),
        ("thing @ file:///etc", "file: addresses are not fetched"),
        ("file:///etc/thing", "file: addresses are not fetched"),
        ("FILE:///etc/thing", "FILE: addresses are not fetched"),
        ("-e file:///etc", "file: addresses are not fetched"),
        ("git+ssh://git@example.org/x.git", "git\\+ssh: addresses are not fetched"),
        ("x @ git+file:///srv/x.git", "git\\+file: addresses are not fetched"),
        ("x @ ssh://-oProxyCommand=x/y", "ssh: addresses are not fetched"),
        ("ext::sh -c id", "ext: addresses are not fetched"),
        ("--index-url http://example.org/simple", "must be an https"),
        ("--extra-index-url file:///srv/simple", "must be an https"),
        ("--find-links /srv/wheels", "outside the source"),
        ("--find-links file:///srv/wheels", "file: addresses"),
        ("--trusted-host example.org", "--trusted-host is not supported"),
        ("--config-settings x=y", "is not supported"),
        ("--python /bin/sh", "is not supported"),
        ("x @ https://example.org/${SECRET}", "variables of the environment"),
        ("-r ${HOME}/x", "variables of the environment"),
        ("-r \\\n/etc/passwd", "outside the source"),
        (b"\xff\xfe", "not UTF-8"),
        (b"six\0", "NUL"),
        (b"#" * 2_000_000, "larger than"),
    ],
)
def test_what_leaves_the_source_is_refused(root: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        asked(root, text)


def test_a_folder_or_a_link_out_is_no_requirements_file(root: Path) -> None:
    (root / "requirements.txt").symlink_to("/etc/passwd")
    with pytest.raises(Invalid, match="outside the source"):
        requirements.read(root)
    (root / "requirements-deployment.txt").mkdir()
    with pytest.raises(Invalid, match="is not a file"):
        requirements.read(root)


def test_a_mistake_is_found_by_file_and_line(root: Path) -> None:
    with pytest.raises(Invalid) as caught:
        asked(root, "six\n\n--trusted-host x\n")
    assert caught.value.field == "requirements.txt line 3"


@pytest.mark.parametrize(
    "package", ["numpy==2.0", "uvicorn[standard]", "x @ https://a.example/x.whl"]
)
def test_single_packages_are_named(package: str) -> None:
    assert requirements.vet_package(package)


@pytest.mark.parametrize("package", ["", "-e .", "--index-url https://x", "a\nb", "./pkg", "/etc", "x @ file:///etc", "a.whl", "-r x"])  # fmt: skip
def test_single_packages_are_nothing_else(package: str) -> None:
    with pytest.raises(Invalid):
        requirements.vet_package(package)
